# Functions for scripts that test packages: they run hello with the installed files. Source this
# file after tests/engine.sh.
# shellcheck shell=bash
# shellcheck disable=SC2154 # $work and $url are set by tests/engine.sh, $version by the script.

# hello_by NIGHTCORE COMMAND: runs Foo and Bar of hello with that engine, and checks the answer.
# COMMAND is TOML.
hello_by() {
    local answer
    [[ $("$1" --version) == "nightcore $version" ]] || fail "$1 has another version"
    cat >"$work/nightcore.toml" <<END
[gateway]
listen = "127.0.0.1:0"
[functions.Foo]
command = $2
[functions.Bar]
command = $2
END
    start_engine "$1" "$work/nightcore.toml"
    answer=$(curl --silent --show-error --max-time 20 --data Hello "$url/function/Foo")
    end_engine || { cat "$work/log"; fail "the engine did not end well"; }
    [[ $answer == 'From function Bar: Hello, World' ]] || fail "hello by $1 gave \"$answer\""
}

# glibc FILE: checks that the file needs no newer glibc than the oldest supported one.
glibc() {
    local newest
    newest=$(readelf --wide --dyn-syms "$1" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -1)
    newest=${newest#GLIBC_}
    [[ $(printf '%s\n' "$oldest_glibc" "$newest" | sort -V | tail -1) == "$oldest_glibc" ]] ||
        fail "$1 needs glibc $newest, and is to run with glibc $oldest_glibc"
}
