#!/bin/bash
# Builds crates so that they run with an old glibc: `build.sh [CARGO ARGUMENT...]`, such as `-p nightcore-engine`.
# Prints the folder they are in.

set -euo pipefail
cd "$(dirname "$0")/.."

# Debian 10, RHEL 8 and all that is newer; pip calls it manylinux_2_28.
oldest_glibc=2.28

target=$(cargo metadata --locked --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
tools=$target/packaging
if ! cmp -s packaging/requirements.txt "$tools/requirements.txt"; then
    python3 -m venv --clear "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check --requirement packaging/requirements.txt
    cp packaging/requirements.txt "$tools/"
fi
host=$(rustc -vV | sed -n 's/^host: //p')
PATH=$tools/bin:$PATH cargo zigbuild --locked --quiet --release --target "$host.$oldest_glibc" \
    --target-dir "$target/packages" "$@" >&2
echo "$target/packages/$host/release"
