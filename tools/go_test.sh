#!/usr/bin/env bash
# Runs `go test -json` in several modules, for `gotestsum --raw-command`, so
# that one count covers them all. Goes on after a failure and exits with it.
# Each argument is a module's directory and its flags and packages: ". -race ./...".
set -uo pipefail

status=0
for run in "$@"; do
	read -r -a words <<<"$run"
	go -C "${words[0]}" test -json "${words[@]:1}" || status=$?
done
exit "$status"
