#!/bin/bash
# Checks the Python package: format, linter, types, and its tests with an engine. Uses a separate
# virtual environment.

set -euo pipefail
cd "$(dirname "$0")/.."

if ! python3 -c 'import sys, ensurepip, venv
sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    echo "skipped: Python 3.10 or later with venv is not there"
    exit 0
fi

cargo build --locked --quiet --workspace --lib --bin nightcore
target=$(cargo metadata --locked --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
venv=$target/python
stamp=$(sha256sum languages/python/requirements-dev.txt)
if [[ ! -e $venv/stamp || $(<"$venv/stamp") != "$stamp" ]]; then
    python3 -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --requirement languages/python/requirements-dev.txt
    echo "$stamp" >"$venv/stamp"
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check ./languages/python

mapfile -t sources < <(git ls-files --cached --others --exclude-standard '*.py' '*.pyi')
"$venv/bin/ruff" format --check --quiet --config languages/python/pyproject.toml "${sources[@]}" ||
    {
        echo "not as ruff formats it: ruff format --config languages/python/pyproject.toml FILE..."
        exit 1
    }
"$venv/bin/ruff" check --quiet --config languages/python/pyproject.toml "${sources[@]}"
(cd languages/python && "$venv/bin/mypy" src tests &&
    "$venv/bin/mypy" ../../examples/hello/python/hello.py)
# Pyright checks the installed package, as users see it, and a program that uses all of its API.
# The second run checks that every public type is known.
(cd languages/python && "$venv/bin/pyright" --warnings --pythonpath "$venv/bin/python")
# --verifytypes uses the first Python in PATH.
PATH=$venv/bin:$PATH "$venv/bin/pyright" --ignoreexternal --verifytypes nightcore \
    >"$venv/pyright.log" ||
    { cat "$venv/pyright.log"; exit 1; }
(cd languages/python && "$venv/bin/python" -m mypy.stubtest --concise nightcore._nightcore)
echo "${#sources[@]} files are clean"
(cd languages/python && PATH=$target/debug:$PATH \
    "$venv/bin/python" -m pytest --quiet -p no:cacheprovider "$@" tests)
