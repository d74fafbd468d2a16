#!/bin/bash
# Checks that each package of `make dist` works where it is unpacked: the test builds hello against
# the package and runs it with the engine in it. No file in a package may need a newer glibc than
# the package promises.

set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/../.."
. tests/engine.sh
. tests/install/hello.sh
. tests/install/unit.sh

if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    echo "skipped: make dist, as python3 with venv is not there"
    exit 0
fi

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
oldest_glibc=$(sed -n 's/^oldest_glibc=//p' packaging/build.sh)

packaging/dist.sh "$work/dist" >"$work/packages" 2>"$work/dist.log" ||
    { cat "$work/dist.log"; fail "make dist failed"; }

# needs_no_library PROGRAM: checks that the program does not load libnightcore at run time.
needs_no_library() {
    if readelf -d "$1" | grep -F libnightcore; then
        fail "$1 is to have libnightcore in it, and needs it"
    fi
}

# hello PREFIX: builds hello in C against the package that was unpacked there, and runs it with the
# package's engine.
hello() {
    local prefix=$1 flags
    glibc "$prefix/bin/nightcore"
    glibc "$prefix/lib/libnightcore.so.0"
    read -ra flags <<<"$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig \
        pkg-config --cflags --libs nightcore)"
    cc examples/hello/c/hello.c -o "$work/hello" "${flags[@]}"
    # The loader finds a library in /usr without help. This package is unpacked elsewhere, so
    # LD_LIBRARY_PATH names its folder.
    LD_LIBRARY_PATH=$prefix/lib hello_by "$prefix/bin/nightcore" "[\"$work/hello\"]"
    read -ra flags <<<"$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig \
        pkg-config --cflags --libs nightcore-static)"
    cc examples/hello/c/hello.c -o "$work/hello" "${flags[@]}"
    needs_no_library "$work/hello"
    hello_by "$prefix/bin/nightcore" "[\"$work/hello\"]"
}

# deb FILE: makes dpkg install and remove the package in a separate folder. A fake systemctl, which
# only records its arguments, stands in for systemd.
deb() {
    local root=$work/debian
    [[ $(dpkg-deb --field "$1" Version) == "$version" ]] || fail "$1 has another version"
    mkdir -p "$root"/{var/lib/dpkg/{info,updates},run/systemd/system} "$work/systemctl"
    touch "$root/var/lib/dpkg/status"
    printf '#!/bin/sh\necho "$*" >>"%s"\n' "$work/orders" >"$work/systemctl/systemctl"
    chmod +x "$work/systemctl/systemctl"
    # The folder has no libc6 and no ldconfig. Unless the test runs as root, dpkg cannot change the
    # owner of files.
    in_root() {
        PATH=$work/systemctl:$PATH:/usr/sbin:/sbin dpkg --root="$root" --log=/dev/null \
            --force-script-chrootless --force-not-root --force-depends "$@" \
            >"$work/dpkg.log" 2>&1 || { cat "$work/dpkg.log"; fail "dpkg $* failed"; }
    }
    in_root --install "$1"
    in_root --install "$1"
    unit_runs "$root/usr/lib/systemd/system/nightcore.service" /usr/bin/nightcore
    hello "$root/usr"
    in_root --remove nightcore
    [[ ! -e $root/usr/bin/nightcore ]] || fail "dpkg --remove leaves the command behind"
    diff - "$work/orders" <<END || fail "the scripts of $1 order something else than expected (<)"
daemon-reload
try-restart nightcore.service
daemon-reload
try-restart nightcore.service
disable --now nightcore.service
daemon-reload
END
}

# A PATH without compilers. It shows that a package needs no compiler when it is installed.
mkdir "$work/bare"
for tool in sh bash env cat chmod cp dirname ln ls mkdir mv node npm npx python3 readlink rm sed \
    tar uname; do
    if path=$(command -v "$tool"); then ln -s "$(readlink -f "$path")" "$work/bare/$tool"; fi
done
bare() { env PATH="$work/bare" "$@"; }

# python_hello VENV: runs hello in Python in a virtual environment that has only this package.
python_hello() {
    cp examples/hello/python/hello.py "$work/hello.py"
    hello_by "$1/bin/nightcore" "[\"$1/bin/python\", \"$work/hello.py\"]"
}

# documented COMMAND: finds the line with this command in the README or docs/start.md, and prints
# the package that it names, relative to the folder that holds `dist`.
documented() {
    local named
    named=$(sed -n "s|^$1 \\(.*dist/.*\\)|\\1|p" README.md docs/start.md)
    [[ -n $named ]] || fail "no document has a line \"$1 ...dist/...\""
    # shellcheck disable=SC2086 # The shell must expand the pattern.
    cd "$work" && echo $named
}

