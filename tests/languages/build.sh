#!/bin/bash
# build.sh LANGUAGE WORKERS FOLDER BUILT: builds the worker program of a language, which is in
# WORKERS/LANGUAGE, somewhere in FOLDER, against what a user would install. Prints the command that
# starts it, a word a line. BUILT is the folder where cargo has put the engine and libnightcore.
# LANGUAGE.sh builds the program of its language, and finds here:
#
#   $root      this repository
#   $sources   the folder of the worker
#   $folder    for what the language makes; it stays from one run to the next
#   $built     as above
#   $profile   of cargo, as BUILT has it
#   $prefix    where Nightcore is installed, after `installed`; pkg-config finds it then
#   start      prints the command

set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
language=$1
# shellcheck disable=SC2034 # The languages' files use these.
sources=$root/$2/$language
built=$4
profile=$(basename "$built")
if [[ $profile == debug ]]; then profile=dev; fi
prefix=$3/prefix
folder=$3/$language
mkdir -p "$folder"

# The output of tools goes to standard error. Only the command goes to standard output.
exec 3>&1 1>&2
start() { printf '%s\n' "$@" >&3; }

# Installs libnightcore and the header, once a run is enough but again does no harm.
installed() {
    make --no-print-directory --silent install IS_BUILDER= PROFILE="$profile" \
        "PREFIX=$prefix" "TARGET_DIR=$(dirname "$built")" >/dev/null
    export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
}

# needs TOOL PACKAGE: says what to install if it is not there.
needs() {
    command -v "$1" >/dev/null || {
        echo "$1 is not there: install $2"
        exit 1
    }
}

if [[ ! -e $sources ]]; then
    echo "there is no worker in $2/$language"
    exit 1
fi
# shellcheck source=/dev/null
. "tests/languages/$language.sh"
