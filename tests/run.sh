#!/bin/bash
# `make test`: runs the stages below, in order, up to the first that fails. `tests/run.sh STAGE...`
# runs only those. Stages that are joined by + run at the same time, because one often waits while
# the other computes. Every build of the engine selects the whole workspace. The selected packages
# determine the features of dependencies, so another selection would build the engine a second time.

set -uo pipefail
cd "$(dirname "$0")/.." || exit

stages=(format+shell+walls clippy rust fifo+faults rings-only+c python+node
    conformance+install apps+go docs+dist shop+demo speed)
known=${stages[*]}
# Most tests wait for processes and use no CPU in the meantime, so at least six run at once.
processors=$(nproc)
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((processors > 6 ? processors : 6))}

stage() {
    case $1 in
        format) cargo fmt --all --check ;;
        shell) tests/shell.sh ;;
        walls)
            tests/architecture/walls.sh &&
                cargo test --locked --quiet --workspace --test architecture
            ;;
        clippy) cargo clippy --locked --workspace --all-targets --quiet -- -D warnings ;;
        rust) tests/rust.sh ;;
        fifo | rings-only)
            # Rings with direct channels are the default. The tests that depend on the channel run
            # again over named pipes, and over rings without direct channels.
            export NIGHTCORE_TEST_CHANNEL=$1
            cargo test --locked --quiet --workspace --test calls &&
                cargo test --locked --quiet --workspace --test processes -- \
                    shutdown:: kills:: leftovers::
            ;;
        c) tests/c/warnings.sh ;;
        go) tests/go.sh ;;
        python) tests/python.sh ;;
        node) tests/node.sh ;;
        conformance) tests/conformance/run.sh ;;
        faults)
            cargo run --locked --quiet --bin nightcore-soak -- --seconds 60
            ;;
        speed)
            cargo test --locked --quiet --workspace --test direct quiet:: -- \
                --ignored --test-threads=1 &&
                cargo build --locked --release --quiet -p nightcore-engine -p nightcore-c &&
                cargo run --locked --release --quiet -p nightcore-bench -- --check
            ;;
        apps) tests/apps/run.sh ;;
        docs)
            tests/docs/links.sh && tests/docs/facts.sh && tests/docs/site.sh &&
                tests/docs/snippets.sh && tests/docs/scripts.sh && tests/docs/deployment.sh
            ;;
        install) tests/install/install.sh ;;
        dist) tests/install/dist.sh ;;
        shop) tests/shop/run.sh ;;
        demo) tests/demo/demo.sh ;;
        *)
            echo "there is no stage $1; there are: ${known//+/ }"
            return 2
            ;;
    esac
}

# run STAGE: runs one stage, and records how long it took. A stage prints a line that begins with
# "skipped:" for each part that it leaves out.
run() {
    local began=$SECONDS
    echo "== $1"
    if ! stage "$1"; then
        echo
        echo "FAILED: stage $1, after $((SECONDS - began)) s. To run it alone: tests/run.sh $1"
        return 1
    fi
    echo "== $1 $((SECONDS - began)) s" | tee -a "$work/seconds"
}

# together STAGE...: runs the stages at the same time, and prints the output of each when all have
# ended.
together() {
    local name status=0
    local -A pids=()
    for name in "$@"; do
        run "$name" >"$work/$name.log" 2>&1 &
        pids[$name]=$!
    done
    for name in "$@"; do
        wait "${pids[$name]}" || status=1
        cat "$work/$name.log"
    done
    return $status
}

if (($# > 0)); then stages=("$@"); fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Background processes do not receive SIGINT from Ctrl-C, so the trap sends them SIGTERM.
trap 'trap - TERM; kill -TERM 0' INT
for names in "${stages[@]}"; do
    IFS=+ read -ra group <<<"$names"
    if ((${#group[@]} == 1)); then run "${group[0]}" 2>&1; else together "${group[@]}"; fi |
        tee >(grep '^skipped:' >>"$work/skipped") || exit
done
echo
sort -u "$work/skipped"
times=$(sed 's/^== //' "$work/seconds" | paste -sd , | sed 's/,/, /g')
echo "All stages passed in $SECONDS s: $times"
