#!/bin/sh
# Runs the conformance suite: every case against every language, and against every pair of caller and callee.
# --languages c,go and --cases echo,pairs run some of it; --list names them all.

cd "$(dirname "$0")/../.." || exit
exec cargo run --locked --quiet -p nightcore-tests --bin nightcore-conformance -- "$@"
