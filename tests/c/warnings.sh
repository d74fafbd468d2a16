#!/bin/bash
# Every C and C++ source compiles without a warning, by each compiler that is there.

set -euo pipefail
cd "$(dirname "$0")/../.."

flags=(-O2 -Wall -Wextra -Wpedantic -Wvla -Werror -Iinclude -Ibench/functions -Ibench/floors)
# Tests use POSIX beside the language; the empty value is the one that sources give it.
c_standard="-std=c11 -D_GNU_SOURCE="
mapfile -t c < <(git ls-files --cached --others --exclude-standard '*.c' ':!tests/docs')
# Newer than the header asks for.
cpp20=tests/workers/cpp/cancel.cpp
# The shop's needs another library, so tests/shop compiles it.
mapfile -t cpp < <(git ls-files --cached --others --exclude-standard '*.cpp' ':!tests/docs' ':!examples/shop' ":!$cpp20")

# check COMPILER STANDARD SOURCE...
check() {
    local compiler=$1 standard=$2
    shift 2
    for source in "$@"; do
        # shellcheck disable=SC2086 # A standard is one flag or more.
        "$compiler" $standard "${flags[@]}" -c "$source" -o /dev/null
    done
    echo "$compiler: $# sources are clean"
}

for compiler in cc c++; do
    command -v "$compiler" >/dev/null || { echo "$compiler is not there: install gcc and g++, or clang"; exit 1; }
done
check cc "$c_standard" "${c[@]}"
check c++ -std=c++17 "${cpp[@]}"
check c++ -std=c++20 "$cpp20"
# A second opinion, where there is one.
if command -v clang >/dev/null; then
    check clang "$c_standard" "${c[@]}"
    check clang++ -std=c++17 "${cpp[@]}"
    check clang++ -std=c++20 "$cpp20"
fi
