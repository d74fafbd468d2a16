# Builds the worker in Rust whose handlers are asynchronous and run on tokio.
# shellcheck shell=bash disable=SC2154 # build.sh sets the variables.

. tests/languages/rust.sh
