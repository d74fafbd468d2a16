#!/bin/sh
# Runs after the files of the .deb are removed. systemd forgets the unit, which is one of them.

set -e
if [ "$1" = remove ] && [ -d "$DPKG_ROOT/run/systemd/system" ]; then
    systemctl daemon-reload
fi
