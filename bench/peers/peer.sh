#!/bin/bash
# peer.sh PEER FOLDER: installs the peer's dependencies in FOLDER, unless they are installed there
# already, and prints the command that runs the peer, one word per line. The peer listens on the
# port in $PORT.

set -euo pipefail
cd "$(dirname "$0")"
peer=$1
folder=$2
mkdir -p "$folder"

# The output of the tools goes to standard error; only the command goes to standard output.
exec 3>&1 1>&2

# unless_installed NAME FILE...: installs the dependencies that these files list into a folder, and
# installs them again when the files change.
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

# venv REQUIREMENTS: creates a virtual environment with these requirements.
venv() {
    python3 -m venv "$installed"
    "$installed/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$1"
}

# packages FILE...: installs the npm packages of a package.json and its lock file.
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
        # uvicorn takes its port only as an option.
        # shellcheck disable=SC2016 # The shell that runs the command expands the variables.
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
        # The module is not in the workspace, so that our own modules do not get its dependencies.
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
