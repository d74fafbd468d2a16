#!/bin/sh
# After the files of the .deb are gone, the unit among them.

set -e
if [ "$1" = remove ] && [ -d "$DPKG_ROOT/run/systemd/system" ]; then
    systemctl daemon-reload
fi
