#!/bin/bash
# Checks which parts of the code may depend on which others, as ARCHITECTURE.md describes. The Rust
# test in this folder checks the rules that need a parser: cycles of imports, and the size of files
# and functions.

set -euo pipefail
cd "$(dirname "$0")/../.."

broken=0
complain() {
    echo "$*"
    broken=1
}

# never PATTERN REASON FILE...: checks that no line of code matches the pattern. Comments do not
# count. A file or folder that does not exist breaks the rule, because the rule would check nothing.
never() {
    local pattern=$1 reason=$2 path file hits
    shift 2
    for path in "$@"; do
        if [[ ! -e $path ]]; then
            complain "$reason: there is no $path"
            return
        fi
    done
    while IFS= read -r -d '' file; do
        hits=$(sed 's|//.*||' "$file" | grep -nE "$pattern" || :)
        if [[ -n $hits ]]; then
            complain "$reason:"
            while IFS= read -r hit; do echo "  $file:$hit"; done <<<"$hits"
        fi
    done < <(find "$@" -name '*.rs' -print0)
}

# never_in_rooms PATTERN REASON ROOM...: checks the same for rooms of the engine. Each room is a
# file, a folder, or both.
never_in_rooms() {
    local pattern=$1 reason=$2 room path found
    shift 2
    for room in "$@"; do
        found=
        for path in "engine/src/$room"{.rs,}; do
            if [[ -e $path ]]; then
                found=1
                never "$pattern" "$reason" "$path"
            fi
        done
        [[ -n $found ]] || complain "$reason: there is no room engine/src/$room"
    done
}

# depends CRATE: prints the crates that a crate is built with, including itself, one per line.
depends() {
    cargo tree --locked --package "$1" --edges normal --prefix none --format '{p}' |
        awk '{ print $1 }' | sort -u
}

# depends_never CRATE PATTERN REASON [CRATE]: checks that no dependency matches the pattern, except
# the crate itself and the crate in the last argument, if there is one.
depends_never() {
    local hits
    hits=$(depends "$1" | grep -vxF -e "$1" -e "${4:-$1}" | grep -xE "$2" | paste -sd ' ' || :)
    [[ -z $hits ]] || complain "$3: $1 depends on $hits"
}

async='tokio.*|hyper.*|futures.*|async-.*|mio|axum|tonic'
ours='nightcore.*'

