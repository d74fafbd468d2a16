#!/bin/bash
# prepare.sh BUILT: builds the measured workers of every language, and the peers that they are
# compared with, in target/bench. BUILT is the folder where cargo has put the engine and
# libnightcore. The script reports each program that this machine cannot build, and continues
# without it.

set -uo pipefail
cd "$(dirname "$0")/.." || exit

built=$1
work=target/bench

# prepare FOLDER NAME COMMAND...: runs COMMAND and saves its output, which is the command that
# starts NAME.
prepare() {
    local file=$work/$1/$2.command name=$2 said
    said=$work/$1/$2.build.log
    shift 2
    rm -f "$file"
    if "$@" >"$file.new" 2>"$said"; then
        mv "$file.new" "$file"
    else
        rm -f "$file.new"
        echo "skipped: $name: $(tail -n 1 "$said")"
    fi
}

mkdir -p "$work/workers" "$work/peers"
for language in cpp rust tokio go python asyncio node; do
    prepare workers "$language" \
        tests/languages/build.sh "$language" bench/workers "$PWD/$work/workers" "$built"
done
for peer in fastapi starlette express node_http net_http grpc_go grpc_node grpc_python; do
    prepare peers "$peer" bench/peers/peer.sh "$peer" "$PWD/$work/peers"
done
