#!/bin/bash
# `make fuzz`: looks for input that makes a target of tests/fuzz fail. TARGET names one target;
# without it each runs in turn. SECONDS is the time for each. Inputs that are found are written to
# TARGET_DIR/fuzz/found/, and the command that reproduces the failure is printed.

set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:-60}
shift || true
target_dir=$(cargo metadata --locked --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
targets=("$@")
if ((${#targets[@]} == 0)); then targets=(tests/fuzz/seeds/*/); fi

# The flags that `cargo fuzz` sets: they count the edges that were taken, trace comparisons, and
# check memory accesses. RUSTC_BOOTSTRAP lets the stable compiler accept them.
coverage=(-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares)
export RUSTC_BOOTSTRAP=1
flags=(--cfg fuzzing -Zsanitizer=address -Cdebug-assertions -Ccodegen-units=1 "${coverage[@]}")
export RUSTFLAGS="${flags[*]}"
cargo build --locked --quiet --release --target "$host" --target-dir "$target_dir" \
    -p nightcore-fuzz --features fuzzer --bin nightcore-fuzz
unset RUSTFLAGS

for target in "${targets[@]}"; do
    target=$(basename "$target")
    mkdir -p "$target_dir/corpus/$target" "$target_dir/found"
    echo "== $target, $seconds s"
    # A run has hundreds of descriptors and mappings; memory that is kept for good would show as a
    # leak.
    if ! NIGHTCORE_FUZZ_TARGET=$target ASAN_OPTIONS=detect_leaks=0 \
        "$target_dir/$host/release/nightcore-fuzz" -max_total_time="$seconds" -max_len=4096 \
        -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$target_dir/found/$target-" "$target_dir/corpus/$target" \
        "tests/fuzz/seeds/$target" >"$target_dir/$target.log" 2>&1; then
        tail -n 40 "$target_dir/$target.log"
        echo "again: NIGHTCORE_FUZZ_TARGET=$target $target_dir/$host/release/nightcore-fuzz FILE"
        exit 1
    fi
    sed -n 's/^stat::number_of_executed_units: */  runs: /p' "$target_dir/$target.log"
done
