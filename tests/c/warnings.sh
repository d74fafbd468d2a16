#!/bin/bash
# Checks that every C and C++ source compiles without a warning, with each installed compiler.
# Programs that use every name of the headers must also compile with almost all of clang's warnings.

set -euo pipefail
cd "$(dirname "$0")/../.."

flags=(-O2 -Wall -Wextra -Wpedantic -Wvla -Werror -Iinclude -Ibench/functions -Ibench/floors)
# Tests use POSIX in addition to standard C. Sources define _GNU_SOURCE as empty, so the flag does
# the same to avoid a warning about a redefinition.
c_standard="-std=c11 -D_GNU_SOURCE="
mapfile -t c < <(git ls-files --cached --others --exclude-standard '*.c' ':!tests/docs')
# This test needs C++20. The header requires only C++17.
cpp20=tests/workers/cpp/cancel.cpp
# The C++ program of the shop needs another library, so tests/shop compiles it.
mapfile -t cpp < <(git ls-files --cached --others --exclude-standard \
    '*.cpp' ':!tests/docs' ':!examples/shop' ":!$cpp20")

# check COMPILER STANDARD SOURCE...: compiles each source, and fails on a warning.
check() {
    local compiler=$1 standard=$2
    shift 2
    for source in "$@"; do
        # shellcheck disable=SC2086 # $standard holds one or more flags.
        "$compiler" $standard "${flags[@]}" -c "$source" -o /dev/null
    done
    echo "$compiler: $# sources are clean"
}

for compiler in cc c++; do
    command -v "$compiler" >/dev/null ||
        { echo "$compiler is not there: install gcc and g++, or clang"; exit 1; }
done
check cc "$c_standard" "${c[@]}"
check c++ -std=c++17 "${cpp[@]}"
check c++ -std=c++20 "$cpp20"

# api.c must use every name of nightcore.h, except deprecated ones.
api=bindings/c/tests/programs/api
mapfile -t names < <(sed -e 's|//.*||' -e '/^NC_DEPRECATED/,/;/d' include/nightcore.h |
    grep -oE '\b(nc|NC)_[A-Za-z0-9_]+' | grep -vx NC_DEPRECATED | sort -u)
for name in "${names[@]}"; do
    grep -qw "$name" "$api.c" || { echo "$api.c does not use $name"; exit 1; }
done
echo "$api.c uses the ${#names[@]} names of nightcore.h"

# clang checks the same sources again, if it is installed.
if ! command -v clang >/dev/null || ! command -v clang++ >/dev/null; then
    echo "skipped: warnings of clang: clang is not there"
    exit 0
fi
check clang "$c_standard" "${c[@]}"
check clang++ -std=c++17 "${cpp[@]}"
check clang++ -std=c++20 "$cpp20"

# These warnings stay off: padding, a declaration after a statement, features that C++98 lacks, a
# class that is defined in a header only, and uses of raw pointers. Old versions of clang do not
# know the last two flags.
flags=(-Weverything -Werror -Iinclude -Wno-padded -Wno-unknown-warning-option
    -Wno-declaration-after-statement -Wno-c++98-compat -Wno-c++98-compat-pedantic -Wno-weak-vtables
    -Wno-unsafe-buffer-usage -Wno-switch-default)
check clang -std=c11 "$api.c"
check clang++ -std=c++17 "$api.cpp"
check clang++ -std=c++20 "$api.cpp"
