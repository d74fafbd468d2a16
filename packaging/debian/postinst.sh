#!/bin/sh
# After the files of the .deb are there. systemd learns of the unit; an engine that it runs is replaced by one of
# the new version. Nothing is started for the first time, as there is no configuration yet.

set -e
if [ "$1" = configure ] && [ -d "$DPKG_ROOT/run/systemd/system" ]; then
    systemctl daemon-reload
    # What keeps a new version from starting is in its log, and does not keep it from being installed.
    systemctl try-restart nightcore.service || :
fi
