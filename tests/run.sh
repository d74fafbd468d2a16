#!/bin/bash
# `make test`: the stages below, in order, up to the first that fails. `tests/run.sh STAGE...` runs only those.

set -uo pipefail
cd "$(dirname "$0")/.." || exit

stages=(format shell walls clippy rust fifo rings-only c go python node conformance faults speed apps docs install dist shop demo)

stage() {
    case $1 in
        format) cargo fmt --all --check ;;
        shell) tests/shell.sh ;;
        walls)
            tests/architecture/walls.sh &&
                cargo test --locked --quiet -p nightcore-tests --test architecture
            ;;
        clippy) cargo clippy --locked --workspace --all-targets --quiet -- -D warnings ;;
        rust) cargo test --locked --workspace --quiet ;;
        fifo | rings-only)
            # Rings with direct channels are the default. What depends on the channel runs once more over
            # named pipes, and over rings without direct channels.
            export NIGHTCORE_TEST_CHANNEL=$1
            cargo test --locked --quiet -p nightcore-tests --test calls &&
                cargo test --locked --quiet -p nightcore-tests --test processes -- shutdown:: kills:: leftovers::
            ;;
        c) tests/c/warnings.sh ;;
        go) tests/go.sh ;;
        python) tests/python.sh ;;
        node) tests/node.sh ;;
        conformance) tests/conformance/run.sh ;;
        faults) cargo run --locked --quiet -p nightcore-tests --bin nightcore-soak -- --seconds 60 ;;
        speed)
            cargo build --locked --release --quiet -p nightcore-engine -p nightcore-c &&
                cargo run --locked --release --quiet -p nightcore-bench -- --check
            ;;
        apps) tests/apps/run.sh ;;
        docs) tests/docs/links.sh && tests/docs/facts.sh && tests/docs/site.sh && tests/docs/snippets.sh && tests/docs/scripts.sh ;;
        install) tests/install/install.sh ;;
        dist) tests/install/dist.sh ;;
        shop) tests/shop/run.sh ;;
        demo) tests/demo/demo.sh ;;
        *)
            echo "there is no stage $1; there are: ${stages[*]}"
            return 2
            ;;
    esac
}

if (($# > 0)); then stages=("$@"); fi
skipped=$(mktemp)
trap 'rm -f "$skipped"' EXIT
seconds=()
began_all=$SECONDS
for name in "${stages[@]}"; do
    echo "== $name"
    began=$SECONDS
    # What a stage leaves out it says in a line that begins with "skipped:".
    if ! stage "$name" 2>&1 | tee >(grep '^skipped:' >>"$skipped"); then
        echo
        echo "FAILED: stage $name, after $((SECONDS - began)) s. To run it alone: tests/run.sh $name"
        exit 1
    fi
    seconds+=("$name $((SECONDS - began)) s")
    echo "== ${seconds[-1]}"
done
echo
sort -u "$skipped"
printf -v times '%s, ' "${seconds[@]}"
echo "All ${#stages[@]} stages passed in $((SECONDS - began_all)) s: ${times%, }"
