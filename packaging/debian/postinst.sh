#!/bin/sh
# Runs after the files of the .deb are installed. systemd reads the unit, and restarts a running
# engine with the new version. A first installation starts nothing, because there is no
# configuration yet.

set -e
if [ "$1" = configure ] && [ -d "$DPKG_ROOT/run/systemd/system" ]; then
    systemctl daemon-reload
    # If the new version does not start, its log says why. The installation succeeds nevertheless.
    systemctl try-restart nightcore.service || :
fi
