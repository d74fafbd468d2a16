#!/bin/sh
# The command `nightcore` of an npm package for several systems. It runs the engine for this system.

here=$(dirname "$(readlink -f "$0")")/../native
case $(uname -m) in
    x86_64) name=linux-x64 ;;
    aarch64) name=linux-arm64 ;;
    *) name=linux-$(uname -m) ;;
esac
# An engine for glibc starts only on a system with glibc. An engine for musl is static and starts on
# any system.
for engine in "$here/$name/nightcore" "$here/$name-musl/nightcore"; do
    if "$engine" --version >/dev/null 2>&1; then exec "$engine" "$@"; fi
done
echo "nightcore: none of the engines in $here runs on this machine ($(uname -m)):" \
    "install the npm package for it" >&2
exit 2
