#!/bin/bash
# run.sh [APP...]: checks that the apps of examples/apps give the same answers on their own servers
# and as functions.

set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/engine.sh

cargo build --locked --quiet --workspace --lib --bin nightcore
target=$(cargo metadata --locked --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
nightcore=$target/debug/nightcore
kept=$target/apps
mkdir -p "$kept"

own_pid=
end_own() {
    if [[ -n $own_pid ]]; then
        kill -TERM "$own_pid" 2>/dev/null || :
        wait "$own_pid" 2>/dev/null || :
        own_pid=
    fi
}
trap 'end_own; clean_up' EXIT

python_packages() {
    local stamp
    stamp=$(sha256sum tests/apps/requirements.txt)
    if [[ ! -e $kept/venv/stamp || $(<"$kept/venv/stamp") != "$stamp" ]]; then
        python3 -m venv --clear "$kept/venv"
        "$kept/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
            --requirement tests/apps/requirements.txt
        echo "$stamp" >"$kept/venv/stamp"
    fi
    "$kept/venv/bin/python" -m pip install --quiet --disable-pip-version-check ./languages/python
}

express() {
    mkdir -p "$kept/express"
    cp examples/apps/express/app.mjs examples/apps/express/.npmrc "$kept/express/"
    sed "s|file:../../../languages/node|file:$PWD/languages/node|" \
        examples/apps/express/package.json >"$kept/express/package.json"
    (cd "$kept/express" && npm install --silent --no-audit --no-fund --no-package-lock)
}

go_app() {
    make --no-print-directory --silent install IS_BUILDER= PROFILE=dev \
        "PREFIX=$kept/prefix" "TARGET_DIR=$target" >/dev/null
    # Go's build cache distinguishes builds by these flags, but not by pkg-config's output.
    (cd examples/apps/chi && CGO_LDFLAGS="-O2 -g -L$kept/prefix/lib" \
        PKG_CONFIG_PATH=$kept/prefix/lib/pkgconfig go build -o "$kept/chi" .)
}

# own COMMAND...: starts the app's own server on $PORT, and waits until it listens.
own() {
    "$@" >"$work/own.log" 2>&1 &
    own_pid=$!
    for _ in $(seq 1000); do
        if (: <"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; then return; fi
        kill -0 "$own_pid" 2>/dev/null ||
            { cat "$work/own.log"; fail "the app's own server has ended"; }
        sleep 0.01
    done
    cat "$work/own.log"
    fail "the app's own server does not listen"
}

# as_function FUNCTION ROUTE COMMAND: starts an engine with the app as a function. COMMAND is TOML.
as_function() {
    cat >"$work/nightcore.toml" <<END
[gateway]
listen = "127.0.0.1:0"
[functions.$1]
command = $3
route = "$2"
env_inherit = ["NODE_ENV", "PYTHONHASHSEED"]
[functions.Upper]
command = ["$kept/venv/bin/python", "$PWD/examples/apps/upper.py"]
external = false
END
    start_engine "$nightcore" "$work/nightcore.toml"
}

compare() {
    python3 tests/apps/compare.py "$1" "$PORT" "$2" "${url##*:}" "$3" ||
        { tail -n 20 "$work/own.log" "$work/log"; fail "$1 differs"; }
    end_own
    end_engine || fail "the engine did not end well"
}

apps=("$@")
if ((${#apps[@]} == 0)); then apps=(fastapi flask express chi); fi
python_packages
# With these settings answers contain no stack traces, and sets have a fixed order.
export NODE_ENV=production PYTHONHASHSEED=0
for app in "${apps[@]}"; do
    PORT=$(python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
    export PORT
    case $app in
        fastapi)
            own "$kept/venv/bin/uvicorn" --app-dir examples/apps/fastapi --port "$PORT" \
                --root-path /fastapi app:app

            as_function FastApi /fastapi \
                "[\"$kept/venv/bin/python\", \"$PWD/examples/apps/fastapi/app.py\"]"
            compare fastapi "" /fastapi
            ;;
        flask)
            SCRIPT_NAME=/flask own "$kept/venv/bin/gunicorn" --chdir examples/apps/flask \
                --bind "127.0.0.1:$PORT" app:app
            as_function Flask /flask \
                "[\"$kept/venv/bin/python\", \"$PWD/examples/apps/flask/app.py\"]"
            compare flask /flask /flask
            ;;
        express)
            command -v npm >/dev/null || { echo "skipped: express: npm is not there"; continue; }
            express
            own env node "$kept/express/app.mjs"
            as_function Express / "[\"node\", \"$kept/express/app.mjs\"]"
            compare express "" ""
            ;;
        chi)
            command -v go >/dev/null || { echo "skipped: chi: Go is not there"; continue; }
            go_app
            own "$kept/chi"
            as_function Chi / "[\"$kept/chi\"]"
            compare chi "" ""
            ;;
        *) fail "there is no app $app" ;;
    esac
done