depends_never nightcore-runtime "$ours" "the runtime knows no other crate of ours"
depends_never nightcore-runtime "$async" "the runtime has no async runtime"
for manifest in bindings/*/Cargo.toml languages/*/Cargo.toml; do
    crate=$(sed -n 's/^name = "\(.*\)"/\1/p' "$manifest" | head -n 1)
    # This crate generates sources, and is not part of any worker.
    if [[ $crate == nightcore-facts ]]; then continue; fi
    # napi depends on futures, which no code here uses.
    runtimes=$async
    if [[ $crate == nightcore-node ]]; then runtimes=${async//futures.\*/none}; fi
    depends_never "$crate" "$runtimes|mimalloc.*|.*jemalloc.*|serde.*|tracing.*" \
        "a worker stays lean"
    depends_never "$crate" "$ours" "a worker knows the runtime only" nightcore-runtime
done
depends_never nightcore-engine 'nightcore|nightcore-c|nightcore-bench' \
    "the engine knows the runtime and the load only"
depends_never nightcore-load "$ours" "a load can be for any server"
depends_never nightcore-bench "$ours" "the bench measures from outside" nightcore-load

io='std::(\{.*)?\b(io|fs|net|os|process|thread|env)\b|\b(tokio|libc|nix|hyper|memmap2)::'
io+='|\b(File|Instant|SystemTime|UNIX_EPOCH)\b|\bclock::|\bnow_ns\(\)|\be?print(ln)?!'

never "$io|crate::(ipc|worker|clock)\b" "the protocol does no I/O and knows nobody" \
    runtime-core/src/protocol
never 'crate::worker\b' "ipc does not know the worker" runtime-core/src/ipc
never 'nightcore_runtime::(\{.*)?worker\b' "the engine never uses the worker runtime" engine/src

# The rooms that know the engine as a whole, and below the scheduler with its parts.
around='gateway|launcher|observe|config|cli'
deciding='scheduler|calls|functions|pool'
pure=(scheduler calls functions pool ids)

never_in_rooms "$io|nightcore_runtime::ipc|crate::(\{.*)?(transport|core|$around|directory|up)\b" \
    "the scheduler is pure state: time is an argument, and it knows only the protocol" "${pure[@]}"
never_in_rooms "crate::(\{.*)?($deciding|core|$around)\b|\b[Ss]cheduler\b" \
    "the transport reports events and does not know who takes them" transport
never "$io|crate::(scheduler|core|transport|gateway|observe)\b" \
    "the supervisor is pure state" engine/src/launcher/supervisor.rs
never "nightcore_runtime::ipc|crate::(scheduler|core|transport|${around#*|})\b|\b(libc|nix)::" \
    "the gateway knows HTTP and nothing of pipes" engine/src/gateway
never "crate::($deciding|core|transport|gateway|launcher|observe|cli)\b" \
    "the configuration knows no other room" engine/src/config
never 'hyper|http_body' "only the gateway and the admin pages speak HTTP" \
    engine/src/{launcher,config}
never_in_rooms 'hyper|http_body' "only the gateway and the admin pages speak HTTP" \
    "${pure[@]}" core transport

# The code of a language may name only its own binding, or the header and libnightcore. The rules
# above check its crates.
for folder in languages/*/; do
    language=$(basename "$folder")
    if [[ -e $folder/Cargo.toml ]]; then continue; fi
    while IFS= read -r hit; do
        complain "languages/$language knows its binding, or include/ and libnightcore: $hit"
    done < <(git ls-files --cached --others --exclude-standard "$folder" |
        grep -E '\.(go|h|c|py|pyi|js|cjs|mjs|ts|mts|cts)$' |
        xargs -r grep -noHE '\.\./(engine|runtime-core|load|bench)/|(bindings|languages)/[a-z]+' |
        grep -vE ":(bindings|languages)/$language\$" || :)
done

# The shop is built from packages, like a program outside of the repository.
not_shop=':!examples/shop'

# All packages have the same version.
while IFS= read -r manifest; do
    grep -qx 'version.workspace = true' "$manifest" ||
        complain "$manifest: not the workspace's version"
done < <(git ls-files --cached --others --exclude-standard '*/Cargo.toml' "$not_shop")
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
grep -qxF "nightcore-runtime = { path = \"runtime-core\", version = \"$version\" }" Cargo.toml ||
    complain "Cargo.toml: nightcore-runtime has not the workspace's version, $version"
grep -qx "  \"version\": \"$version\"," languages/node/package.json ||
    complain "languages/node/package.json: not the workspace's version, $version"
grep -qx 'dynamic = \["version"\]' languages/python/pyproject.toml ||
    complain "languages/python/pyproject.toml: its version is its crate's"
while IFS= read -r hit; do
    complain "$hit: not the workspace's version, $version"
done < <(git ls-files --cached --others --exclude-standard '*go.mod' go.work |
    xargs grep -nE 'nightcore/languages/go v' | grep -v " v$version\b")

# A dependency and its version are declared once, in the workspace.
while IFS= read -r manifest; do
    hits=$(sed -n '/dependencies\]/,/^\[[^d]/p' "$manifest" | grep -E '^[a-z].*=' |
        grep -v 'workspace = true' || :)
    [[ -z $hits ]] || complain "$manifest: name dependencies in the workspace's Cargo.toml: $hits"
done < <(git ls-files --cached --others --exclude-standard '*/Cargo.toml' "$not_shop")

((broken == 0)) || exit 1
echo "every wall stands"
