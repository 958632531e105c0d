#!/bin/sh
# Removed (dpkg: remove, rpm: 0 packages left), not upgraded.
set -e
case "$1" in
remove | 0) [ -n "$DPKG_ROOT" ] || [ ! -d /run/systemd/system ] || systemctl disable --now @units@ ;;
esac
