#!/bin/bash
# Checks that examples/shop works when it is built only from the packages of `make dist`, and that
# its messages about typical mistakes say how to correct them. The test starts its own databases.

set -euo pipefail
cd "$(dirname "$0")/../.."

missing=()
for tool in c++:g++ cargo:rustup go:golang-go make:make npm:npm pkg-config:pkg-config \
    psql:postgresql-client redis-cli:redis-tools redis-server:redis-server; do
    command -v "${tool%%:*}" >/dev/null || missing+=("${tool#*:}")
done
python3 -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
    missing+=("Python 3.10 or later with venv")
(($(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0) >= 20)) ||
    missing+=("Node.js 20 or later")
command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null ||
    missing+=(postgresql)
c++ -fsyntax-only -include nlohmann/json.hpp -x c++ /dev/null 2>/dev/null ||
    missing+=(nlohmann-json3-dev)
if ((${#missing[@]} > 0)); then
    printf -v list '%s, ' "${missing[@]}"
    echo "skipped: the shop, as these are not there: ${list%, }"
    exit 0
fi

target=$(cargo metadata --locked --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
work=$(mktemp -d "${TMPDIR:-/tmp}/nightcore-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
# PostgreSQL runs as another user and has its folder in $work.
chmod 711 "$work"
# This folder is kept for the next run, with the files that pip, npm and cargo have put there.
shop=$target/shop
dist=$target/dist

rustfmt --check --edition 2024 examples/shop/recommend/src/main.rs
packaging/dist.sh "$dist" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
mkdir -p "$shop"
(cd examples/shop && git ls-files --cached --others --exclude-standard -z |
    xargs -0 cp --parents --target-directory "$shop")
# The packages have the same version as in the previous run, so pip, npm and go would keep the old
# files.
rm -rf "$shop"/.venv/lib/python*/site-packages/nightcore{,-*} \
    "$shop"/shop/node_modules/{nightcore,.package-lock.json} \
    "$shop"/gomodcache/{,cache/download/}github.com/nightcore
# The folder can be inside the repository, but its Go module is not part of the workspace.
export GOWORK=off
# Go's build cache distinguishes builds by these flags, but not by pkg-config's output.
export CGO_LDFLAGS="-O2 -g -L$shop/nightcore/lib" GOFLAGS=-modcacherw GOMODCACHE=$shop/gomodcache
make --directory "$shop" "DIST=$dist" CXXFLAGS="-O2 -Wall -Wextra -Wpedantic -Werror" \
    >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
echo "the shop is built from packages"

export SHOP=$shop DIST=$dist TMPDIR=$work PATH=$shop/nightcore/bin:$PATH
export PKG_CONFIG_PATH=$shop/nightcore/lib/pkgconfig
export PYTHONDONTWRITEBYTECODE=1
cd tests/shop
if (($# == 0)); then set -- shop mistakes page; fi
"$shop/databases.sh" "$shop/.venv/bin/python" -m unittest "$@"
