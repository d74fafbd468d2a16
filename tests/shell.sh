#!/bin/bash
# Checks that shellcheck finds no fault in any shell script, and that scripts are executable.

set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t scripts < <(git ls-files --cached --others --exclude-standard '*.sh' .ci/run)
for script in "${scripts[@]}"; do
    if [[ $(head -c 2 "$script") == '#!' && ! -x $script ]]; then
        echo "$script has a first line that says how to run it, but is not executable"
        exit 1
    fi
done
if ! command -v shellcheck >/dev/null; then
    echo "skipped: shellcheck is not there"
    exit 0
fi
shellcheck --external-sources "${scripts[@]}"
echo "${#scripts[@]} scripts are clean"
