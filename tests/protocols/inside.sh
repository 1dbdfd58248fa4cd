# The examples that are both ends themselves, and what they print.

# prints NAME LINE...
prints() {
    local name=$1
    shift
    timeout 60 "$bin/$name" >"$work/$name.out" 2>"$work/$name.log" || fail "$name failed"
    printf '%s\n' "$@" >"$work/expected"
    same "$name" "$work/expected" "$work/$name.out"
}

prints grpc Serving Serving
prints http_inside 'page 1 of the agent' 'page 2 of the agent' 'page 3 of the agent'
prints protobuf \
    'Summary { readings: 1000, warmest: Some(Reading { place: "sensor 17", degrees: 39 }) }'
prints tls_inside 'BETWEEN YOU AND ME'
