# PostgreSQL, which speaks TCP only, through each of the doors; `psql`, without one, is the judge. And
# PostgreSQL's own programs through the tunnel, which they don't know of.
[ -n "$(ls /usr/lib/postgresql/*/bin/postgres 2>/dev/null)" ] || apt_install postgresql
programs=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)

# It refuses to run as root.
as=()
if [ "$(id -u)" = 0 ]; then
    as=(setpriv --reuid postgres --regid postgres --clear-groups)
    chmod 755 "$work"
    install -d -o postgres "$work/postgres"
fi
port=$(free_port)
"${as[@]}" "$programs/initdb" -D "$work/postgres/data" -U postgres --auth trust --encoding UTF8 \
    --locale C --no-sync >"$work/initdb.log" 2>&1 || fail "initdb failed"
start postgres "${as[@]}" "$programs/postgres" -D "$work/postgres/data" -p "$port" \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off
judge() { "$programs/psql" -h 127.0.0.1 -p "$port" -U postgres -At -v ON_ERROR_STOP=1 "$@"; }
wait_for 20 judge -o /dev/null -c 'select 1'

{
    for number in $(seq 1000); do echo "insert into t values ($number, 'row $number')"; done
    for number in 1001 1002 1003; do
        echo "insert into t values ($number, '$(line $((3 << 20)))')"
    done
} >"$work/inserts"

for door in "${doors[@]}"; do
    "open_$door" "$port"
    example=(timeout 60 "$bin/postgres" "$url" "user=postgres dbname=postgres" "${headers[@]}")
    judge -q -c 'drop table if exists t' -c 'create table t (id int primary key, value text)' \
        2>/dev/null

    # A thousand statements at once, some of them MiB long.
    "${example[@]}" <"$work/inserts" || fail "postgres: the inserts failed"
    sed "s/^insert into t values (\([0-9]*\), '\(.*\)')$/\1|\2/" "$work/inserts" >"$work/expected"
    judge -c 'select * from t order by id' >"$work/stored"
    same "postgres: pipelined statements, $door" "$work/expected" "$work/stored"

    echo 'select * from t order by id' | "${example[@]}" >"$work/rows" || fail "postgres: select"
    same "postgres: rows, $door" "$work/expected" "$work/rows"

    # Several connections at a time.
    queries=()
    for part in 0 1 2 3 4 5 6 7; do
        echo "select * from t where id % 8 = $part order by id" |
            "${example[@]}" >"$work/part.$part" &
        queries+=($!)
    done
    for query in "${queries[@]}"; do wait "$query" || fail "postgres: one of several failed"; done
    sort -n "$work"/part.? >"$work/rows"
    same "postgres: connections at the same time, $door" "$work/expected" "$work/rows"

    # What the server says unasked.
    mkfifo "$work/statements"
    start listener sh -c 'exec "$@" <"$0"' "$work/statements" "${example[@]}"
    exec 4>"$work/statements"
    echo "listen news" >&4
    echo "select 'listening'" >&4
    wait_for 20 grep -q '^listening$' "$work/listener.log"
    judge -q -c "notify news, 'hello'"
    wait_for 20 grep -q '^news: hello$' "$work/listener.log"
    exec 4>&-
    wait "${started[-1]}" || fail "postgres: the listener failed"
    printf 'protocols: %-45s ok\n' "postgres: a notification, $door"
    rm "$work/statements"
done

open_tunnel "$port"
for way in "${ways[@]}"; do
    enter "$port" "$way"
    at_entrance=(-h 127.0.0.1 -p "$entrance" -U postgres)
    remote() { timeout 60 "$programs/psql" "${at_entrance[@]}" -At -v ON_ERROR_STOP=1 "$@"; }

    judge -q -c 'truncate t'
    remote -q -c "\\copy t from '$work/expected' delimiter '|'" || fail "postgres: psql, copy"
    judge -c 'select * from t order by id' >"$work/stored"
    same "postgres: psql copies, tunnel $way" "$work/expected" "$work/stored"
    remote -c 'select * from t order by id' >"$work/rows" || fail "postgres: psql, select"
    same "postgres: psql's rows, tunnel $way" "$work/expected" "$work/rows"

    # Twenty connections, and each one's transactions.
    {
        timeout 60 "$programs/pgbench" "${at_entrance[@]}" -i -q postgres &&
        timeout 60 "$programs/pgbench" "${at_entrance[@]}" -n -N -c 20 -t 50 postgres
    } >"$work/pgbench.log" 2>&1 || fail "postgres: pgbench"
    echo '1000|t' >"$work/expected-sums"
    judge -c 'select count(*), sum(delta) = (select sum(abalance) from pgbench_accounts)
        from pgbench_history' >"$work/sums"
    same "postgres: pgbench, tunnel $way" "$work/expected-sums" "$work/sums"
done
end_started
