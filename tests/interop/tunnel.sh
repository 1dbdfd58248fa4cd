# The example `tunnel` through HAProxy, with the example's configuration, which balances two servers.
apt_install haproxy
cargo build --quiet --features tls --example tunnel

target=$(free_port)
start target python3 "$here/reverse.py" serve "$target"
wait_for 10 grep -q serving "$work/target.log"

listening one "$bin/tunnel" server --allow "127.0.0.1:$target" --token secret
one=$port one_pid=${started[-1]}
listening two "$bin/tunnel" server --allow "127.0.0.1:$target" --token secret
two=$port
proxy=$(free_port)
LISTEN="127.0.0.1:$proxy" PEM="$work/both.pem" ONE="127.0.0.1:$one" TWO="127.0.0.1:$two" \
    start haproxy haproxy -db -f "$here/../../examples/haproxy.cfg"
wait_for 10 bash -c "exec 3<>/dev/tcp/127.0.0.1/$proxy"

# carried SERVER: how many connections it has carried.
carried() { grep -c ', done' "$work/$1.log" || true; }
# have_carried CONNECTIONS: whether both servers have, together.
have_carried() { (($(carried one) + $(carried two) == $1)); }

before=0
for options in "" "--http2" "--http2 --connections 3"; do
    # shellcheck disable=SC2086 # it is a list
    SSL_CERT_FILE=$work/cert.pem listening "client$options" "$bin/tunnel" client \
        --to "127.0.0.1:$target" --via "wss://localhost:$proxy/" --token secret $options
    was=$(carried one)
    python3 "$here/reverse.py" ask "$port" 100 200000 >"$work/ask.log" 2>&1 || fail "tunnel $options: not all came back"
    before=$((before + 100))
    wait_for 10 have_carried "$before"
    share=$(($(carried one) - was))
    ((share >= 40 && share <= 60)) || fail "tunnel $options: $share of 100 by one of two servers"
    printf 'interop: %-40s ok\n' "tunnel: 100 at once, two servers ${options}"
done

# One server is gone: the other takes all.
kill -KILL "$one_pid"
wait "$one_pid" 2>/dev/null || true
python3 "$here/reverse.py" ask "$port" 20 20000 >"$work/ask.log" 2>&1 || fail "tunnel: one server was not enough"
printf 'interop: %-40s ok\n' "tunnel: one of two servers killed"
