# Rust, asynchronous handlers on tokio.
# shellcheck shell=bash disable=SC2154 # build.sh sets the variables.

. tests/languages/rust.sh
