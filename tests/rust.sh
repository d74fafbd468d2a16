#!/bin/bash
# Runs the tests in Rust. Several test programs run at the same time, because many tests wait. Then
# the examples in the documentation run.

set -euo pipefail
cd "$(dirname "$0")/.."

# The number of test programs that run at the same time. Each of them runs RUST_TEST_THREADS tests.
programs=2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# run FOLDER PROGRAM: runs a test program in the folder of its package, as cargo does. The exit code
# 255 keeps xargs from starting further programs.
run() {
    local began=$SECONDS file=${2##*/}
    local name=${1##*/}/${file%-*}
    if ! (cd "$1" && "$2" --quiet) >"$work/$file" 2>&1; then
        cat "$work/$file"
        echo "FAILED: $name"
        return 255
    fi
    echo "$name $((SECONDS - began)) s"
}
export -f run
export work

# This pattern matches the lines in which cargo describes the test programs that it has built.
built='.*"manifest_path":"\([^"]*\)/Cargo.toml".*"profile":{[^}]*"test":true}.*'
built+='"executable":"\([^"]*\)".*'
cargo test --locked --quiet --workspace --no-run --message-format=json-render-diagnostics |
    sed -n "s|$built|\1 \2|p" | sort --reverse >"$work/programs"
# The programs in tests/ come first, because they take longest.
xargs --arg-file="$work/programs" --max-lines=1 --max-procs="$programs" bash -c 'run "$@"' run
cargo test --locked --quiet --workspace --doc
