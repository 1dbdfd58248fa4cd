# Python's `websockets`, as server and as client. HTTP/1.1.
pip_install websockets
start websockets-server "$cache/venv/bin/python" "$here/websockets_server.py"
wait_for 10 grep -q '^port' "$work/websockets-server.log"
exchange "websockets: our client" "ws://127.0.0.1:$(sed -n 's/^port //p' "$work/websockets-server.log")/"

echo_server websockets-ours
timeout 60 "$cache/venv/bin/python" "$here/websockets_client.py" "ws://127.0.0.1:$port/echo" "$work/in" ||
    fail "websockets: its client failed"
wait_for 5 grep -q "HTTP/1.1 GET /echo .*: $size bytes echoed" "$work/websockets-ours.log"
printf 'interop: %-40s ok\n' "websockets: its client"
