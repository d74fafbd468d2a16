# Functions for scripts that need an engine. A script sources this file with `. tests/engine.sh`,
# which also sets the trap for EXIT.
# shellcheck shell=bash

work=$(mktemp -d "${TMPDIR:-/tmp}/nightcore-test.XXXXXX")
engine_pid=

end_engine() {
    local pid=$engine_pid
    engine_pid=
    if [[ -n $pid ]]; then
        kill -TERM "$pid" 2>/dev/null || :
        wait "$pid"
    fi
}

# shellcheck disable=SC2317 # The trap calls this function.
clean_up() {
    end_engine || :
    rm -rf "$work"
}
trap clean_up EXIT

fail() {
    echo "$*"
    exit 1
}

# start_engine NIGHTCORE CONFIG: starts an engine with a directory in $work, and sets $url when all
# functions are ready.
start_engine() {
    local ready=
    rm -f "$work/ready"
    mkfifo "$work/ready"
    "$1" up --config "$2" --dir "$work/engine" --ready-fd 3 3>"$work/ready" 2>"$work/log" &
    engine_pid=$!
    read -r ready <"$work/ready" || :
    [[ $ready == ready:* && $ready != *failed:* ]] ||
        { cat "$work/log"; fail "the engine is not ready, and reported: ${ready:-nothing}"; }
    url=${ready#ready: }
    # shellcheck disable=SC2034 # The scripts that source this file use $url.
    url=${url%%,*}
}
