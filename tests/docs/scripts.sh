#!/bin/bash
# Checks that the Python and JavaScript in README.md and docs/ runs, and that its tests pass. All
# blocks of a language form one program, in which `serve` accepts the handlers and returns. The test
# uses the packages that tests/apps has installed.

set -euo pipefail
cd "$(dirname "$0")/../.."

target=$(cargo metadata --locked --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
installed=$target/apps
work=$(mktemp -d "${TMPDIR:-/tmp}/nightcore-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
mapfile -t documents < <(git ls-files --cached --others --exclude-standard README.md 'docs/*.md')

# blocks WORD: prints all code blocks whose language is WORD, one after the other.
blocks() {
    awk -v word="$1" '/^```/ { inside = ($0 == "```" word); next } inside { print }' \
        "${documents[@]}"
}

if [[ -x $installed/venv/bin/python ]]; then
    {
        cat tests/docs/frame.py.txt
        blocks python
    } >"$work/test_blocks.py"
    "$installed/venv/bin/python" -m pytest --quiet -p no:cacheprovider "$work/test_blocks.py"
else
    echo "skipped: Python in documents: tests/apps/run.sh has not installed the package"
fi

if [[ -d $installed/express/node_modules ]]; then
    {
        cat tests/docs/frame.js.txt
        blocks js | grep '^import ' | grep -v '"nightcore"' | sort -u
        blocks js | grep -v '^import '
        echo 'console.log(served, "handlers are served");'
    } >"$installed/express/blocks.mjs"
    (cd "$installed/express" && node blocks.mjs)
else
    echo "skipped: JavaScript in documents: tests/apps/run.sh has not installed the package"
fi
