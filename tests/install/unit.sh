# For scripts that look at an installed systemd unit, after tests/engine.sh.
# shellcheck shell=bash

# unit_runs UNIT COMMAND: all that the unit runs is this command.
unit_runs() {
    local others
    [[ $(grep -c '^Exec' "$1") == 2 ]] || fail "$1 has other commands than ExecStart and ExecReload"
    others=$(grep '^Exec' "$1" | grep -v "^Exec[A-Za-z]*=$2 ") || return 0
    fail "$1 does not run $2: $others"
}

# unit_is_good UNIT COMMAND: the unit runs this command, which is there, and systemd has no
# complaint about it.
unit_is_good() {
    unit_runs "$1" "$2"
    if ! command -v systemd-analyze >/dev/null; then
        echo "skipped: systemd-analyze verify, as systemd is not there"
        return
    fi
    # It warns of a setting that it does not know, and succeeds.
    local said
    said=$(systemd-analyze verify --man=no "$1" 2>&1) || fail "systemd does not accept $1: $said"
    [[ $said != *"$1"* ]] || fail "systemd warns about $1: $said"
}
