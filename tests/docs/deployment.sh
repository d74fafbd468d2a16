#!/bin/bash
# Checks that the application of docs/deployment.md does what the page says. The engine runs as the
# init process of a PID namespace, on a read-only file system, and must shut down gracefully. Also
# checks that systemd accepts the unit and the drop-in.

set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/engine.sh

cargo build --locked --quiet --workspace --lib --bin nightcore
target=$(cargo metadata --locked --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
page=docs/deployment.md

# block N WORD: prints the Nth code block of the page whose language is WORD.
block() {
    awk -v word="$2" -v n="$1" '
        /^```/ && inside { inside = 0; next }
        /^```/ { inside = 1; shown = $0 == "```" word && ++count == n; next }
        inside && shown' "$page"
}

# Checks the unit alone, and with the drop-in.
if command -v systemd-analyze >/dev/null; then
    units=$work/units
    mkdir -p "$units/nightcore.service.d"
    # The program is not installed on this machine, so the unit names the one that was built.
    nightcore=$target/debug/nightcore
    unit=$units/nightcore.service
    sed "s|/usr/bin/nightcore|$nightcore|" deploy/nightcore.service >"$unit"
    systemd-analyze verify --man=no "$unit" 2>&1 | grep -F nightcore &&
        fail "systemd complains of the unit"
    block 1 ini | sed "s|/usr/bin/nightcore|$nightcore|" >"$unit.d/shop.conf"
    systemd-analyze verify --man=no "$unit" 2>&1 | grep -F nightcore &&
        fail "systemd complains of the drop-in"
    [[ $(grep -c "^Load" "$unit.d/shop.conf") == 1 ]] || fail "the page has no drop-in"
else
    echo "skipped: the unit of systemd: systemd-analyze is not there"
fi

python=$target/apps/venv
modules=$target/apps/express/node_modules
if [[ ! -x $python/bin/nightcore || ! -d $modules/nightcore ]]; then
    echo "skipped: the application of $page: tests/apps/run.sh has not installed the packages"
    exit 0
fi
namespaces=(--user --map-root-user --mount --pid --mount-proc --fork --kill-child)
if ! unshare "${namespaces[@]}" true 2>/dev/null; then
    echo "skipped: the application of $page: no namespaces can be made here"
    exit 0
fi

app=$work/app
mkdir -p "$app/secrets"
block 1 c >"$app/greet.c"
block 1 python >"$app/web.py"
block 1 js >"$app/shout.mjs"
block 1 toml >"$app/nightcore.toml"
block 1 text >"$app/secrets/web.env"
ln -s "$python" "$app/.venv"
ln -s "$modules" "$app/node_modules"
cc "$app/greet.c" -o "$app/greet" -Iinclude "$target/debug/libnightcore.a" \
    -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc

# The container's file system is read-only. Only the folder for the engine's directory can be
# written, and no file in it can be executed.
mkdir "$work/tmp" "$work/pipes"
mkfifo "$work/pipes/ready"
# shellcheck disable=SC2016 # The inner shell expands the variables.
unshare "${namespaces[@]}" bash -euc '
    work=$1 nightcore=$2
    mount -t tmpfs -o mode=1777,nosuid,nodev,noexec tmpfs "$work/tmp"
    mount --bind "$work/app" "$work/app"
    mount -o remount,bind,ro "$work/app"
    cd "$work/app"
    if touch here 2>/dev/null; then echo "the file system can be written"; exit 1; fi
    export LISTEN=127.0.0.1:0
    exec "$nightcore" up --dir "$work/tmp/engine" --ready-fd 3 3>"$work/pipes/ready"
' bash "$work" "$target/debug/nightcore" 2>"$work/log" &
engine_pid=$!
ready=
read -r ready <"$work/pipes/ready" || :
[[ $ready == ready:* && $ready != *failed:* ]] ||
    { cat "$work/log"; fail "the engine is not ready, and reported: ${ready:-nothing}"; }
url=${ready#ready: }
url=${url%%,*}

answer=$(curl --silent --show-error --max-time 20 --data World "$url/function/Shout")
[[ $answer == "$(block 2 text)" ]] || { cat "$work/log"; fail "Shout answers \"$answer\""; }
status=$(curl --silent --max-time 20 --output /dev/null --write-out '%{http_code}' \
    "$url/function/Web")
[[ $status == 404 ]] ||
    fail "clients can call Web"
for health in healthz readyz; do
    curl --silent --show-error --fail --max-time 20 --output /dev/null "$url/$health" ||
        fail "/$health does not answer 200"
done

# Sends SIGTERM to the init process, as `docker stop` does.
init=$(cat "/proc/$engine_pid/task/$engine_pid/children")
engine_pid=
kill -TERM "${init% }"
wait $! || { cat "$work/log"; fail "the engine did not end with 0 after SIGTERM"; }

echo "the application of $page answers \"$answer\""
