# Redis, which speaks TCP only, through each of the doors; `redis-cli`, without one, is the judge. And
# Redis' own programs through the tunnel, which they don't know of.
apt_install redis-server redis-tools
port=$(free_port)
start redis redis-server --bind 127.0.0.1 --port "$port" --save '' --dir "$work"
judge() { redis-cli -p "$port" "$@"; }
wait_for 10 sh -c "redis-cli -p $port ping | grep -q PONG"

{
    for number in $(seq 5000); do echo "row $number"; done
    for _ in 1 2 3; do line $((3 << 20)) && echo; done
} | tr ' ' _ >"$work/values"
count=$(wc -l <"$work/values")

# fill_list WHO COMMAND...: has the command send all values in one go, one command each.
fill_list() {
    local who=$1
    shift
    judge flushall >/dev/null
    sed 's/^/rpush list /' "$work/values" | "$@" >"$work/replies" || fail "redis: $who: rpush"
    seq "$count" >"$work/expected"
    same "redis: $who: replies" "$work/expected" "$work/replies"
    judge lrange list 0 -1 >"$work/stored"
    same "redis: $who: values" "$work/values" "$work/stored"
}

for door in "${doors[@]}"; do
    "open_$door" "$port"
    example=(timeout 60 "$bin/redis" "$url" "${headers[@]}")
    fill_list "pipelined commands, $door" "${example[@]}"
    for number in $(seq 0 $((count - 1))); do echo "lindex list $number"; done |
        "${example[@]}" >"$work/replies" || fail "redis: lindex"
    same "redis: values read back, $door" "$work/values" "$work/replies"

    # What the server says unasked.
    mkfifo "$work/commands"
    start subscriber sh -c 'exec "$@" <"$0"' "$work/commands" "${example[@]}"
    exec 4>"$work/commands"
    echo "subscribe news" >&4
    wait_for 20 sh -c "redis-cli -p $port publish news hello | grep -q '^1$'"
    wait_for 20 grep -q 'news hello$' "$work/subscriber.log"
    exec 4>&-
    wait "${started[-1]}" || fail "redis: the subscriber failed"
    printf 'protocols: %-45s ok\n' "redis: a message to a subscriber, $door"
    rm "$work/commands"
done

open_tunnel "$port"
for way in "${ways[@]}"; do
    enter "$port" "$way"
    remote=(timeout 60 redis-cli -p "$entrance")
    fill_list "redis-cli, tunnel $way" "${remote[@]}"
    "${remote[@]}" lrange list 0 -1 >"$work/replies" || fail "redis-cli: lrange"
    same "redis: redis-cli reads them back, tunnel $way" "$work/values" "$work/replies"

    # Fifty connections.
    timeout 60 redis-benchmark -p "$entrance" -c 50 -n 20000 incr counter >"$work/benchmark.log" 2>&1 ||
        fail "redis-benchmark"
    echo 20000 >"$work/expected"
    judge get counter >"$work/stored"
    same "redis: redis-benchmark, tunnel $way" "$work/expected" "$work/stored"

    # What the server says unasked.
    start subscriber "${remote[@]}" subscribe news
    wait_for 20 sh -c "redis-cli -p $port publish news hello | grep -q '^1$'"
    wait_for 20 grep -q '^hello$' "$work/subscriber.log"
    kill "${started[-1]}"
    wait "${started[-1]}" 2>/dev/null || true
    printf 'protocols: %-45s ok\n' "redis: a message to redis-cli, tunnel $way"
done
end_started
