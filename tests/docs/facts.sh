#!/bin/bash
# Compares what the documents say with the code: paths, tables of errors, messages, limits,
# commands, dependencies.

# shellcheck disable=SC2016 # The backticks belong to Markdown.

set -euo pipefail
cd "$(dirname "$0")/../.."

wrong=0
complain() {
    echo "$*"
    wrong=1
}

mapfile -t documents < <(git ls-files --cached --others --exclude-standard '*.md')

# Paths in documents for contributors exist.
for document in ARCHITECTURE.md CONTRIBUTING.md docs/PROTOCOL.md; do
    while IFS= read -r path; do
        [[ -e $path ]] || complain "$document: there is no $path"
    done < <(
        rooms='bench|bindings|docs|engine|examples|include|languages|load|runtime-core|tests'
        grep -oE "\`($rooms)/[a-zA-Z0-9_./-]*\`" "$document" | tr -d '`' | sort -u
    )
done

# rows DOCUMENT PATTERN: prints the table rows that match, without backticks and outer bars.
rows() { grep -E "$2" "$1" | tr -d '`' | sed -E 's/^\| *//; s/ *\|$//'; }

# Errors. The page for users has names and HTTP statuses. The protocol has numbers, names, titles.
table=$(sed -nE 's/^    [A-Za-z]+ = [0-9]+, "([A-Z_]+)", ([0-9]+), "(.*)";$/\1|\2|\3/p' \
    runtime-core/src/protocol/status.rs)
[[ -n $table ]] || complain "the table of errors is not found in the code"
ends=$(awk -F'|' '$1 == "INVALID_ARGUMENT" { exit } $1 != "OK"' <<<"$table")
users_table() {
    rows docs/errors.md '^\| `[A-Z_]+` \| [0-9]{3} \|' | awk -F' *\\| *' '{ print $1 "|" $2 }'
}
diff <(cut -d'|' -f1,2 <<<"$ends") <(users_table) ||
    complain "docs/errors.md: the table of errors is not the code's (<)"
failures() {
    sed -n '/^## Failures/,/^## Limits/p' docs/PROTOCOL.md |
        grep -E '^\| [0-9]+ \|' | sed -E 's/^\| //; s/ \|$//; s/ \| /|/g'
}
diff <(awk -F'|' '{ print NR "|" $1 "|" $3 }' <<<"$ends") <(failures) ||
    complain "docs/PROTOCOL.md: the table of errors is not the code's (<)"

# Messages. The protocol has the numbers of their kinds, and the offsets of the header's fields.
# kinds FILE ENUM: prints "number NAME" for each variant of the enum.
kinds() {
    sed -nE "/^pub(\(super\))? enum $2 /,/^}/s/^    ([A-Za-z]+) = ([0-9]+),/\2 \1/p" "$1" |
        sed -E 's/([a-z])([A-Z])/\1_\2/g' | tr '[:lower:]' '[:upper:]'
}
described() {
    sed -n "/^## $1/,/^## $2/p" docs/PROTOCOL.md |
        sed -nE 's/^\| ([0-9]+) \| ([A-Z_]+) \|.*/\1 \2/p'
}
diff <(kinds runtime-core/src/protocol/control/fixed.rs ControlKind) \
    <(described "Control messages" Channels) ||
    complain "docs/PROTOCOL.md: kinds of control messages are not the code's (<)"
diff <(kinds runtime-core/src/protocol/header.rs Kind) <(described Channels Waiting) ||
    complain "docs/PROTOCOL.md: kinds of messages are not the code's (<)"
header='s/.*offset_of!\(Header, ([a-z_]+)\) == ([0-9]+).*/\2 \1/p'
diff <(sed -nE "$header" runtime-core/src/protocol/header.rs) \
    <(sed -n '/^### Messages/,/^###/p' docs/PROTOCOL.md |
        sed -nE 's/^\| ([0-9]+) \| u[0-9]+ \| ([a-z_]+) \|.*/\1 \2/p') ||
    complain "docs/PROTOCOL.md: the header is not the code's (<)"

