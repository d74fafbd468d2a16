#!/bin/bash
# Checks the files that `make install` installs. The test builds programs against them, with only
# pkg-config or CMake, and runs the programs with the installed engine.

set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/../.."
. tests/engine.sh
. tests/install/unit.sh

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
root=$PWD
prefix=$work/prefix

# install_to ARGUMENT...: runs make with these arguments. The test installs the development build,
# because other tests have already made it; users install the release build.
install_to() {
    make --no-print-directory "$@" >"$work/make.log" 2>&1 ||
        { cat "$work/make.log"; fail "make $* failed"; }
}
install_to install PROFILE=dev "PREFIX=$prefix"

# The installed files are the expected ones.

(cd "$prefix" && find . ! -type d -printf '%P %y %l\n' | sed 's/ *$//' | sort) >"$work/found"
sort >"$work/expected" <<END
bin/nightcore f
include/nightcore.h f
include/nightcore.hpp f
include/nightcore_testing.hpp f
lib/cmake/nightcore/nightcore-config-version.cmake f
lib/cmake/nightcore/nightcore-config.cmake f
lib/libnightcore.a f
lib/libnightcore.so l libnightcore.so.0
lib/libnightcore.so.$version f
lib/libnightcore.so.0 l libnightcore.so.$version
lib/pkgconfig/nightcore-static.pc f
lib/pkgconfig/nightcore.pc f
lib/systemd/system/nightcore.service f
share/doc/nightcore/LICENSE f
END
diff "$work/expected" "$work/found" || fail "other files are installed than expected (<) "

