#!/bin/bash
# build.sh LANGUAGE WORKERS FOLDER BUILT: builds the worker program of a language against the files
# that a user would install. The source is in WORKERS/LANGUAGE, and the output goes to FOLDER. BUILT
# is the folder in which cargo has put the engine and libnightcore. Prints the command that starts
# the worker, one word per line.
#
# LANGUAGE.sh builds the program of its language. It can use:
#
#   $root      this repository
#   $sources   the folder of the worker
#   $folder    the folder for the language's output, which is kept between runs
#   $built     the folder BUILT
#   $profile   the cargo profile of the files in BUILT
#   $prefix    the folder in which `installed` installs Nightcore, where pkg-config then finds it
#   start      prints the command that starts the worker

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

# Installs libnightcore and the header. A second call in the same run is harmless.
installed() {
    make --no-print-directory --silent install IS_BUILDER= PROFILE="$profile" \
        "PREFIX=$prefix" "TARGET_DIR=$(dirname "$built")" >/dev/null
    export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
}

# needs TOOL PACKAGE: fails if the tool is missing, with a message that names the package.
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