# Limits. A row of their tables looks like "| text | 32 KiB | `CONSTANT` |".
bytes() {
    local number=$1 unit=${2:-B} factor
    case $unit in
        B) factor=1 ;;
        KiB) factor=1024 ;;
        MiB) factor=$((1 << 20)) ;;
        GiB) factor=$((1 << 30)) ;;
        *) factor=0 ;;
    esac
    echo $((number * factor))
}
declare -A units=([KIB]=1024 [MIB]=1048576 [GIB]=1073741824)
# value CONSTANT: prints the constant's value, and expands the constants in its definition.
value() {
    local text word
    text=$(grep -rhE "const $1: (usize|u64|u32|u16) = " runtime-core/src engine/src |
        sed -E 's/.* = (.*);/\1/; s/ as [a-z0-9]+//g' | sort -u)
    while word=$(grep -oE '[A-Z][A-Z_]+' <<<"$text" | head -n 1) && [[ -n $word ]]; do
        text=${text//$word/${units[$word]:-$(value "$word")}}
    done
    echo $((text))
}
for document in docs/configuration.md docs/PROTOCOL.md; do
    while IFS='|' read -r _ _ said constant _; do
        read -r number unit <<<"$said"
        read -r constant <<<"${constant//\`/}"
        found=$(value "$constant")
        [[ $(bytes "$number" "$unit") == "$found" ]] ||
            complain "$document: $constant is $found, not $said"
    done < <(grep -E '^\|[^|]*\| [0-9]+( [KMG]?i?B)? \| `[A-Z_]+` \|' "$document")
done

# Commands.
commands() {
    sed -n '/^enum Command/,/^}/p' engine/src/cli/mod.rs | grep -v -A1 'hide = true' |
        sed -nE 's/^    ([A-Z][a-z]+)\(.*/\1/p' | grep -v Launcher | tr '[:upper:]' '[:lower:]'
}
diff <(commands | sort) \
    <(sed -nE 's/^\| `nightcore ([a-z]+).*/\1/p' docs/commands.md | sort) ||
    complain "docs/commands.md: the commands are not the program's (<)"

# Dependencies. CONTRIBUTING.md gives a reason for each of them.
dependency='s/^\([a-z][a-z0-9_-]*\) = .*/\1/p'
diff <(sed -n "/^\[workspace.dependencies\]/,/^\[/$dependency" Cargo.toml |
    grep -v '^nightcore' | sort) \
    <(sed -n '/^## Dependencies/,$p' CONTRIBUTING.md |
        sed -nE 's/^\| `([a-z0-9_-]+)`.*/\1/p' | sort) ||
    complain "CONTRIBUTING.md: the dependencies are not the workspace's (<)"
lean=$(for crate in nightcore-c nightcore; do
    cargo tree --locked --package "$crate" --edges normal --depth 2 --prefix none --format '{p}'
done | awk '{ print $1 }' | grep -v '^nightcore' | sort -u)
while IFS= read -r crate; do
    grep -qxF "$crate" <<<"$lean" ||
        complain "CONTRIBUTING.md: $crate is marked with *, and no worker links it"
done < <(sed -nE 's/^\| `([a-z0-9_-]+)`\* .*/\1/p' CONTRIBUTING.md)

# Targets of make.
while IFS=: read -r document target; do
    grep -q "^$target:.*## " Makefile || complain "$document: there is no target $target"
done < <(grep -oHE '`make [a-z-]+`' "${documents[@]}" | sed -E 's/`make (.*)`/\1/' | sort -u)

# Figures. Each one in the README must be in docs/PERFORMANCE.md.
figures() { grep -oE '[0-9]+([.,][0-9]+)*' | sort -u; }
section=$(sed -n '/^## What it gains and costs/,/^## /p' README.md)
[[ -n $section ]] || complain "README.md: there is no section about what Nightcore gains and costs"
while IFS= read -r figure; do
    complain "README.md: the figure $figure is not in docs/PERFORMANCE.md"
done < <(comm -23 <(figures <<<"$section") <(figures <docs/PERFORMANCE.md))

((wrong == 0)) || exit 1
echo "what the documents say of the code is true"