wheel() {
    local venv=$work/venv named
    named=$(documented "pip install")
    python3 -m venv "$venv"
    (cd "$work" && bare "$venv/bin/python" -m pip install --quiet \
        --disable-pip-version-check --no-index "$named")
    glibc "$venv/bin/nightcore"
    glibc "$("$venv/bin/python" -c 'import nightcore._nightcore as module; print(module.__file__)')"
    python_hello "$venv"
    python3 -m venv "$work/auditwheel"
    "$work/auditwheel/bin/pip" install --quiet --disable-pip-version-check auditwheel==6.8.2
    "$work/auditwheel/bin/auditwheel" show "$1" |
        grep -o 'compatible with:.*\|manylinux_[0-9_]*_[a-z0-9_]*' | tail -n 1 >"$work/policy"
    grep -qE 'manylinux_2_(5|12|17|2[0-8])_' "$work/policy" ||
        fail "auditwheel says of $1: $(cat "$work/policy")"
    echo "auditwheel: $(cat "$work/policy")"
}

sdist() {
    local venv=$work/venv-sdist
    python3 -m venv "$venv"
    # pip runs outside the repository. The target folder is shared, so that cargo reuses its builds
    # of third-party crates.
    (cd / && CARGO_TARGET_DIR=$target \
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$1")
    python_hello "$venv"
}

npm_package() {
    local home=$work/npm named
    named=$(documented "npm install")
    mkdir "$home"
    ln -s "$work/dist" "$home/dist"
    (cd "$home" && bare npm init --yes >/dev/null &&
        bare npm install --silent --ignore-scripts --no-audit --no-fund "$named")
    glibc "$home/node_modules/nightcore/bin/nightcore"
    # npm warns about install scripts, and by default does not run them.
    grep -q '"install":' "$home/node_modules/nightcore/package.json" &&
        fail "the npm package has an install script"
    cp examples/hello/node/hello.mjs "$home"
    hello_by "$home/node_modules/.bin/nightcore" "[\"node\", \"$home/hello.mjs\"]"
}

# go_module: builds hello against the library of the tarball. The program also needs a third-party
# module. The environment comes from the `export` lines of docs/start.md.
go_module() {
    local home=$work/go prefix environment
    command -v go >/dev/null || { echo "skipped: the Go module, as Go is not there"; return; }
    prefix=$(echo "$work"/unpacked-tarball/*)
    mkdir "$home"
    ln -s "$work/dist" "$home/dist"
    cp examples/hello/go/hello.go "$home"
    printf '%s\n' 'package main' 'import "github.com/google/uuid"' 'var _ = uuid.New' \
        >"$home/uuid.go"
    environment=$(grep -E '^export (GOPROXY|GONOSUMDB)=' docs/start.md)
    (
        cd "$home"
        eval "$environment"
        export GOFLAGS=-modcacherw GOMODCACHE=$work/gomodcache
        export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
        # Go's build cache distinguishes builds by these flags, but not by pkg-config's output.
        export CGO_LDFLAGS="-O2 -g -L$prefix/lib"
        go mod init hello 2>/dev/null
        go get "github.com/nightcore/nightcore/languages/go@v$version" \
            github.com/google/uuid@v1.6.0 2>"$work/go.log" ||
            { cat "$work/go.log"; fail "go get failed with $environment"; }
        go build -o hello .
        go build -tags nightcore_static -o hello-static .
    )
    hello_by "$prefix/bin/nightcore" "[\"$home/hello\"]"
    needs_no_library "$home/hello-static"
    hello_by "$prefix/bin/nightcore" "[\"$home/hello-static\"]"
}

# rust_crates FOLDER: builds hello in a separate package, outside the repository, and runs it.
rust_crates() {
    local home=$work/rust
    mkdir -p "$home/src"
    cp examples/hello/rust/src/main.rs "$home/src"
    cp rust-toolchain.toml "$home"
    cat >"$home/Cargo.toml" <<END
[package]
name = "hello"
edition = "2024"
[dependencies]
nightcore = "$version"
[patch.crates-io]
nightcore = { path = "$1/nightcore" }
nightcore-runtime = { path = "$1/nightcore-runtime" }
END
    # This target folder lets later runs reuse the builds of third-party crates.
    cargo build --quiet --release --manifest-path "$home/Cargo.toml" --target-dir "$target/crates"
    hello_by "$work"/unpacked-tarball/*/bin/nightcore "[\"$target/crates/release/hello\"]"
}

target=$(cargo metadata --locked --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
while read -r package; do
    case $package in
        skipped:*) echo "$package"; continue ;;
        *-linux-*.tar.gz)
            mkdir "$work/unpacked-tarball"
            tar --extract --gzip --file "$package" --directory "$work/unpacked-tarball"
            hello "$work/unpacked-tarball/$(basename "$package" .tar.gz)"
            unit_runs "$work"/unpacked-tarball/*/lib/systemd/system/nightcore.service \
                /usr/local/bin/nightcore
            ;;
        *.deb) deb "$package" ;;
        *.whl) wheel "$package" ;;
        *.tar.gz) sdist "$package" ;;
        *.tgz) npm_package ;;
        */goproxy) go_module ;;
        */crates) rust_crates "$package" ;;
        *) fail "nothing tries $package" ;;
    esac
    echo "hello is right with $(basename "$package")"
done <"$work/packages"
