# Rust: by cargo, in this workspace.
# shellcheck shell=bash disable=SC2154 # build.sh sets the variables.

cargo build --locked --quiet -p nightcore-conformance-worker --target-dir "$(dirname "$built")"
start "$built/nightcore-conformance-worker"
