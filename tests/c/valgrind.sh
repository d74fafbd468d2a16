#!/bin/bash
# Runs the C test worker under valgrind, with an engine, over both channels: small and large
# payloads, calls that fan out, errors.

set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/engine.sh

if ! command -v valgrind >/dev/null; then
    echo "skipped: valgrind is not installed"
    exit
fi
cargo build --locked --quiet --workspace --lib --bin nightcore
built=$(cargo metadata --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/debug
cc -std=c11 -D_GNU_SOURCE -g -O1 -Iinclude -pthread \
    tests/workers/c/{main,answers,calls,processes,text,waits}.c \
    -o "$work/worker" "$built/libnightcore.a" -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc

watched='["valgrind", "--quiet", "--error-exitcode=9", "--leak-check=full",
    "--errors-for-leak-kinds=definite", "--show-leak-kinds=definite", "./worker"]'
head -c 65536 /dev/zero | tr '\0' x >"$work/large"
for channel in ring fifo; do
    printf '[gateway]\nlisten = "127.0.0.1:0"\n[defaults]\nchannel = "%s"\n' "$channel" \
        >"$work/nightcore.toml"
    for function in Echo Call TryCall FanOut Fail; do
        printf '[functions.%s]\ncommand = %s\n' "$function" "$watched" >>"$work/nightcore.toml"
    done
    start_engine "$built/nightcore" "$work/nightcore.toml"
    # ask FUNCTION EXPECTED FILE: checks that the answer to the file has EXPECTED bytes.
    ask() {
        curl -s --data-binary "@$3" "$url/function/$1" >"$work/answer"
        [[ $(wc -c <"$work/answer") == "$2" ]] ||
            fail "$1 over $channel gave: $(head -c 300 "$work/answer")"
    }
    ask Echo 65536 "$work/large"
    { printf 'Echo\n' && cat "$work/large"; } >"$work/call"
    ask Call 65536 "$work/call"
    printf 'FanOut\nEcho 50\nbody' >"$work/call"
    ask Call 2 "$work/call"
    printf 'Fail\nwhy' >"$work/call"
    curl -s --data-binary "@$work/call" "$url/function/TryCall" >"$work/answer"
    grep -q '^FUNCTION_FAILED' "$work/answer" ||
        fail "TryCall over $channel gave: $(cat "$work/answer")"
    end_engine
    # The function prints valgrind's reports, and the engine shows them.
    if grep -E '==[0-9]+==' "$work/log"; then fail "valgrind has something to say over $channel"; fi
    echo "valgrind has nothing to say about the C worker over $channel"
done
