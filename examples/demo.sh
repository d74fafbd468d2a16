#!/bin/sh
# `make demo` builds the engine and the examples, and starts one engine with functions in every
# language whose toolchain is installed. Each function then calls each other one, and one request
# goes through all of them. On a terminal the engine keeps running until Ctrl-C.

set -eu
cd "$(dirname "$0")/.."

engine=
work=

fail() {
    printf '\ndemo: %s\n' "$*" >&2
    exit 1
}

# Ends the engine, which ends the processes that it started, and removes the files of this run.
# shellcheck disable=SC2317 # The trap calls it.
clean_up() {
    trap '' INT TERM HUP
    if [ -n "$engine" ]; then
        kill -TERM "$engine" 2>/dev/null || :
        wait "$engine" 2>/dev/null || :
    fi
    if [ -n "$work" ]; then rm -rf "$work"; fi
}

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# Find the languages whose toolchains are installed.

command -v cargo >/dev/null || fail "cargo is not there, and the engine is written in Rust:" \
    "install rustup, see https://rustup.rs"
cc=${CC:-cc}
cxx=${CXX:-c++}
languages=
skipped=
if command -v "${cc%% *}" >/dev/null; then
    languages="C"
else
    skipped="C: there is no C compiler (${cc%% *})"
fi
if command -v "${cxx%% *}" >/dev/null; then
    languages="$languages Cpp"
else
    skipped="${skipped:+$skipped
}C++: there is no C++ compiler (${cxx%% *})"
fi
languages="$languages Rust"
if command -v go >/dev/null && command -v "${cc%% *}" >/dev/null; then
    languages="$languages Go"
else
    skipped="${skipped:+$skipped
}Go: there is no Go, or no C compiler for cgo"
fi
if python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    languages="$languages Python"
else
    skipped="${skipped:+$skipped
}Python: there is no Python 3.10 or later (python3)"
fi
if command -v node >/dev/null; then
    languages="$languages Node"
else
    skipped="${skipped:+$skipped
}Node: there is no Node.js (node)"
fi

# Build with cargo's dev profile, which compiles fastest. `make bench` measures speed.

echo "Building the engine, libnightcore and the functions." \
    "The first time this takes a minute or two."
bindings=
case $languages in *Python*) bindings="-p nightcore-python" ;; esac
case $languages in *Node*) bindings="$bindings -p nightcore-node" ;; esac
# A separate command builds the bindings, so that the first build is the same for all languages.
# shellcheck disable=SC2086 # $bindings has several words.
if ! cargo build --locked --quiet \
    -p nightcore-engine -p nightcore-c -p polyglot-rust -p relay-rust ||
    { [ -n "$bindings" ] && ! cargo build --locked --quiet $bindings; }; then
    command -v "${cc%% *}" >/dev/null ||
        fail "the build failed; it needs a C compiler as well: install gcc or clang"
    fail "the build failed; the errors are above"
fi
target=$(cargo metadata --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
built=$target/debug
programs=$target/demo
nightcore=$built/nightcore
mkdir -p "$programs"

# compile PROGRAM COMPILER FLAGS SOURCE: compiles a source into $programs/PROGRAM.
compile() {
    # $2 may be a command with arguments, such as "ccache cc".
    # shellcheck disable=SC2086
    $2 "$3" -O2 -Wall -Iinclude "examples/$4" "$built/libnightcore.a" \
        -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc -o "$programs/$1" ||
        fail "$4 does not compile; the errors are above"
}

# build_go EXAMPLE: installs the library that was built above, and builds an example with it.
build_go() {
    make --no-print-directory --silent install IS_BUILDER= PROFILE=dev \
        "TARGET_DIR=$target" "PREFIX=$programs/prefix" >/dev/null
    # Go's build cache distinguishes builds by these flags, but not by pkg-config's output.
    (cd "examples/$1/go" && CGO_LDFLAGS="-O2 -g -L$programs/prefix/lib" \
        PKG_CONFIG_PATH=$programs/prefix/lib/pkgconfig go build -o "$programs/$1-Go" .) ||
        fail "examples/$1/go does not build; the errors are above"
}

# lay_python EXAMPLE, lay_node EXAMPLE: copies the example into a folder together with the package
# that was built above, in the layout of an installed package.
lay_python() {
    mkdir -p "$programs/python"
    cp -R languages/python/src/nightcore "$programs/python/"
    cp -f "$built/lib_nightcore.so" "$programs/python/nightcore/_nightcore.abi3.so"
    cp -f "examples/$1/python/$1.py" "$programs/python/"
}

lay_node() {
    package=$programs/node/node_modules/nightcore
    mkdir -p "$package/native"
    cp -R languages/node/package.json languages/node/lib "$package/"
    cp -f "$built/libnightcore_node.so" "$(cd "$package" && node -p 'require("./lib/native.js")')"
    cp -f "examples/$1/node/$1.mjs" "$programs/node/"
}

for language in $languages; do
    for example in polyglot relay; do
        case $language in
            C) compile "$example-C" "$cc" -std=c11 "$example/c/$example.c" ;;
            Cpp) compile "$example-Cpp" "$cxx" -std=c++17 "$example/cpp/$example.cpp" ;;
            Rust) cp -f "$built/$example-rust" "$programs/$example-Rust" ;;
            Go) build_go "$example" ;;
            Python) lay_python "$example" ;;
            Node) lay_node "$example" ;;
        esac
    done
done

# Start the engine.

work=$(mktemp -d "${TMPDIR:-/tmp}/nightcore-demo.XXXXXX")
dir=$work/engine

