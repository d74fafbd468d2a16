#!/bin/bash
# Every C and C++ source compiles without a warning, by each compiler that is there.

set -euo pipefail
cd "$(dirname "$0")/../.."

flags=(-O2 -Wall -Wextra -Wpedantic -Wvla -Werror -Iinclude -Ibench/functions -Ibench/floors)
# Tests use POSIX beside the language; the empty value is the one that sources give it.
c_standard="-std=c11 -D_GNU_SOURCE="
mapfile -t c < <(git ls-files --cached --others --exclude-standard '*.c' ':!tests/docs')
mapfile -t cpp < <(git ls-files --cached --others --exclude-standard '*.cpp' ':!tests/docs')

# check COMPILER STANDARD SOURCE...
check() {
    local compiler=$1 standard=$2
    shift 2
    if ! command -v "$compiler" >/dev/null; then
        echo "skipped: warnings of $compiler, which is not there"
        return
    fi
    for source in "$@"; do
        # shellcheck disable=SC2086 # A standard is one flag or more.
        "$compiler" $standard "${flags[@]}" -c "$source" -o /dev/null
    done
    echo "$compiler: $# sources are clean"
}

command -v cc >/dev/null || { echo "there is no C compiler: install gcc or clang"; exit 1; }
check cc "$c_standard" "${c[@]}"
check c++ -std=c++17 "${cpp[@]}"
check clang "$c_standard" "${c[@]}"
check clang++ -std=c++17 "${cpp[@]}"
