#!/bin/bash
# `make dist`: makes the packages that would be published, in the folder that the first argument
# names, or in dist/. TARGETS lists the Rust targets to build for, by default this machine's.

set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."

out=${1:-dist}
mkdir -p "$out"
out=$(cd "$out" && pwd)
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

oldest_glibc=$(sed -n 's/^oldest_glibc=//p' packaging/build.sh)
host=$(rustc -vV | sed -n 's/^host: //p')
read -ra targets <<<"${TARGETS:-$host}"

# `build TARGET` puts its files into $built/TARGET/release, as cargo does.
built=$work/built

# build TARGET: builds the engine, the libraries, and the addon that Node loads. Sets $packages and
# $tools.
build() {
    local target=$1 folder=$built/$1/release engine shared
    mkdir -p "$folder"
    case $target in
        *-gnu)
            shared=$(packaging/build.sh --target "$target" \
                -p nightcore-engine -p nightcore-c -p nightcore-node)
            engine=$shared
            ;;
        *)
            engine=$(packaging/build.sh --target "$target" -p nightcore-engine)
            shared=$(packaging/build.sh --target "$target" --shared \
                -p nightcore-c -p nightcore-node)
            ;;
    esac
    cp "$engine/nightcore" "$shared"/libnightcore.{so,a} "$shared/libnightcore_node.so" "$folder"
    packages=${shared%/"$target"/release}
    tools=$(dirname "${packages%/shared}")/packaging
    strip_debug "$target" "$folder"/{nightcore,libnightcore.so,libnightcore.a,libnightcore_node.so}
}

# strip_debug TARGET FILE...: removes the debug information from the files.
strip_debug() {
    local tool=strip
    if [[ ${1%%-*} != "${host%%-*}" ]]; then tool=${1%%-*}-linux-gnu-strip; fi
    if ! command -v "$tool" >/dev/null; then
        echo "$tool is not there: the packages for $1 keep what only a debugger reads" >&2
        return
    fi
    "$tool" --strip-debug "${@:2}"
}

# libc TARGET: prints `gnu` or `musl`.
libc() { echo "${1##*-}"; }

# in_names TARGET SEPARATOR ARCH: prints the part of a file name that stands for the target: ARCH
# alone for glibc, or ARCH, the separator and `musl`.
in_names() {
    if [[ $(libc "$1") == musl ]]; then echo "$3$2musl"; else echo "$3"; fi
}

# stage TARGET DIR PREFIX [UNIT_PREFIX]: stages the files of `make install` in DIR.
stage() {
    make --no-print-directory install IS_BUILDER= PROFILE=release "TARGET_DIR=$built/$1" \
        "DESTDIR=$2" "PREFIX=$3" "UNIT_PREFIX=${4:-$3}" >&2
}

tarball() {
    local target=$1 name
    name=nightcore-$version-linux-$(in_names "$target" - "${target%%-*}")
    # The programs and libraries find one another wherever the tarball is unpacked. The unit expects
    # them in /usr/local, where systemd looks for units.
    stage "$target" "$work" "/$name" /usr/local
    cp README.md CHANGELOG.md "$work/$name/share/doc/nightcore/"
    tar --create --gzip --file "$out/$name.tar.gz" --directory "$work" \
        --owner=0 --group=0 --sort=name "$name"
    echo "$out/$name.tar.gz"
}

deb() {
    local target=$1 arch script root=$work/deb-$1
    case $target in
        x86_64-*) arch=amd64 ;;
        aarch64-*) arch=arm64 ;;
    esac
    stage "$target" "$root" /usr
    mv "$root/usr/share/doc/nightcore/LICENSE" "$root/usr/share/doc/nightcore/copyright"
    mkdir "$root/DEBIAN"
    cat >"$root/DEBIAN/control" <<END
Package: nightcore
Version: $version
Architecture: $arch
Maintainer: The Nightcore authors <nightcore@localhost>
Section: net
Priority: optional
Depends: libc6 (>= 2.28)
Installed-Size: $(du -sk "$root/usr" | cut -f1)
Description: functions in several languages that call each other in microseconds
 The nightcore command, which runs functions, and libnightcore with its headers
 for C, C++ and Go, by which functions are written.
END
    for script in postinst prerm postrm; do
        install -m 755 "packaging/debian/$script.sh" "$root/DEBIAN/$script"
    done
    # This trigger makes dpkg run ldconfig, so that the loader finds the library.
    echo 'activate-noawait ldconfig' >"$root/DEBIAN/triggers"
    dpkg-deb --root-owner-group --build "$root" "$out/nightcore_${version}_$arch.deb" >&2
    echo "$out/nightcore_${version}_$arch.deb"
}

