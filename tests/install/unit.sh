# Functions that check an installed systemd unit. Source this file after tests/engine.sh.
# shellcheck shell=bash

# unit_runs UNIT COMMAND: checks that the unit runs this command, and no other.
unit_runs() {
    local others
    [[ $(grep -c '^Exec' "$1") == 2 ]] || fail "$1 has other commands than ExecStart and ExecReload"
    others=$(grep '^Exec' "$1" | grep -v "^Exec[A-Za-z]*=$2 ") || return 0
    fail "$1 does not run $2: $others"
}

# unit_is_good UNIT COMMAND: checks that the unit runs this command, and that systemd accepts the
# unit without a warning. The command must exist.
unit_is_good() {
    unit_runs "$1" "$2"
    if ! command -v systemd-analyze >/dev/null; then
        echo "skipped: systemd-analyze verify, as systemd is not there"
        return
    fi
    # systemd-analyze succeeds even if it warns about an unknown setting, so the test reads its
    # output.
    local said
    said=$(systemd-analyze verify --man=no "$1" 2>&1) || fail "systemd does not accept $1: $said"
    [[ $said != *"$1"* ]] || fail "systemd warns about $1: $said"
}
