#!/bin/bash
# build.sh LANGUAGE FOLDER BUILT: builds the conformance worker of a language somewhere in FOLDER, and prints the command
# that starts it, a word a line; the name of the function follows it. BUILT is where cargo has put the engine and
# libnightcore. How a language does it is in build/LANGUAGE.sh, which finds here:
#
#   $root     this repository
#   $folder   for what the language makes; it stays from one run to the next
#   $built    as above
#   $prefix   where Nightcore is installed, after `installed`; pkg-config finds it then
#   start     prints the command

set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck disable=SC2034 # As $built.
root=$PWD
language=$1
# shellcheck disable=SC2034 # The languages' files use it.
built=$3
prefix=$2/prefix
folder=$2/$language
mkdir -p "$folder"

# What tools say goes to standard error; the command alone is for standard output.
exec 3>&1 1>&2
start() { printf '%s\n' "$@" >&3; }

# Installs libnightcore and the header, once a run is enough but again does no harm.
installed() {
    make --no-print-directory --silent install PROFILE=dev "PREFIX=$prefix" "TARGET_DIR=$(dirname "$built")" >/dev/null
    export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
}

# needs TOOL PACKAGE: says what to install if it is not there.
needs() {
    command -v "$1" >/dev/null || {
        echo "$1 is not there: install $2"
        exit 1
    }
}

file=tests/conformance/build/$language.sh
if [[ ! -e tests/conformance/workers/$language ]]; then
    echo "there is no worker in tests/conformance/workers/$language"
    exit 1
fi
# shellcheck source=/dev/null
. "$file"
