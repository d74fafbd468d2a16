#!/bin/bash
# Runs hello in C and C++ under the compiler's sanitizers, with an engine. The sanitizers find
# errors that valgrind does not find.

set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/engine.sh

cargo build --locked --quiet --workspace --lib --bin nightcore
built=$(cargo metadata --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/debug
flags=(-g -O1 "-fsanitize=address,undefined" -fno-sanitize-recover=all -Iinclude)
libraries=("$built/libnightcore.a" -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc)
cc -std=c11 "${flags[@]}" examples/hello/c/hello.c -o "$work/c" "${libraries[@]}"
c++ -std=c++17 "${flags[@]}" examples/hello/cpp/hello.cpp -o "$work/cpp" "${libraries[@]}"

head -c 65536 /dev/zero | tr '\0' x >"$work/large"
for language in c cpp; do
    cat >"$work/nightcore.toml" <<END
[gateway]
listen = "127.0.0.1:0"
[functions.Foo]
command = ["./$language"]
[functions.Bar]
command = ["./$language"]
END
    start_engine "$built/nightcore" "$work/nightcore.toml"
    "$built/nightcore" invoke --dir "$work/engine" Foo --data Hello >"$work/answer"
    [[ $(cat "$work/answer") == "From function Bar: Hello, World" ]] ||
        fail "hello in $language gave $(cat "$work/answer")"
    "$built/nightcore" invoke --dir "$work/engine" Foo <"$work/large" >"$work/answer"
    [[ $(wc -c <"$work/answer") == $((19 + 65536 + 7)) ]] ||
        fail "a large hello in $language has the wrong length"
    end_engine
    # The function prints a sanitizer's reports, and the engine shows them.
    if grep -E 'Sanitizer|runtime error' "$work/log"; then
        fail "a sanitizer has something to say about hello in $language"
    fi
    echo "the sanitizers have nothing to say about hello in $language"
done