# python_backend FUNCTION FOLDER: calls a function of languages/python/build_backend, which writes
# to the folder. The PATH lets maturin find the zig that build.sh has installed.
python_backend() {
    (cd languages/python && PATH=$tools/bin:$PATH PYTHONPATH=build_backend "$tools/bin/python" -c \
        "import nightcore_build, sys; getattr(nightcore_build, sys.argv[1])(sys.argv[2])" "$@" >&2)
}

wheel() {
    local target=$1 folder=$work/wheel-$1 policy=manylinux_${oldest_glibc/./_}
    # musl 1.2 is the oldest version that Rust's standard library supports.
    if [[ $(libc "$target") == musl ]]; then policy=musllinux_1_2; fi
    mkdir "$folder"
    # maturin builds with other flags, so it gets a separate folder. Otherwise cargo would rebuild
    # everything, now and for the next packages.
    NIGHTCORE_ENGINE=$built/$target/release/nightcore CARGO_TARGET_DIR=$packages/python \
        MATURIN_PEP517_ARGS="--zig --target $target --compatibility $policy --locked" \
        python_backend build_wheel "$folder"
    cp "$folder"/* "$out"
    (cd "$folder" && printf "$out/%s\n" *)
}

sdist() {
    mkdir "$work/sdist"
    python_backend build_sdist "$work/sdist"
    cp "$work/sdist"/* "$out"
    (cd "$work/sdist" && printf "$out/%s\n" *)
}

# Makes the npm package with the addons for all targets. Node loads the one for its machine and its
# C library. With one target the package's command is the engine itself. With several it is a script
# that runs the engine for its machine.
npm_package() {
    local folder=$work/node target name
    mkdir -p "$folder/native" "$folder/bin"
    cp -r languages/node/{lib,scripts,package.json,README.md} "$folder"
    cp LICENSE "$folder"
    # The package has a prebuilt addon, so it needs no install script, about which npm would warn.
    (cd "$folder" && npm pkg delete scripts.install && rm -r scripts)
    for target in "${targets[@]}"; do
        case $target in
            x86_64-*) name=$(in_names "$target" - linux-x64) ;;
            aarch64-*) name=$(in_names "$target" - linux-arm64) ;;
        esac
        cp "$built/$target/release/libnightcore_node.so" "$folder/native/nightcore-$name.node"
        install -D -m 755 "$built/$target/release/nightcore" "$folder/native/$name/nightcore"
    done
    if ((${#targets[@]} == 1)); then
        mv "$folder/native/$name/nightcore" "$folder/bin/nightcore"
        rmdir "$folder/native/$name"
    else
        install -m 755 packaging/npm/nightcore.sh "$folder/bin/nightcore"
    fi
    (cd "$folder" && npm pack --silent --pack-destination "$out" >/dev/null)
    echo "$out/nightcore-$version.tgz"
}

# Makes a module proxy, which the go command can read from a folder as well as over HTTP.
go_module() {
    rm -rf "$out/goproxy"
    python3 packaging/goproxy.py "$version" "$out/goproxy"
    echo "$out/goproxy"
}

# Makes the crates as unpacked folders, which a program's `[patch.crates-io]` can name.
crates() {
    local folder=$work/crates name
    cargo package --locked --quiet --no-verify --allow-dirty --exclude-lockfile \
        --target-dir "$folder" \
        -p nightcore -p nightcore-runtime >&2
    for name in nightcore nightcore-runtime; do
        rm -rf "$out/crates/$name"
        mkdir -p "$out/crates/$name"
        # Cargo decides by file times what to rebuild, but all files in the archive have the same
        # fixed time. --touch gives them the current time.
        tar --extract --gzip --touch --strip-components 1 \
            --file "$folder/package/$name-$version.crate" --directory "$out/crates/$name"
    done
    echo "$out/crates"
}

for target in "${targets[@]}"; do
    build "$target"
    tarball "$target"
    if [[ $(libc "$target") == musl ]]; then
        : # There is no .deb for musl, because Debian uses glibc.
    elif command -v dpkg-deb >/dev/null; then
        deb "$target"
    else
        echo "skipped: the .deb, as dpkg-deb is not there"
    fi
    wheel "$target"
done
sdist
if command -v npm >/dev/null; then
    npm_package
else
    echo "skipped: the npm package, as npm is not there"
fi
go_module
crates
