#!/bin/bash
# Runs examples/demo.sh, as `make demo` does. Checks that the answers are right, even if the port is
# taken or tools are missing, and that the demo leaves no files behind.

set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/engine.sh

target=$(cargo metadata --locked --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
mkdir "$work/tmp"

# demo WHAT ROWS [PATH]: runs the demo, and checks that it prints ROWS right answers.
demo() {
    local what=$1 rows=$2 path=${3:-$PATH} status=0
    TMPDIR=$work/tmp PATH=$path examples/demo.sh </dev/null >"$work/out" 2>&1 || status=$?
    [[ $status == 0 ]] || { cat "$work/out"; fail "demo $what: exit code $status"; }
    [[ $(grep -c ' From function Bar: Hello, World ' "$work/out") == "$rows" ]] ||
        { cat "$work/out"; fail "demo $what: not $rows answers"; }
    [[ -z $(ls -A "$work/tmp") ]] || fail "demo $what: it left $(ls -A "$work/tmp") behind"
}

count=0
for language in "${CC:-cc}" "${CXX:-c++}" cargo go; do
    if command -v "${language%% *}" >/dev/null; then count=$((count + 1)); fi
done
compiled=$count
if command -v go >/dev/null; then compiled=$((count - 1)); fi
for language in python3 node; do
    if command -v "$language" >/dev/null; then count=$((count + 1)); fi
done
command -v curl >/dev/null || fail "curl is not there: install it"

demo "as it is" $((count * count))
cat "$work/out"

# only FOLDER TOOL...: makes a folder for PATH. It holds the tools that the demo always needs, and
# the named tools.
only() {
    local folder=$1 tool path
    shift
    mkdir "$folder"
    for tool in sh awk cargo cat cp date dirname env grep mkdir mkfifo mktemp rm rustc rustup sed \
        sort "$@"; do
        if path=$(command -v "$tool"); then ln -s "$path" "$folder/$tool"; fi
    done
}

# Programs that are already built need no compiler.
only "$work/no-compilers" curl
demo "without compilers" 1 "$work/no-compilers"
grep -q 'Skipped: C: there is no C compiler (cc)' "$work/out" ||
    { cat "$work/out"; fail "it does not say that C was skipped"; }
grep -q 'Skipped: C++: there is no C++ compiler (c++)' "$work/out" ||
    { cat "$work/out"; fail "it does not say that C++ was skipped"; }

only "$work/no-curl" cc c++ as ld
demo "without curl" "$compiled" "$work/no-curl"
grep -q 'Skipped: calls to a Bar of another language: they need curl' "$work/out" ||
    { cat "$work/out"; fail "it does not say what was skipped"; }

# The demo runs with port 8080 taken. If no other program listens there, an engine is started on it.
if ! (: </dev/tcp/127.0.0.1/8080) 2>/dev/null; then
    printf '[gateway]\nlisten = "127.0.0.1:8080"\n[functions.FooRust]\ncommand = ["%s"]\n' \
        "$target/debug/polyglot-rust" >"$work/nightcore.toml"
    start_engine "$target/debug/nightcore" "$work/nightcore.toml"
fi
demo "with port 8080 taken" $((count * count))
end_engine
grep -q 'port 8080 is taken' "$work/out" ||
    { cat "$work/out"; fail "it does not say that port 8080 is taken"; }

# The demo gets a signal to end while it runs.
TMPDIR=$work/tmp examples/demo.sh >"$work/out" 2>&1 &
pid=$!
until compgen -G "$work/tmp/*/log" >/dev/null; do
    kill -0 "$pid" || { cat "$work/out"; fail "the demo ended before it was told to"; }
    sleep 0.01
done
kill -TERM "$pid"
wait "$pid" && fail "the demo was told to end, and says that all went well"
[[ -z $(ls -A "$work/tmp") ]] || fail "it was told to end, and left $(ls -A "$work/tmp") behind"
