#!/bin/bash
# peer.sh PEER FOLDER: installs what the peer needs in FOLDER, unless it is there, and prints the
# command that becomes it, a word a line. PORT in its environment says where it listens.

set -euo pipefail
cd "$(dirname "$0")"
peer=$1
folder=$2
mkdir -p "$folder"

# What tools say goes to standard error; the command alone is for standard output.
exec 3>&1 1>&2

# unless_installed NAME FILE...: a folder of its own for what these ask for, made anew when they
# change.
unless_installed() {
    local stamp name=$1
    shift
    stamp=$(cat "$@" | sha256sum)
    installed=$folder/$name-installed
    if [[ -e $installed/stamp && $(<"$installed/stamp") == "$stamp" ]]; then return; fi
    rm -rf "$installed"
    mkdir -p "$installed"
    "install_$name" "$@"
    echo "$stamp" >"$installed/stamp"
}

# venv REQUIREMENTS
venv() {
    python3 -m venv "$installed"
    "$installed/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$1"
}

# packages FILE...: with a package.json and its lock.
packages() {
    cp "$@" .npmrc "$installed"
    (cd "$installed" && npm ci --silent --no-audit --no-fund)
}

install_requirements.txt() { venv "$@"; }
install_package.json() { packages "$@"; }
install_grpc_python() { venv "$@"; }
install_grpc_node() { packages "$@"; }

case $peer in
    fastapi | starlette)
        unless_installed requirements.txt requirements.txt
        command=("$installed/bin/python" -m uvicorn --app-dir "$PWD" --loop uvloop --http httptools
            --no-access-log --log-level warning "${peer}_echo:app")
        # uvicorn takes its port as an option only.
        # shellcheck disable=SC2016 # The shell that runs it fills it in.
        command=(sh -c 'exec "$@" --port "$PORT"' sh "${command[@]}")
        ;;
    express | node_http)
        unless_installed package.json package.json package-lock.json express.mjs node_http.mjs
        command=(node "$installed/$peer.mjs")
        ;;
    net_http)
        (cd net_http && go build -o "$folder/net_http" .)
        command=("$folder/net_http")
        ;;
    grpc_go)
        # It is not in the workspace, so that our own modules do without what it needs.
        (cd grpc/go && GOWORK=off go build -o "$folder/grpc_go" .)
        command=("$folder/grpc_go")
        ;;
    grpc_node)
        unless_installed grpc_node grpc/node/package.json grpc/node/package-lock.json \
            grpc/node/app.mjs grpc/app.proto
        command=(node "$installed/app.mjs")
        ;;
    grpc_python)
        unless_installed grpc_python grpc/python/requirements.txt
        command=("$installed/bin/python" "$PWD/grpc/python/app.py")
        ;;
    *)
        echo "there is no peer $peer"
        exit 1
        ;;
esac
printf '%s\n' "${command[@]}" >&3
