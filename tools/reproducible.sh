#!/usr/bin/env bash
# Builds the packages of the last commit twice and compares every byte:
#   reproducible.sh [ARCH...]
# The second time in a clone of another name and branch, with nothing in the build
# cache, another umask, time zone and language.
set -euo pipefail
cd "$(dirname "$0")/.."
arches=${*:-amd64 arm64}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

git clone -q . "$work/first"
make -s -C "$work/first" packages ARCHES="$arches" >/dev/null
(
	umask 077
	export TZ=Pacific/Kiritimati LC_ALL=C GOCACHE=$work/cache
	mkdir -p "$work/another/place"
	git clone -q . "$work/another/place/second"
	git -C "$work/another/place/second" switch -qc other
	make -s -C "$work/another/place/second" packages ARCHES="$arches" >/dev/null
)
diff -r "$work/first/dist" "$work/another/place/second/dist"
cat "$work/first/dist/SHA256SUMS"
echo "$(wc -l <"$work/first/dist/SHA256SUMS") files of commit $(git -C "$work/first" rev-parse --short HEAD), twice the same bytes."
