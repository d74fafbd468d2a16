#!/bin/bash
# `make test-deep`: what takes too long for every change. `tests/deep.sh STAGE...` runs only those stages.

set -uo pipefail
cd "$(dirname "$0")/.." || exit

stages=(native-libs sanitizers address thread repeat)
runs=${RUNS:-50}

target=$(cargo metadata --locked --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')

# What a static library needs is what rustc says. Another way to build the library, so it has a folder of its own.
native-libs() {
    local said filed
    said=$(cargo rustc --locked --quiet --target-dir "$target/deep" -p nightcore-c --lib --crate-type staticlib -- \
        --print native-static-libs 2>&1 | sed -n 's/^note: native-static-libs: //p')
    filed=$(sed -n 's/^SYSTEM_LIBS = //p' Makefile)
    if [[ -z $said || $said != "$filed" ]]; then
        echo "rustc says that libnightcore.a needs \"$said\", the Makefile says \"$filed\""
        return 1
    fi
    echo "$said"
}

# The C and C++ programs of the tests under the compilers' sanitizers: they see what valgrind cannot, such as the stack.
sanitizers() { tests/c/sanitizers.sh; }

# The Rust side under AddressSanitizer and ThreadSanitizer. RUSTC_BOOTSTRAP lets the stable compiler do it.
sanitize() {
    local host
    host=$(rustc -vV | sed -n 's/^host: //p')
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=$1" ASAN_OPTIONS=detect_leaks=0 \
        cargo test --locked --quiet --target "$host" --target-dir "$target/$1" -p nightcore-runtime "${@:2}"
}
address() { sanitize address; }
thread() { sanitize thread; }

# Tests that start processes, many times: what happens once in fifty runs happens to somebody every day.
repeat() {
    local tests run
    cargo test --locked --workspace --no-run 2>/dev/null || return
    mapfile -t tests < <(git ls-files '*/tests/*.rs' 'tests/*.rs' | grep -v '/tests/.*/')
    for ((run = 1; run <= runs; run++)); do
        echo "run $run of $runs"
        cargo test --locked --workspace --quiet --test '*' >"$target/deep.log" 2>&1 || {
            cat "$target/deep.log"
            echo "run $run of $runs failed"
            return 1
        }
    done
}

if (($# > 0)); then stages=("$@"); fi
times=
for name in "${stages[@]}"; do
    echo "== $name"
    began=$SECONDS
    if ! "$name"; then
        echo
        echo "FAILED: $name, after $((SECONDS - began)) s. To run it alone: tests/deep.sh $name"
        exit 1
    fi
    times="$times${times:+, }$name $((SECONDS - began)) s"
done
echo
echo "All deep stages passed: $times"
