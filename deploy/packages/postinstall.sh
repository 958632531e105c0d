#!/bin/sh
# Starts nothing that did not run: systemctl enable --now does, once the
# configuration is right. What runs goes on as the new version.
set -e
if [ -e "$DPKG_ROOT/usr/lib/sysusers.d/@program@.conf" ] && command -v systemd-sysusers >/dev/null; then
	systemd-sysusers ${DPKG_ROOT:+--root="$DPKG_ROOT"} @program@.conf
fi
if [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart @restart@
fi
