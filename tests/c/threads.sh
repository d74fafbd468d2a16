#!/bin/bash
# Runs C programs under ThreadSanitizer, with an engine, over both channels. libnightcore and Rust's
# standard library are built for ThreadSanitizer too. It finds no races between processes.

set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/engine.sh

if [[ ! -e $(rustc --print sysroot)/lib/rustlib/src/rust/library/Cargo.lock ]]; then
    echo "skipped: the standard library's source is not installed: rustup component add rust-src"
    exit
fi
host=$(rustc -vV | sed -n 's/^host: //p')
target=$(cargo metadata --locked --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
cargo build --locked --quiet --workspace --lib --bin nightcore
RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=thread cargo build --locked --quiet -Zbuild-std \
    --target "$host" --target-dir "$target/thread" -p nightcore-c
library=$target/thread/$host/debug/libnightcore.a
# The sanitizer runtime comes from the compiler that has built the library, because a C compiler's
# runtime may be of a different version.
runtime=$(echo "$(rustc --print sysroot)/lib/rustlib/$host/lib"/librustc*_rt.tsan.a)
# compile PROGRAM SOURCE...: compiles and links the program for ThreadSanitizer.
compile() {
    local program=$1
    shift
    mkdir -p "$work/$program.d"
    (cd "$work/$program.d" && cc -std=c11 -D_GNU_SOURCE -g -O1 -fsanitize=thread \
        -I"$OLDPWD/include" -pthread -c "${@/#/$OLDPWD/}")
    cc -pthread -rdynamic "$work/$program.d"/*.o -o "$work/$program" "$library" \
        -Wl,--whole-archive "$runtime" -Wl,--no-whole-archive \
        -lstdc++ -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc
}
compile worker tests/workers/c/{main,answers,calls,processes,text,waits}.c
compile loop tests/workers/c/event_loop.c
compile threads tests/workers/c/threads.c

head -c 65536 /dev/zero | tr '\0' x >"$work/large"
for channel in ring fifo; do
    cat >"$work/nightcore.toml" <<END
[gateway]
listen = "127.0.0.1:0"
[defaults]
channel = "$channel"
env = { TSAN_OPTIONS = "halt_on_error=1" }
END
    for function in Call FanOut Fail TryCall; do
        printf '[functions.%s]\ncommand = ["./worker"]\n' "$function" >>"$work/nightcore.toml"
    done
    printf '[functions.%s]\ncommand = ["%s"]\n' Echo ./loop Race ./threads \
        >>"$work/nightcore.toml"
    start_engine "$target/debug/nightcore" "$work/nightcore.toml"
    # The function prints the first report and ends. The engine shows the report.
    look() {
        if grep -A 40 'ThreadSanitizer' "$work/log"; then
            fail "ThreadSanitizer has something to say over $channel"
        fi
    }
    # ask FUNCTION EXPECTED FILE: checks that the answer to the file has EXPECTED bytes.
    ask() {
        local answer=$work/answer.$BASHPID
        curl -s --data-binary "@$3" "$url/function/$1" >"$answer"
        [[ $(wc -c <"$answer") == "$2" ]] || fail "$1 over $channel gave: $(head -c 300 "$answer")"
    }
    # many FUNCTION EXPECTED FILE: lets four clients ask at the same time, 25 times each.
    many() {
        local client pids=() failed=0
        for client in 1 2 3 4; do
            for _ in {1..25}; do ask "$@"; done &
            pids+=("$!")
        done
        for client in "${pids[@]}"; do wait "$client" || failed=1; done
        ((failed == 0)) || { look; exit 1; }
    }
    printf 'four' >"$work/even"
    printf 'three' >"$work/odd"
    { printf 'Echo\n' && cat "$work/large"; } >"$work/call"
    printf 'Echo 50\nbody' >"$work/fan"
    many Echo 65536 "$work/large"
    many Call 65536 "$work/call"
    many FanOut 2 "$work/fan"
    many Race 8 "$work/even"
    many Race 70000 "$work/odd"
    printf 'Fail\nwhy' >"$work/call"
    curl -s --data-binary "@$work/call" "$url/function/TryCall" >"$work/answer"
    grep -q '^FUNCTION_FAILED' "$work/answer" ||
        fail "TryCall over $channel gave: $(cat "$work/answer")"
    end_engine
    look
    echo "ThreadSanitizer has nothing to say about C programs over $channel"
done
