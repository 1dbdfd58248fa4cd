# HAProxy between our client and our server, in every direction that it knows.
apt_install haproxy
echo_server haproxy-ours
h1_to_h2=$(free_port) h2c_to_h1=$(free_port) h2c_to_h2=$(free_port) h1_to_h1=$(free_port) tls_to_h2=$(free_port)
sed -e "s|@H1_TO_H1@|$h1_to_h1|; s|@H1_TO_H2@|$h1_to_h2|; s|@H2C_TO_H1@|$h2c_to_h1|" \
    -e "s|@H2C_TO_H2@|$h2c_to_h2|; s|@TLS_TO_H2@|$tls_to_h2|" \
    -e "s|@SERVER@|$port|; s|@PEM@|$work/both.pem|" "$here/haproxy.cfg.in" >"$work/haproxy.cfg"
start haproxy haproxy -db -f "$work/haproxy.cfg"
for proxy in $h1_to_h1 $h1_to_h2 $h2c_to_h1 $h2c_to_h2 $tls_to_h2; do
    wait_for 10 bash -c "exec 3<>/dev/tcp/127.0.0.1/$proxy"
done
exchange "haproxy: HTTP/1.1 to HTTP/1.1" "ws://127.0.0.1:$h1_to_h1/echo"
exchange "haproxy: HTTP/1.1 to HTTP/2" "ws://127.0.0.1:$h1_to_h2/echo"
exchange "haproxy: HTTP/2 to HTTP/1.1" --http2 "ws://127.0.0.1:$h2c_to_h1/echo"
exchange "haproxy: HTTP/2 to HTTP/2" --http2 "ws://127.0.0.1:$h2c_to_h2/echo"
exchange "haproxy: TLS to HTTP/2" --insecure "wss://localhost:$tls_to_h2/echo"
[ "$(grep -c "HTTP/2.0 CONNECT .*: $size bytes echoed" "$work/haproxy-ours.log")" = 3 ] ||
    fail "haproxy: not over HTTP/2"
