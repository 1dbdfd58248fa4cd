# Chromium, as client of our server's page.
apt_install chromium
npm_install playwright-core
export NODE_PATH=$cache/node/node_modules

# page VERSION SCHEME://HOST ARG...: the page of a server that is started with these arguments.
page() {
    local version=$1 origin=$2 name=chromium-${1//\//-}
    shift 2
    echo_server "$name" "$@"
    # It gets killed, which is nothing to report.
    disown "${started[-1]}"
    timeout 180 node "$here/chromium.cjs" "$origin:$port/" "$version" "$work/$name.log" "${started[-1]}" \
        ${screenshot:+"$screenshot"} || fail "chromium: $version"
    printf 'interop: %-40s ok\n' "chromium: $version"
}

page HTTP/1.1 http://127.0.0.1
page HTTP/2 https://localhost --tls "$work/cert.pem" "$work/key.pem"
if [ -n "$screenshot" ]; then
    apt_install optipng
    optipng -quiet -o5 "$screenshot"
fi
