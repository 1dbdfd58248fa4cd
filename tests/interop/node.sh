# Node's `http2` and the package `ws`, as server of our client and as client of our server: HTTP/1.1,
# and HTTP/2 with and without TLS.
npm_install ws@8
export NODE_PATH=$cache/node/node_modules
start node-server env KEY="$work/key.pem" CERT="$work/cert.pem" node "$here/node_server.cjs"
wait_for 10 grep -q '^ports' "$work/node-server.log"
read -r _ http1 http2 tls <"$work/node-server.log"
exchange "node: our client, HTTP/1.1" "ws://127.0.0.1:$http1/"
exchange "node: our client, HTTP/2" --http2 "ws://127.0.0.1:$http2/"
exchange "node: our client, HTTP/2, TLS" --insecure "wss://localhost:$tls/"
[ "$(grep -c '^websocket over HTTP/2' "$work/node-server.log")" = 2 ] || fail "node: not over HTTP/2"

echo_server node-plain
plain=$port
echo_server node-tls --tls "$work/cert.pem" "$work/key.pem"
for url in "http://127.0.0.1:$plain/echo" "https://localhost:$port/echo"; do
    timeout 60 node "$here/node_client.cjs" http2 "$url" "$work/in" || fail "node: its client failed at $url"
done
timeout 60 node "$here/node_client.cjs" http1 "ws://127.0.0.1:$plain/echo" "$work/in" || fail "node: its client failed"
wait_for 5 grep -q "HTTP/2.0 CONNECT /echo .*: $size bytes echoed" "$work/node-plain.log"
wait_for 5 grep -q "HTTP/1.1 GET /echo .*: $size bytes echoed" "$work/node-plain.log"
wait_for 5 grep -q "HTTP/2.0 CONNECT /echo .*: $size bytes echoed" "$work/node-tls.log"
printf 'interop: %-40s ok\n' "node: its clients"
