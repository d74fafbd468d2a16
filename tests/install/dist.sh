#!/bin/bash
# What `make dist` makes works where it is unpacked: hello is built against each package and run by its own engine, and
# nothing in them needs a newer glibc than they promise.

set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/../.."
. tests/engine.sh

if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    echo "skipped: make dist, as python3 with venv is not there"
    exit 0
fi

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
oldest_glibc=$(sed -n 's/^oldest_glibc=//p' packaging/build.sh)

packaging/dist.sh "$work/dist" >"$work/packages" 2>"$work/dist.log" || { cat "$work/dist.log"; fail "make dist failed"; }

# glibc FILE: it runs with the oldest glibc.
glibc() {
    local newest
    newest=$(objdump -T "$1" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -1)
    [[ $(printf 'GLIBC_%s\n%s\n' "$oldest_glibc" "$newest" | sort -V | tail -1) == "GLIBC_$oldest_glibc" ]] ||
        fail "$1 needs $newest, and is to run with glibc $oldest_glibc"
}

# hello PREFIX: Foo calls Bar, built against what was unpacked there and run by it.
hello() {
    local prefix=$1 flags answer
    glibc "$prefix/bin/nightcore"
    glibc "$prefix/lib/libnightcore.so.0"
    [[ $("$prefix/bin/nightcore" --version) == "nightcore $version" ]] || fail "$prefix has another version"
    read -ra flags <<<"$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --cflags --libs nightcore)"
    cc examples/hello/c/hello.c -o "$work/hello" "${flags[@]}"
    cat >"$work/nightcore.toml" <<END
[gateway]
listen = "127.0.0.1:0"
[functions.Foo]
command = ["$work/hello"]
[functions.Bar]
command = ["$work/hello"]
END
    # A package under /usr needs no word about where its library is, but this one is not there.
    LD_LIBRARY_PATH=$prefix/lib start_engine "$prefix/bin/nightcore" "$work/nightcore.toml"
    answer=$(curl --silent --show-error --max-time 20 --data Hello "$url/function/Foo")
    end_engine || { cat "$work/log"; fail "the engine did not end well"; }
    [[ $answer == 'From function Bar: Hello, World' ]] || fail "hello by $prefix gave \"$answer\""
}

while read -r package; do
    unpacked=$work/unpacked-${package##*.}
    mkdir "$unpacked"
    case $package in
        skipped:*) echo "$package"; continue ;;
        *.tar.gz)
            tar --extract --gzip --file "$package" --directory "$unpacked"
            hello "$unpacked/$(basename "$package" .tar.gz)"
            ;;
        *.deb)
            dpkg-deb --extract "$package" "$unpacked"
            [[ $(dpkg-deb --field "$package" Version) == "$version" ]] || fail "$package has another version"
            hello "$unpacked/usr"
            ;;
        *) fail "nothing tries $package" ;;
    esac
    echo "hello is right with $(basename "$package")"
done <"$work/packages"
