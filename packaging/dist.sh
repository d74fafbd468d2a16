#!/bin/bash
# `make dist`: the packages that would be published, in the folder that the first argument names, else dist/.

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
built=$(packaging/build.sh -p nightcore-engine -p nightcore-c -p nightcore-node)
tools=$(dirname "$(dirname "$(dirname "$built")")")/packaging

# stage DIR PREFIX [UNIT_PREFIX]: what `make install` installs, without what only a debugger reads.
stage() {
    make --no-print-directory install IS_BUILDER= PROFILE=release "TARGET_DIR=${built%/release}" "DESTDIR=$1" "PREFIX=$2" \
        "UNIT_PREFIX=${3:-$2}" >&2
    strip --strip-debug "$1$2/bin/nightcore" "$1$2/lib/libnightcore.so.$version" "$1$2/lib/libnightcore.a"
}

tarball() {
    local name
    name=nightcore-$version-linux-$(uname -m)
    # Its programs and libraries find one another wherever it is. The unit names the folder where systemd looks for units.
    stage "$work" "/$name" /usr/local
    cp README.md CHANGELOG.md "$work/$name/share/doc/nightcore/"
    tar --create --gzip --file "$out/$name.tar.gz" --directory "$work" --owner=0 --group=0 --sort=name "$name"
    echo "$out/$name.tar.gz"
}

deb() {
    local arch script root=$work/deb
    arch=$(dpkg --print-architecture)
    stage "$root" /usr
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
    for script in postinst prerm postrm; do install -m 755 "packaging/debian/$script.sh" "$root/DEBIAN/$script"; done
    # The loader's cache must learn of the library.
    echo 'activate-noawait ldconfig' >"$root/DEBIAN/triggers"
    dpkg-deb --root-owner-group --build "$root" "$out/nightcore_${version}_$arch.deb" >&2
    echo "$out/nightcore_${version}_$arch.deb"
}

python_packages() {
    local folder=$work/python engine=$work/engine
    cp "$built/nightcore" "$engine"
    strip --strip-debug "$engine"
    # maturin finds zig as build.sh has installed it. It builds with flags of its own, so in a folder of its own:
    # else cargo would build all anew, now and for the next packages.
    PATH=$tools/bin:$PATH NIGHTCORE_ENGINE=$engine CARGO_TARGET_DIR=$(dirname "$(dirname "$built")")/python \
        MATURIN_PEP517_ARGS="--zig --compatibility manylinux_${oldest_glibc/./_} --locked" \
        "$tools/bin/pip" wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir "$folder" ./languages/python >&2
    (cd languages/python && PYTHONPATH=build_backend "$tools/bin/python" -c \
        "import nightcore_build, sys; nightcore_build.build_sdist(sys.argv[1])" "$folder")
    cp "$folder"/* "$out"
    (cd "$folder" && printf "$out/%s\n" *)
}

npm_package() {
    local folder=$work/node addon
    mkdir -p "$folder/native" "$folder/bin"
    cp -r languages/node/{lib,scripts,package.json,README.md} "$folder"
    cp LICENSE "$folder"
    # The addon is there; npm warns of packages that run something when they are installed.
    (cd "$folder" && npm pkg delete scripts.install && rm -r scripts)
    addon=$folder/native/nightcore-linux-$(node -p process.arch).node
    cp "$built/libnightcore_node.so" "$addon"
    install -m 755 "$built/nightcore" "$folder/bin/nightcore"
    strip --strip-debug "$addon" "$folder/bin/nightcore"
    (cd "$folder" && npm pack --silent --pack-destination "$out" >/dev/null)
    echo "$out/nightcore-$version.tgz"
}

# A module proxy, which the go command reads from a folder as well as over HTTP.
go_module() {
    rm -rf "$out/goproxy"
    python3 packaging/goproxy.py "$version" "$out/goproxy"
    echo "$out/goproxy"
}

# The crates, unpacked: a program's `[patch.crates-io]` names their folders.
crates() {
    local folder=$work/crates name
    cargo package --locked --quiet --no-verify --allow-dirty --exclude-lockfile --target-dir "$folder" \
        -p nightcore -p nightcore-runtime >&2
    for name in nightcore nightcore-runtime; do
        rm -rf "$out/crates/$name"
        mkdir -p "$out/crates/$name"
        # Cargo builds anew what is newer than what it has built; in the archive all files have one time.
        tar --extract --gzip --touch --strip-components 1 --file "$folder/package/$name-$version.crate" \
            --directory "$out/crates/$name"
    done
    echo "$out/crates"
}

tarball
if command -v dpkg-deb >/dev/null; then
    deb
else
    echo "skipped: the .deb, as dpkg-deb is not there"
fi
python_packages
if command -v npm >/dev/null; then
    npm_package
else
    echo "skipped: the npm package, as npm is not there"
fi
go_module
crates
