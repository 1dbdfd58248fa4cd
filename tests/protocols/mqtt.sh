# Mosquitto's WebSocket listener; its own clients, over TCP, are the other ends.
apt_install mosquitto mosquitto-clients
tcp=$(free_port) websocket=$(free_port)
cat >"$work/mosquitto.conf" <<CONF
allow_anonymous true
persistence false
log_type subscribe
max_inflight_messages 0
max_queued_messages 0
listener $tcp 127.0.0.1
listener $websocket 127.0.0.1
protocol websockets
CONF
PATH=$PATH:/usr/sbin start mosquitto mosquitto -c "$work/mosquitto.conf"
wait_for 10 listens "$tcp"
wait_for 10 listens "$websocket"
url=ws://127.0.0.1:$websocket/

# Many packets, and some larger than any frame. Mosquitto 2.0 cuts what it sends into frames of
# 4 KiB, and stalls in packets of about 88 KB, whoever the client is (paho-mqtt as well): so what it
# has to send over its WebSocket is kept smaller.
for number in $(seq 2000); do echo "message $number"; done >"$work/to-us"
{ cat "$work/to-us" && for _ in 1 2 3; do line $((3 << 20)) && echo; done; } >"$work/from-us"
{ line 48000 && echo; } >>"$work/to-us"

# subscriber NAME COMMAND...: runs it in the background, with its messages in NAME.out.
subscriber() {
    local name=$1
    shift
    start "$name" sh -c 'out=$1; shift; exec timeout 60 "$@" >"$out"' sh "$work/$name.out" "$@"
}
ended() { ! kill -0 "${started[-1]}"; }

subscriber ours "$bin/mqtt" "$url" subscribe to-us 2001
wait_for 10 grep -q 'to-us' "$work/mosquitto.log"
timeout 60 mosquitto_pub -p "$tcp" -t to-us -q 1 -l <"$work/to-us" || fail "mosquitto_pub failed"
wait_for 60 ended
same "mqtt: their publisher, our subscriber" "$work/to-us" "$work/ours.out"

subscriber theirs mosquitto_sub -p "$tcp" -t from-us -q 1 -C 2003
wait_for 10 grep -q 'from-us' "$work/mosquitto.log"
timeout 60 "$bin/mqtt" "$url" publish from-us <"$work/from-us" || fail "our publisher failed"
wait_for 60 ended
same "mqtt: our publisher, their subscriber" "$work/from-us" "$work/theirs.out"
end_started
