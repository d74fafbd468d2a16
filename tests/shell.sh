#!/bin/bash
# Every shell script is clean for shellcheck, and can be run.

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
