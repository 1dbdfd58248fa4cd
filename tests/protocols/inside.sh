# The examples that are both ends themselves.
for example in protobuf grpc; do
    timeout 60 "$bin/$example" >"$work/$example.log" 2>&1 || fail "$example failed"
    printf 'protocols: %-45s ok\n' "$example"
done
