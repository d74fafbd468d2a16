#!/bin/sh
# Runs before the files of the .deb go: an engine that systemd runs ends its calls while its command
# is still there.

set -e
if [ "$1" = remove ] && [ -d "$DPKG_ROOT/run/systemd/system" ]; then
    systemctl disable --now nightcore.service
fi