# lines_of NAME EXAMPLE LANGUAGE: prints the configuration of a function.
lines_of() {
    case $3 in
        Python) program="\"python3\", \"$programs/python/$2.py\"" ;;
        Node) program="\"node\", \"$programs/node/$2.mjs\"" ;;
        *) program="\"$programs/$2-$3\"" ;;
    esac
    printf '\n[functions.%s%s]\ncommand = [%s]\n' "$1" "$3" "$program"
}

# write_config ADDRESS: prints the configuration of the engine.
write_config() {
    printf '[gateway]\nlisten = "%s"\n' "$1"
    before=
    for language in $languages; do
        if [ -n "$before" ]; then printf 'env = { NEXT = "Relay%s" }\n' "$language"; fi
        lines_of Relay relay "$language"
        before=$language
    done
    for language in $languages; do
        lines_of Foo polyglot "$language"
        lines_of Bar polyglot "$language"
        echo 'external = false'
    done
}

# start_engine ADDRESS: sets `ready` to the line that the engine writes when all functions are
# ready, or to nothing if the engine has ended.
start_engine() {
    write_config "$1" >"$work/nightcore.toml"
    rm -f "$work/ready"
    mkfifo "$work/ready"
    "$nightcore" up --config "$work/nightcore.toml" --dir "$dir" --ready-fd 3 \
        3>"$work/ready" >"$work/log" 2>&1 &
    engine=$!
    ready=
    read -r ready <"$work/ready" || :
    if [ -z "$ready" ]; then
        wait "$engine" || :
        engine=
    fi
}

taken=
start_engine 127.0.0.1:8080
if [ -z "$ready" ] && grep -q 'cannot listen on' "$work/log"; then
    taken=" (port 8080 is taken)"
    start_engine 127.0.0.1:0
fi
case $ready in
    *failed:*)
        cat "$work/log" >&2
        fail "not all functions came up: $ready"
        ;;
    ready:*) ;;
    *)
        cat "$work/log" >&2
        fail "the engine did not start"
        ;;
esac
url=${ready#ready: }
url=${url%%,*}

# Make the calls.

expected="From function Bar: Hello, World"
rows=0

# call FUNCTION [BAR]: writes the answer to $work/answer and sets `took` to the time of the call.
if command -v curl >/dev/null; then
    how="the whole of a request by curl, the middle one of 11"
    call() {
        requests=
        for _ in 1 2 3 4 5 6 7 8 9 10 11; do
            requests="$requests -o answer $url/function/$1${2:+/$2}"
        done
        # shellcheck disable=SC2086
        (cd "$work" && curl --silent --show-error --max-time 20 --data Hello \
            -w '%{time_total}\n' $requests) >"$work/times"
        took=$(sort -n "$work/times" | awk 'NR == 6 { printf "%.0f us", $1 * 1000000 }')
    }
else
    how="\`nightcore invoke\`, as curl is not there, with the start of that program"
    skipped="${skipped:+$skipped
}calls to a Bar of another language: they need curl"
    call() {
        before=$(date +%s%N)
        "$nightcore" invoke --dir "$dir" "$1" --data Hello >"$work/answer"
        took="$((($(date +%s%N) - before) / 1000)) us"
    }
fi

echo
printf '%-9s  %-9s  %-34s  %9s\n' CALLED CALLS ANSWER TIME
for foo in $languages; do
    for bar in $languages; do
        if [ "$foo" != "$bar" ] && ! command -v curl >/dev/null; then continue; fi
        call "Foo$foo" "Bar$bar" ||
            fail "Foo$foo could not be called: $(cat "$work/answer" 2>/dev/null)"
        answer=$(cat "$work/answer" && echo .)
        [ "$answer" = "$expected." ] ||
            fail "Foo$foo answered \"${answer%.}\" instead of \"$expected\""
        printf '%-9s  %-9s  %-34s  %9s\n' "Foo$foo" "Bar$bar" "$expected" "$took"
        rows=$((rows + 1))
    done
done

first=
route=
expected=Hello
for language in $languages; do
    first=${first:-Relay$language}
    route="$route${route:+ -> }Relay$language"
    case $language in Cpp) language=C++ ;; esac
    expected="$expected > $language"
done
call "$first" || fail "$first could not be called: $(cat "$work/answer" 2>/dev/null)"
answer=$(cat "$work/answer" && echo .)
[ "$answer" = "$expected." ] || fail "$first answered \"${answer%.}\" instead of \"$expected\""
echo
echo "One request through all of them:"
echo "$route"
printf '%-56s  %9s\n' "$expected" "$took"
echo
echo "Every answer is right, $rows of $rows. One engine runs it all, at $url$taken, each function"
echo "in a process of its own. Calls of a Bar go through the engine, never over the network."
echo "Times: $how. This is a development build."
if [ -n "$skipped" ]; then
    printf '%s\n' "$skipped" | sed 's/^/Skipped: /'
fi

# Keep the engine running if a user is at a terminal.

if [ ! -t 1 ]; then exit 0; fi
echo
echo "Try it, while this stays up:"
echo
echo "  curl -d Hello $url/function/FooRust"
case "$languages " in "C "*) echo "  curl -d Hello $url/function/FooC/BarRust" ;; esac
echo "  $nightcore ps --dir $dir"
echo "  $nightcore invoke --dir $dir FooRust -d Hello"
echo
echo "Ctrl-C ends it."
trap 'echo; exit 0' INT
wait "$engine" && status=0 || status=$?
engine=
cat "$work/log" >&2
fail "the engine ended by itself, with exit code $status"
