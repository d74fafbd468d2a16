#!/bin/bash
# `make test-deep`: runs the tests that take too long for every change. `tests/deep.sh STAGE...`
# runs only those stages.

set -uo pipefail
cd "$(dirname "$0")/.." || exit

stages=(native-libs targets sanitizers address thread valgrind fuzz clients counts channels repeat)

host=$(rustc -vV | sed -n 's/^host: //p')
target=$(cargo metadata --locked --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')

stage() {
    case $1 in
        native-libs) native_libs ;;
        targets) tests/install/targets.sh ;;
        sanitizers) tests/c/sanitizers.sh ;;
        address) address ;;
        thread) thread && tests/c/threads.sh ;;
        valgrind) tests/c/valgrind.sh ;;
        fuzz) tests/fuzz/run.sh 60 ;;
        clients)
            cargo test --locked --quiet --workspace --test http clients:: -- --ignored
            ;;
        counts)
            cargo run --locked --quiet --release -p nightcore-tests --bin nightcore-counts -- fifo
            ;;
        channels) channels ;;
        repeat) repeat ;;
        *)
            echo "there is no stage $1; there are: ${stages[*]}"
            return 2
            ;;
    esac
}

# Checks that the Makefile names the system libraries that rustc reports for the static library. The
# report needs a build with other flags, which therefore has a separate folder.
native_libs() {
    local said filed
    said=$(cargo rustc --locked --quiet --target-dir "$target/deep" -p nightcore-c --lib \
        --crate-type staticlib -- --print native-static-libs 2>&1 |
        sed -n 's/^note: native-static-libs: //p')
    filed=$(sed -n 's/^SYSTEM_LIBS = //p' Makefile)
    if [[ -z $said || $said != "$filed" ]]; then
        echo "rustc says that libnightcore.a needs \"$said\", the Makefile says \"$filed\""
        return 1
    fi
    echo "$said"
}

# Runs the worker runtime's tests under AddressSanitizer. RUSTC_BOOTSTRAP makes the stable compiler
# accept the flag.
address() {
    RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address ASAN_OPTIONS=detect_leaks=0 \
        cargo test --locked --quiet --target "$host" --target-dir "$target/address" \
        -p nightcore-runtime
}

# Runs the worker runtime's tests under ThreadSanitizer, with a standard library that is built for
# it. The loom tests are left out: ThreadSanitizer cannot follow loom's simulated threads.
thread() {
    if [[ ! -e $(rustc --print sysroot)/lib/rustlib/src/rust/library/Cargo.lock ]]; then
        echo "skipped: the standard library's source is not installed:" \
            "rustup component add rust-src"
        return
    fi
    RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=thread TSAN_OPTIONS=halt_on_error=1 \
        cargo test --locked --quiet -Zbuild-std --target "$host" --target-dir "$target/thread" \
        -p nightcore-runtime --lib --tests -- --skip ipc::bell
}

# `make test` runs conformance and the soak over rings with direct channels, or over both kinds of
# channels at once. This stage runs conformance with all pairs, and a minute of the soak, over each
# of the other ways alone.
channels() {
    local channel
    for channel in rings-only fifo; do
        echo "over $channel:"
        tests/conformance/run.sh --channel "$channel" &&
            NIGHTCORE_TEST_CHANNEL=$channel cargo run --locked --quiet \
                --bin nightcore-soak -- --seconds 60 || return
    done
}

# Runs the tests that start processes many times. The runs alternate between rings with direct
# channels, rings without them, and named pipes. A fault that appears once in fifty runs would
# affect some user every day.
repeat() {
    local run channel runs=${RUNS:-50}
    for ((run = 1; run <= runs; run++)); do
        case $((run % 3)) in
            0) channel=rings-only ;;
            1) channel=ring ;;
            2) channel=fifo ;;
        esac
        if ! NIGHTCORE_TEST_CHANNEL=$channel cargo test --locked --workspace --quiet --test '*' \
            >"$target/deep.log" 2>&1; then
            cat "$target/deep.log"
            echo "run $run of $runs failed, over $channel"
            return 1
        fi
        echo "run $run of $runs passed"
    done
}

if (($# > 0)); then stages=("$@"); fi
times=
for name in "${stages[@]}"; do
    echo "== $name"
    began=$SECONDS
    if ! stage "$name"; then
        echo
        echo "FAILED: $name, after $((SECONDS - began)) s. To run it alone: tests/deep.sh $name"
        exit 1
    fi
    times="$times${times:+, }$name $((SECONDS - began)) s"
done
echo
echo "All deep stages passed: $times"