soname=$(readelf -d "$prefix/lib/libnightcore.so" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
[[ $soname == libnightcore.so.0 ]] || fail "the soname is \"$soname\""
[[ $("$prefix/bin/nightcore" --version) == "nightcore $version" ]] ||
    fail "the installed nightcore is of another version"
unit_is_good "$prefix/lib/systemd/system/nightcore.service" "$prefix/bin/nightcore"

# Builds programs as a user would, against a tree that was moved after it was installed.

mv "$prefix" "$work/moved"
prefix=$work/moved
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
command -v pkg-config >/dev/null || fail "pkg-config is not there: install it"
[[ $(pkg-config --modversion nightcore nightcore-static | sort -u) == "$version" ]] ||
    fail "pkg-config knows another version"

mkdir "$work/programs"
read -ra shared <<<"$(pkg-config --cflags --libs nightcore)"
read -ra static <<<"$(pkg-config --cflags --libs nightcore-static)"
cc examples/hello/c/hello.c -o "$work/programs/c-shared" "${shared[@]}"
cc examples/hello/c/hello.c -o "$work/programs/c-static" "${static[@]}"
# A fully static program. The linker warns about glibc functions that load shared libraries even in
# such a program.
read -ra all_static <<<"$(pkg-config --cflags --static --libs nightcore)"
if echo 'int main(void) { return 0; }' | cc -static -x c - -o "$work/nothing" 2>/dev/null; then
    cc -static examples/hello/c/hello.c -o "$work/programs/c-all-static" "${all_static[@]}" \
        2>"$work/link.log" ||
        { cat "$work/link.log"; fail "hello in C cannot be linked statically"; }
else
    echo "skipped: a program that is static as a whole, as libc.a is not there"
fi
c++ -std=c++17 examples/hello/cpp/hello.cpp -o "$work/programs/cpp-shared" "${shared[@]}"
c++ -std=c++17 examples/hello/cpp/hello.cpp -o "$work/programs/cpp-static" "${static[@]}"

if command -v cmake >/dev/null; then
    {
        cmake -S tests/install/cmake -B "$work/cmake" \
            "-DCMAKE_PREFIX_PATH=$prefix" "-DEXAMPLES=$root/examples"
        cmake --build "$work/cmake"
    } >"$work/cmake.log" 2>&1 || { cat "$work/cmake.log"; fail "the CMake project does not build"; }
    for name in c cpp static; do cp "$work/cmake/hello-$name" "$work/programs/cmake-$name"; done
else
    echo "skipped: find_package(nightcore), as cmake is not there"
fi

programs=("$work"/programs/*)
for program in "${programs[@]}"; do
    needs=$(readelf -d "$program" | grep -c 'NEEDED.*\[libnightcore\.so\.0\]' || :)
    case $program in
        *all-static)
            readelf -d "$program" | grep NEEDED &&
                fail "$program is to be static as a whole, and needs that"
            ;;
        *static)
            [[ $needs == 0 ]] || fail "$program is to be static, and needs libnightcore.so.0"
            ;;
        *)
            [[ $needs == 1 ]] ||
                fail "$program is to be shared, and does not need libnightcore.so.0"
            ;;
    esac
done

# Runs each program with the installed engine. A program serves both Foo and Bar.

printf '%s' 'From function Bar: Hello, World' >"$work/right"

# right WHAT COMMAND...: checks that the command's output is right, byte for byte.
right() {
    local what=$1
    shift
    "$@" >"$work/answer" || { cat "$work/log"; fail "$what failed"; }
    cmp "$work/right" "$work/answer" || fail "$what gave \"$(cat "$work/answer")\""
}

# run PROGRAM...: runs an engine in which this is the command of both functions, and calls Foo.
run() {
    local command
    command=$(printf '"%s", ' "$@")
    cat >"$work/nightcore.toml" <<END
[gateway]
listen = "127.0.0.1:0"
[functions.Foo]
command = [${command%, }]
[functions.Bar]
command = [${command%, }]
END
    start_engine "$prefix/bin/nightcore" "$work/nightcore.toml"
    right "nightcore invoke of Foo in $*" \
        "$prefix/bin/nightcore" invoke --dir "$work/engine" Foo --data Hello
    if command -v curl >/dev/null; then
        right "curl of Foo in $*" \
            curl --silent --show-error --max-time 20 --data Hello "$url/function/Foo"
    fi
    end_engine || { cat "$work/log"; fail "the engine did not end well"; }
    [[ ! -e $work/engine ]] || fail "the engine left its directory behind"
}

for program in "${programs[@]}"; do run "$program"; done
names=("${programs[@]##*/}")
echo "hello is right in ${names[*]}"

# valgrind must find no leak and no invalid access in hello.

if command -v valgrind >/dev/null; then
    for program in c-shared cpp-shared; do
        run valgrind --leak-check=full --show-leak-kinds=definite,indirect \
            --errors-for-leak-kinds=definite,indirect \
            "--log-file=$work/valgrind.%p" "$work/programs/$program"
        # valgrind prints this line when a process ends normally, and not when it was killed.
        [[ $(cat "$work"/valgrind.* | grep -c 'ERROR SUMMARY: 0 errors') == 2 ]] ||
            { cat "$work"/valgrind.*; fail "valgrind has something to say about $program"; }
        rm "$work"/valgrind.*
    done
    echo "valgrind has nothing to say about hello in C and C++"
else
    echo "skipped: valgrind is not there"
fi

# Packagers stage an installation with DESTDIR. For a user who does not own the checkout, such as
# root under sudo, `make install` builds nothing and needs no cargo.

mkdir "$work/no-cargo"
printf '#!/bin/sh\necho "cargo was called: $*" >&2\nexit 1\n' >"$work/no-cargo/cargo"
chmod +x "$work/no-cargo/cargo"
target=$(cargo metadata --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
as_other=(PROFILE=dev IS_BUILDER= "TARGET_DIR=$target" "DESTDIR=$work/stage" PREFIX=/usr)
PATH=$work/no-cargo:$PATH install_to install "${as_other[@]}"
(cd "$work/stage/usr" && find . ! -type d -printf '%P %y %l\n' | sed 's/ *$//' | sort) |
    diff "$work/expected" - ||
    fail "a staged tree has other files"
! grep -r "$work" "$work/stage/usr/lib/pkgconfig" "$work/stage/usr/lib/cmake" ||
    fail "a staged tree knows where it was staged"
unit_runs "$work/stage/usr/lib/systemd/system/nightcore.service" /usr/bin/nightcore
! grep -q rpath "$work/stage/usr/lib/pkgconfig/nightcore.pc" ||
    fail "a program under /usr needs no rpath"
PATH=$work/no-cargo:$PATH install_to uninstall "${as_other[@]}"
[[ -z $(find "$work/stage" ! -type d) ]] || fail "uninstall leaves files behind"
if make --no-print-directory install "${as_other[@]}" TARGET_DIR=/nowhere \
    >"$work/make.log" 2>&1; then
    fail "install without a build succeeded"
fi
grep -q 'make build. first' "$work/make.log" ||
    { cat "$work/make.log"; fail "install without a build does not say what to do"; }
echo "a staged tree is complete, and uninstall removes it"
