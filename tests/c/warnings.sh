#!/bin/bash
# Every C and C++ source compiles without a warning, by each compiler that is there. clang also has
# nothing to say, with all warnings that it knows, about programs that use all of the headers.

set -euo pipefail
cd "$(dirname "$0")/../.."

flags=(-O2 -Wall -Wextra -Wpedantic -Wvla -Werror -Iinclude -Ibench/functions -Ibench/floors)
# Tests use POSIX beside the language; the empty value is the one that sources give it.
c_standard="-std=c11 -D_GNU_SOURCE="
mapfile -t c < <(git ls-files --cached --others --exclude-standard '*.c' ':!tests/docs')
# Newer than the header asks for.
cpp20=tests/workers/cpp/cancel.cpp
# The shop's needs another library, so tests/shop compiles it.
mapfile -t cpp < <(git ls-files --cached --others --exclude-standard \
    '*.cpp' ':!tests/docs' ':!examples/shop' ":!$cpp20")

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
    command -v "$compiler" >/dev/null ||
        { echo "$compiler is not there: install gcc and g++, or clang"; exit 1; }
done
check cc "$c_standard" "${c[@]}"
check c++ -std=c++17 "${cpp[@]}"
check c++ -std=c++20 "$cpp20"

# api.c uses every name of nightcore.h, but for old ones.
api=bindings/c/tests/programs/api
mapfile -t names < <(sed -e 's|//.*||' -e '/^NC_DEPRECATED/,/;/d' include/nightcore.h |
    grep -oE '\b(nc|NC)_[A-Za-z0-9_]+' | grep -vx NC_DEPRECATED | sort -u)
for name in "${names[@]}"; do
    grep -qw "$name" "$api.c" || { echo "$api.c does not use $name"; exit 1; }
done
echo "$api.c uses the ${#names[@]} names of nightcore.h"

# A second opinion, where there is one.
if ! command -v clang >/dev/null || ! command -v clang++ >/dev/null; then
    echo "skipped: warnings of clang: clang is not there"
    exit 0
fi
check clang "$c_standard" "${c[@]}"
check clang++ -std=c++17 "${cpp[@]}"
check clang++ -std=c++20 "$cpp20"

# Padding is no fault, and neither are a variable beside its first use, C++11, a class that is whole
# in its header, and a pointer. The last two warnings are of newer compilers.
flags=(-Weverything -Werror -Iinclude -Wno-padded -Wno-unknown-warning-option
    -Wno-declaration-after-statement -Wno-c++98-compat -Wno-c++98-compat-pedantic -Wno-weak-vtables
    -Wno-unsafe-buffer-usage -Wno-switch-default)
check clang -std=c11 "$api.c"
check clang++ -std=c++17 "$api.cpp"
check clang++ -std=c++20 "$api.cpp"
