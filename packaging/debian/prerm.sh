#!/bin/sh
# Runs before the files of the .deb are removed. systemd stops a running engine now, so that it can
# finish its calls while its files still exist.

set -e
if [ "$1" = remove ] && [ -d "$DPKG_ROOT/run/systemd/system" ]; then
    systemctl disable --now nightcore.service
fi
