# What the scripts that run real programs share: sourced, with bash. Everything that is started ends
# with the script, and its output is shown if it fails. `$work` is a directory for the run.

work=$(mktemp -d)
started=()

# end_started: ends what runs in the background.
end_started() {
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    started=()
}

cleanup() {
    end_started
    rm -rf "$work"
}
trap cleanup EXIT

# target_directory: where cargo builds.
target_directory() {
    cargo metadata --locked --no-deps --format-version 1 |
        sed 's/.*"target_directory":"\([^"]*\)".*/\1/'
}

fail() {
    printf '%s: %s\n' "$0" "$*" >&2
    tail -n 20 "$work"/*.log 2>/dev/null | cut -c 1-300 >&2 || true
    exit 1
}

# wait_for SECONDS CONDITION...: until the condition holds.
wait_for() {
    local tries=$(($1 * 20))
    shift
    until "$@" 2>/dev/null; do
        ((tries-- > 0)) || fail "waited in vain for: $*"
        sleep 0.05
    done
}

# start NAME COMMAND...: in the background, with its output in NAME.log.
start() {
    local name=$1
    shift
    # At once, so that nobody reads what an earlier program of this name has said.
    : >"$work/$name.log"
    "$@" >>"$work/$name.log" 2>&1 &
    started+=($!)
}

# listening NAME COMMAND...: starts what says where it listens, and sets `port`.
listening() {
    start "$@"
    wait_for 10 grep -q '^listening on .*:' "$work/$1.log"
    port=$(sed -n 's/^listening on .*:\([0-9]*\)$/\1/p' "$work/$1.log")
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# apt_install PACKAGE...: those that are missing.
apt_install() {
    local missing=()
    for package in "$@"; do dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package"); done
    if ((${#missing[@]})); then
        apt-get update -qq >/dev/null
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    fi
}

# pip_install PACKAGE...: into a virtual environment under `$cache`, which is kept.
pip_install() {
    python3 -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
    [ -x "$cache/venv/bin/python" ] || python3 -m venv "$cache/venv"
    "$cache/venv/bin/python" -m pip install -q --disable-pip-version-check "$@"
}
