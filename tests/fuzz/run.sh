#!/bin/bash
# `make fuzz`: looks for bytes that a target of tests/fuzz cannot bear. TARGET: one of them, else each in turn; SECONDS: how
# long each. What is found is written to TARGET_DIR/fuzz/found/, and the command that shows it again is printed.

set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:-60}
shift || true
target_dir=$(cargo metadata --locked --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
targets=("$@")
if ((${#targets[@]} == 0)); then targets=(tests/fuzz/seeds/*/); fi

# What `cargo fuzz` sets: the edges that were taken are counted, comparisons are seen, memory is watched. RUSTC_BOOTSTRAP lets
# the stable compiler do it.
coverage=(-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares)
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="--cfg fuzzing -Zsanitizer=address -Cdebug-assertions -Ccodegen-units=1 ${coverage[*]}"
cargo build --locked --quiet --release --target "$host" --target-dir "$target_dir" -p nightcore-fuzz --features fuzzer \
    --bin nightcore-fuzz
unset RUSTFLAGS

for target in "${targets[@]}"; do
    target=$(basename "$target")
    mkdir -p "$target_dir/corpus/$target" "$target_dir/found"
    echo "== $target, $seconds s"
    # Of descriptors and mappings a run has hundreds; what is kept for good shows as a leak.
    if ! NIGHTCORE_FUZZ_TARGET=$target ASAN_OPTIONS=detect_leaks=0 "$target_dir/$host/release/nightcore-fuzz" \
        -max_total_time="$seconds" -max_len=4096 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$target_dir/found/$target-" "$target_dir/corpus/$target" "tests/fuzz/seeds/$target" \
        >"$target_dir/$target.log" 2>&1; then
        tail -n 40 "$target_dir/$target.log"
        echo "again: NIGHTCORE_FUZZ_TARGET=$target $target_dir/$host/release/nightcore-fuzz FILE"
        exit 1
    fi
    sed -n 's/^stat::number_of_executed_units: */  runs: /p' "$target_dir/$target.log"
done
