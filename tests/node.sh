#!/bin/bash
# Checks the npm package: format, linter, types, and its tests with an engine.

set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v npm >/dev/null || (($(node -p 'process.versions.node.split(".")[0]') < 20)); then
    echo "skipped: Node.js 20 or later with npm is not there"
    exit 0
fi

cargo build --locked --quiet --workspace --lib --bin nightcore
target=$(cargo metadata --locked --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
cd languages/node
npm ci --silent --no-audit --no-fund
npx prettier --check --log-level warn .
mapfile -t programs < <(git ls-files --full-name --cached --others --exclude-standard \
    ':/*.js' ':/*.mjs' ':!.')
npx prettier --check --log-level warn --config .prettierrc.json --ignore-path /dev/null \
    "${programs[@]/#/../../}"
npx eslint .
npx tsc --project test/types --noEmit
echo "the package's files are clean"
PATH=$target/debug:$PATH node --test --test-reporter=dot test/*.test.js
