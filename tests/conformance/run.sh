#!/bin/sh
# Runs the conformance suite: every case against every language over each kind of channel, and every
# pair of caller and callee over the first kind. --languages c,go, --cases echo,pairs and --channel
# fifo run a part of the suite; --list prints all names.

cd "$(dirname "$0")/../.." || exit
exec cargo run --locked --quiet --bin nightcore-conformance -- "$@"
