#!/bin/bash
# Checks that the code in README.md and docs/ compiles, that the configurations are valid, and that
# the three functions of docs/start.md do what the page says. The word after the fence of a block
# names its language: c, cpp, go, rust, toml.

set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/engine.sh

cargo build --locked --quiet --workspace --lib --bin nightcore
target=$(cargo metadata --locked --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
nightcore=$target/debug/nightcore
root=$PWD

# Every block goes to $work/blocks/DOCUMENT.LINE.WORD, where LINE is the number of its first line.
mkdir "$work/blocks" "$work/programs"
mapfile -t documents < <(git ls-files --cached --others --exclude-standard \
    README.md 'docs/*.md' 'docs/**/*.md')
for document in "${documents[@]}"; do
    awk -v out="$work/blocks/${document//\//-}" '
        /^```/ && file { close(file); file = ""; next }
        /^```./ { file = sprintf("%s.%04d.%s", out, NR + 1, substr($0, 4)); printf "" >file; next }
        file { print >file }
    ' "$document"
done

# says FILE: prints the document and the line of a block, for a message.
says() { sed -E 's|.*/||; s|-|/|; s|\.md\.0*([0-9]+)\.[a-z]+$|.md:\1|' <<<"$1"; }

flags=(-Wall -Wextra -Wpedantic -Werror -Wno-unused -Iinclude)
libraries=("$target/debug/libnightcore.a" -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc)
count=0

# compile BLOCK COMPILER FRAME: compiles and links a block that is a whole program. Any other block
# replaces HERE in the frame, and is only compiled.
compile() {
    local block=$1 frame=$3 compiler program source
    read -ra compiler <<<"$2"
    program=$work/programs/$(basename "$block")
    source=$program.${block##*.}
    if grep -q 'int main(' "$block"; then
        cp "$block" "$source"
        "${compiler[@]}" "${flags[@]}" "$source" -o "$program" "${libraries[@]}" ||
            fail "$(says "$block") does not compile"
    else
        sed -e "/HERE/{r $block
            d}" "$frame" >"$source"
        "${compiler[@]}" "${flags[@]}" -c "$source" -o /dev/null ||
            fail "$(says "$block") does not compile"
    fi
    count=$((count + 1))
}

for block in "$work"/blocks/*.c; do compile "$block" "cc -std=c11" tests/docs/frame.c; done
for block in "$work"/blocks/*.cpp; do compile "$block" "c++ -std=c++17" tests/docs/frame.cpp; done

# Rust. Each block becomes a program of one package.
package=$work/snippets
mkdir -p "$package/src/bin"
tested=()
cp Cargo.lock rust-toolchain.toml "$package"
cat >"$package/Cargo.toml" <<END
[package]
name = "snippets"
edition = "2024"
[dependencies]
nightcore = { path = "$root/languages/rust", features = ["json", "tokio"] }
serde = { version = "1", features = ["derive"] }
tokio = { version = "1", features = ["macros", "rt-multi-thread", "time"] }
[workspace]
END
rust_names="Answer, AsyncRequest, CallOptions, Error, Json, Reply, Request, Worker"
for block in "$work"/blocks/*.rust; do
    name=$(basename "${block%.rust}" | tr -c 'A-Za-z0-9\n' _)
    if grep -q 'fn main(' "$block"; then
        cp "$block" "$package/src/bin/$name.rs"
    else
        {
            echo "#![allow(dead_code, unused_imports)]"
            echo "use nightcore::{$rust_names}; use std::time::Duration; fn main() {}"
            cat "$block"
        } >"$package/src/bin/$name.rs"
    fi
    if grep -qE '^#\[(tokio::)?test\]' "$block"; then tested+=(--bin "$name"); fi
    count=$((count + 1))
done
# --locked is left out, because the lock file is the workspace's and does not have this package.
# --offline keeps cargo from downloading anything.
pieces=(--quiet --offline --manifest-path "$package/Cargo.toml" --target-dir "$target/snippets")
cargo build "${pieces[@]}" ||
    fail "a Rust block does not compile; its file is named after document and line"
cargo test "${pieces[@]}" "${tested[@]}" >"$work/out" 2>&1 || {
    cat "$work/out"
    fail "the tests in a Rust block fail; its file is named after document and line"
}

# Go. A whole program becomes a package of its own. All other blocks form one package with tests.
if command -v go >/dev/null; then
    make --no-print-directory --silent install IS_BUILDER= PROFILE=dev \
        "PREFIX=$work/prefix" "TARGET_DIR=$target" >/dev/null
    export PKG_CONFIG_PATH=$work/prefix/lib/pkgconfig GOWORK=off GOFLAGS=-mod=mod
    # Go's build cache distinguishes builds by these flags, but not by pkg-config's output.
    export CGO_LDFLAGS="-O2 -g -L$work/prefix/lib"
    mkdir "$work/go" "$work/go/pieces"
    ours=github.com/nightcore/nightcore/languages/go
    (cd "$work/go" && go mod init snippets 2>/dev/null &&
        go mod edit -require "$ours@v0.1.0" -replace "$ours=$root/languages/go")
    cp tests/docs/frame.go.txt "$work/go/pieces/pieces_test.go"
    for block in "$work"/blocks/*.go; do
        if grep -q '^package main' "$block"; then
            name=$work/go/$(basename "${block%.go}" | tr -c 'A-Za-z0-9\n' _)
            mkdir "$name"
            cp "$block" "$name/main.go"
        else
            { echo; cat "$block"; } >>"$work/go/pieces/pieces_test.go"
        fi
        count=$((count + 1))
    done
    [[ -z $(gofmt -l "$work/go") ]] ||
        { gofmt -d "$work/go"; fail "a Go block is not as gofmt writes it"; }
    (cd "$work/go" && go vet ./... && go test ./... >"$work/out" 2>&1) || {
        cat "$work/out"
        fail "a Go block is wrong; its folder is named after document and line, or pieces"
    }
else
    echo "skipped: Go in documents: Go is not there"
fi

# Configurations. The test makes empty files for the programs and scripts that they name.
for block in "$work"/blocks/*.toml; do
    if ! grep -q '^\[functions' "$block"; then continue; fi
    home=$work/config
    rm -rf "$home"
    mkdir "$home"
    cp "$block" "$home/nightcore.toml"
    sed -n 's/^command = \["\([^"]*\)".*/\1/p' "$block" | while IFS= read -r program; do
        mkdir -p "$home/$(dirname "$program")"
        install -m 755 /dev/null "$home/$program"
    done
    sed -n 's/^command = //p' "$block" | grep -oE '[^"]+\.(py|m?js)' | while IFS= read -r script; do
        mkdir -p "$home/$(dirname "$script")"
        touch "$home/$script"
    done || true
    # The files that `env_file` names. A variable in the path stands for its default.
    while IFS= read -r file; do
        mkdir -p "$home/$(dirname "$file")"
        touch "$home/$file"
    done < <(sed -nE 's/^env_file = "(\$\{[A-Z_]+:-([^}]*)\})?([^"]*)"$/\2\3/p' "$block")
    (cd "$home" && "$nightcore" check >"$work/out" 2>&1) ||
        { cat "$work/out"; fail "$(says "$block") is not a valid configuration"; }
    # The configuration that has every key must show the default of each.
    if grep -q '^max_depth' "$block"; then
        (cd "$home" && "$nightcore" check --print) >"$work/full"
        printf '[functions.Foo]\ncommand = ["./foo"]\n' >"$home/nightcore.toml"
        (cd "$home" && "$nightcore" check --print) >"$work/least"
        diff "$work/least" "$work/full" || fail "$(says "$block") does not say the defaults (<)"
        while IFS= read -r key; do
            grep -q "^$key = " "$block" || fail "$(says "$block") leaves out the key $key"
        done < <(sed -n 's/^\([a-z_]*\) = .*/\1/p' "$work/least")
    fi
    count=$((count + 1))
done

# The three functions of docs/start.md.
home=$work/start
mkdir -p "$home/twice/target/release"
for block in "$work"/blocks/docs-start.md.*; do
    case $(cat "$block") in
        *'nc_handle("Greet"'*) cp "$work/programs/$(basename "$block")" "$home/greet" ;;
        *'handle("Shout"'*) cp "$work/programs/$(basename "$block")" "$home/shout" ;;
        *'handle("Twice"'*)
            name=$(basename "${block%.rust}" | tr -c 'A-Za-z0-9\n' _)
            cp "$target/snippets/debug/$name" "$home/twice/target/release/twice"
            ;;
        *'[functions.Twice]'*)
            printf '[gateway]\nlisten = "127.0.0.1:0"\n' | cat - "$block" >"$home/nightcore.toml"
            ;;
        *'$ curl -d World'*) tail -n 1 "$block" >"$work/right" ;;
    esac
done
start_engine "$nightcore" "$home/nightcore.toml"
answer=$("$nightcore" invoke --dir "$work/engine" Twice --data World) ||
    { cat "$work/log"; fail "its functions fail"; }
[[ $answer == "$(cat "$work/right")" ]] || fail "its functions answer \"$answer\""
end_engine

echo "$count blocks are good, and the functions of docs/start.md answer \"$answer\""
