#!/bin/bash
# Builds crates so that they run on old systems: `build.sh [--target TARGET] [CARGO ARGUMENT...]`,
# such as `-p nightcore-engine`. Prints the output folder.
#
# TARGET is a Rust target, such as aarch64-unknown-linux-gnu, and by default this machine's. A build
# for glibc runs with an old glibc, whatever version this machine has. A build for musl is static: a
# program runs everywhere, but a shared library cannot be made that way. With `--shared` the build
# links the system's musl instead.

set -euo pipefail
cd "$(dirname "$0")/.."

# Debian 10, RHEL 8 and all newer systems have this version or a later one. pip calls it
# manylinux_2_28.
oldest_glibc=2.28

target=$(rustc -vV | sed -n 's/^host: //p')
folder=packages
while (($# > 0)); do
    case $1 in
        --target)
            target=$2
            shift 2
            ;;
        --shared)
            # Cargo rebuilds everything when flags change, so these builds have a separate folder.
            folder=packages/shared
            export RUSTFLAGS="-C target-feature=-crt-static"
            shift
            ;;
        *) break ;;
    esac
done

built=$(cargo metadata --locked --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
tools=$built/packaging
if ! cmp -s packaging/requirements.txt "$tools/requirements.txt"; then
    python3 -m venv --clear "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check \
        --requirement packaging/requirements.txt
    cp packaging/requirements.txt "$tools/"
fi
if [[ ! -d $(rustc --print sysroot)/lib/rustlib/$target ]]; then
    echo "there is no standard library of Rust for $target: rustup target add $target" >&2
    exit 1
fi
case $target in
    *-linux-gnu) linked=$target.$oldest_glibc ;;
    *-linux-musl) linked=$target ;;
    *)
        echo "nothing is known about $target: it is to be Linux with glibc or musl" >&2
        exit 1
        ;;
esac
PATH=$tools/bin:$PATH cargo zigbuild --locked --quiet --release --target "$linked" \
    --target-dir "$built/$folder" "$@" >&2
echo "$built/$folder/$target/release"
