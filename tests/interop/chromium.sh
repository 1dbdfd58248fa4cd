# Chromium, as client of our server's page: five sockets, 8 MiB each way on each.
apt_install chromium
npm_install playwright-core
export NODE_PATH=$cache/node/node_modules
echo_server chromium-plain
timeout 120 node "$here/chromium.cjs" "http://127.0.0.1:$port/" || fail "chromium: HTTP/1.1"
[ "$(grep -c "HTTP/1.1 GET /echo :protocol=-: $size bytes echoed" "$work/chromium-plain.log")" = 5 ] ||
    fail "chromium: not five over HTTP/1.1"
printf 'interop: %-40s ok\n' "chromium: HTTP/1.1"

echo_server chromium-tls --tls "$work/cert.pem" "$work/key.pem"
timeout 120 node "$here/chromium.cjs" "https://localhost:$port/" || fail "chromium: HTTP/2"
# The page and all five sockets on one connection.
connection=$(sed -n 's/^\(connection [0-9]*: HTTP\/2.0\) GET \/ .*: the page$/\1/p' "$work/chromium-tls.log" | head -n 1)
[ -n "$connection" ] || fail "chromium: the page didn't come over HTTP/2"
[ "$(grep -c "^$connection CONNECT /echo :protocol=websocket: $size bytes echoed" "$work/chromium-tls.log")" = 5 ] ||
    fail "chromium: not five on one connection of HTTP/2"
printf 'interop: %-40s ok\n' "chromium: HTTP/2"
