#!/bin/sh
# Runs after the files of the .deb are there. systemd reads the unit, and replaces an engine that it
# runs by one of the new version. Nothing is started for the first time, as there is no
# configuration yet.

set -e
if [ "$1" = configure ] && [ -d "$DPKG_ROOT/run/systemd/system" ]; then
    systemctl daemon-reload
    # If the new version does not start, its log says why. The package is installed all the same.
    systemctl try-restart nightcore.service || :
fi
