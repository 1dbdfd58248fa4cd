# Hypercorn, as server of our client: HTTP/1.1, and HTTP/2 with and without TLS.
pip_install hypercorn
plain=$(free_port) secure=$(free_port)
cat >"$work/hypercorn.toml" <<TOML
bind = ["127.0.0.1:$secure"]
insecure_bind = ["127.0.0.1:$plain"]
certfile = "$work/cert.pem"
keyfile = "$work/key.pem"
websocket_max_message_size = 67108864
TOML
(cd "$here" && exec "$cache/venv/bin/hypercorn" -c "$work/hypercorn.toml" hypercorn_app:app) >"$work/hypercorn.log" 2>&1 &
started+=($!)
wait_for 15 sh -c "grep -c 'Running on' '$work/hypercorn.log' | grep -q 2"
exchange "hypercorn: HTTP/1.1" "ws://127.0.0.1:$plain/"
exchange "hypercorn: HTTP/2" --http2 "ws://127.0.0.1:$plain/"
exchange "hypercorn: HTTP/2, TLS" --insecure "wss://localhost:$secure/"
[ "$(grep -c '^websocket over HTTP/2' "$work/hypercorn.log")" = 2 ] || fail "hypercorn: not over HTTP/2"
