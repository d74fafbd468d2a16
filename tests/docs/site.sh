#!/bin/bash
# Checks that `make docs` builds the documentation site without a warning, with a page for each
# Markdown file. The pages must load nothing over the network, so that they can be read offline.

set -euo pipefail
cd "$(dirname "$0")/../.."

if ! python3 -c 'import ensurepip, sys, venv
sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "skipped: the documentation site: it needs Python 3.11 or later with venv"
    exit 0
fi
index=$(make --no-print-directory docs)
[[ -s $index ]] || { echo "make docs said \"$index\" and not where the site begins"; exit 1; }
site=$(dirname "$index")

mapfile -t documents < <(git ls-files --cached --others --exclude-standard '*.md')
for document in "${documents[@]}"; do
    [[ -s $site/${document%.md}.html ]] || { echo "there is no page of $document"; exit 1; }
done
[[ -s $site/searchindex.js ]] || { echo "there is no index for the search"; exit 1; }
foreign='(src="|<link [^>]*href="|url\(["'\'']?)(https?:)?//[^")]*'
if grep -rnoE --include='*.html' --include='*.css' "$foreign" "$site"; then
    echo "these parts of the site come from elsewhere"
    exit 1
fi
echo "the site has ${#documents[@]} pages"
