#!/bin/bash
# Checks that links in Markdown lead to existing files and headings of the repository, and that
# documents and sections named in sources exist. This test does not build the site; `make docs` also
# checks the pages that it builds.

set -euo pipefail
cd "$(dirname "$0")/../.."

wrong=0
complain() {
    echo "$*"
    wrong=1
}

# The files of the repository and their folders. Files that git ignores do not count, because other
# checkouts do not have them.
declare -A there=()
while IFS= read -r path; do
    while [[ -z ${there[$path]:-} ]]; do
        there[$path]=1
        [[ $path != */* ]] || path=${path%/*}
    done
done < <(git ls-files --cached --others --exclude-standard)

# scan DOCUMENT...: prints "heading DOCUMENT ANCHOR", with anchors as GitHub makes them, and "link
# DOCUMENT:LINE TARGET". Code is left out: code between fences, and code between backticks, which
# may begin on one line and end on the next.
scan() {
    awk '
        function end_paragraph(  target) {
            gsub(/`[^`]*`/, "", paragraph)
            while (match(paragraph, /\]\([^()]*(\([^()]*\)[^()]*)*\)/)) {
                target = substr(paragraph, RSTART + 2, RLENGTH - 3)
                paragraph = substr(paragraph, RSTART + RLENGTH)
                sub(/^ *<?/, "", target)
                sub(/>?( +"[^"]*")? *$/, "", target)
                print "link", document ":" begins, target
            }
            paragraph = ""
        }
        function heading(text,  anchor) {
            anchor = tolower(text)
            gsub(/\]\([^)]*\)/, "", anchor)
            gsub(/[^a-z0-9 _-]/, "", anchor)
            gsub(/ /, "-", anchor)
            if (seen[document, anchor]++) anchor = anchor "-" seen[document, anchor] - 1
            print "heading", document, anchor
        }
        FNR == 1 { end_paragraph(); in_code = 0; document = FILENAME }
        /^ *(```|~~~)/ { in_code = !in_code; end_paragraph(); next }
        in_code { next }
        /^ *$/ { end_paragraph(); next }
        /^#+ / { end_paragraph(); text = $0; sub(/^#+ +/, "", text); heading(text) }
        # Each table row and list entry is a paragraph of its own, so that messages name its line.
        /^ *[|*-]/ { end_paragraph() }
        /^\[[^]]+\]: / { print "link", document ":" FNR, $2; next }
        { if (paragraph == "") begins = FNR; paragraph = paragraph " " $0 }
        END { end_paragraph() }
    ' "$@"
}

mapfile -t documents < <(git ls-files --cached --others --exclude-standard '*.md')
declare -A headings=()
links=()
while read -r kind place target; do
    if [[ $kind == heading ]]; then headings[$place#$target]=1; else links+=("$place $target"); fi
done < <(scan "${documents[@]}")

# resolve DOCUMENT PATH: sets $resolved to the path from the root of the repository; the root itself
# is ".".
resolve() {
    local part parts=() kept=()
    IFS=/ read -ra parts <<<"$1/../$2"
    for part in "${parts[@]}"; do
        case $part in
            '' | .) ;;
            ..)
                if ((${#kept[@]} > 0)) && [[ ${kept[-1]} != .. ]]; then
                    unset 'kept[-1]'
                else
                    kept+=(..)
                fi
                ;;
            *) kept+=("$part") ;;
        esac
    done
    resolved=$(IFS=/; echo "${kept[*]:-.}")
}

for link in "${links[@]}"; do
    place=${link%% *} target=${link#* }
    document=${place%:*}
    case $target in http://* | https://*) continue ;; esac
    file=${target%%#*} resolved=$document
    [[ -z $file ]] || resolve "$document" "$file"
    if [[ -z ${there[$resolved]:-} ]]; then
        complain "$place: there is no file $target"
    elif [[ $target == *'#'* && -z ${headings[$resolved#${target#*#}]:-} ]]; then
        complain "$place: there is no heading $target"
    fi
done
((${#links[@]} > 100)) || complain "only ${#links[@]} links were found in Markdown files"

# A source names a page by its path. The name of a section follows in quotes, after a comma.
named=0
while IFS= read -r found; do
    [[ $found =~ ^([^:]+:[0-9]+):.?(docs/.+\.md)(, \"(.+)\")?$ ]] ||
        { complain "$found: not understood"; continue; }
    place=${BASH_REMATCH[1]} page=${BASH_REMATCH[2]} section=${BASH_REMATCH[4]}
    named=$((named + 1))
    if [[ -z ${there[$page]:-} ]]; then
        complain "$place: there is no file $page"
    elif [[ -n $section ]] && ! grep -qxF -e "## $section" -e "### $section" "$page"; then
        complain "$place: $page has no section \"$section\""
    fi
done < <(git grep --untracked -nIoE \
    '(^|[^A-Za-z0-9_./-])docs/[A-Za-z0-9/_-]+\.md(, "[^"]*")?' -- ':!*.md')
((named > 20)) || complain "only $named names of documents were found in sources"

((wrong == 0)) || exit 1
echo "${#links[@]} links lead to what is there, and so do $named names of documents in sources"
