#!/bin/sh
# Runs the conformance suite. By default, every case runs against every language, first over rings
# and then over named pipes; every pair of caller and callee runs over rings only. --languages c,go,
# --cases echo,pairs and --channel fifo run a part of the suite; --list prints all names.

cd "$(dirname "$0")/../.." || exit
exec cargo run --locked --quiet --bin nightcore-conformance -- "$@"
