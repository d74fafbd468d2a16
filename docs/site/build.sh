#!/bin/bash
# `make docs`: builds the documentation site from all Markdown files, and prints the page to open. A
# link, an anchor or a page that is not found is an error.

set -euo pipefail
cd "$(dirname "$0")/../.."

target=$(cargo metadata --locked --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
venv=$target/docs/venv
site=$target/docs/site
if ! cmp -s docs/site/requirements.txt "$venv/requirements.txt"; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check \
        --requirement docs/site/requirements.txt
    cp docs/site/requirements.txt "$venv/"
fi

# Builds all pages again, because an unchanged page can have a link to a heading that has changed.
rm -rf "$site"
"$venv/bin/python" -m sphinx --fail-on-warning --fresh-env --quiet --jobs auto \
    --conf-dir docs/site --doctree-dir "$target/docs/doctrees" . "$site"
cat >"$site/index.html" <<'END'
<!doctype html>
<meta http-equiv="refresh" content="0; url=README.html">
<a href="README.html">Nightcore</a>
END
echo "$site/index.html"
