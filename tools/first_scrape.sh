#!/usr/bin/env bash
# Times a new user's way: git clone, make run, and the first scrape in which all three
# members are up.
#   first_scrape.sh          with the Go caches of this machine
#   first_scrape.sh --cold   with empty ones: modules are fetched, everything is compiled
# REPOSITORY is what is cloned; this one.
set -euo pipefail
repository=${REPOSITORY:-$(cd "$(dirname "$0")/.." && pwd)}
work=$(mktemp -d)
pid=
finish() {
	[ -z "$pid" ] || { kill -INT -- "-$pid" && wait "$pid"; } 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT
if [ "${1-}" = --cold ]; then
	export GOMODCACHE=$work/mod GOCACHE=$work/cache GOFLAGS=-modcacherw
fi

now() { date +%s%N; }
seconds() { printf '%d.%d s' $((($2 - $1) / 1000000000)) $((($2 - $1) / 100000000 % 10)); }

begin=$(now)
git clone -q "$repository" "$work/etcdops"
cloned=$(now)
# A group of its own, so that all of it ends.
setsid make -C "$work/etcdops" run LISTEN=127.0.0.1:0 >"$work/log" 2>&1 &
pid=$!
address=
until [ "$(curl -fs "http://$address/metrics" | grep -c '^etcdops_endpoint_up{.*} 1$')" = 3 ]; do
	kill -0 "$pid" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
	address=$(sed -nE 's/.*"Listening on" address=(\S+).*/\1/p' "$work/log")
	if [ -z "$address" ]; then built=$(now); fi
	sleep 0.05
done
end=$(now)
echo "clone $(seconds "$begin" "$cloned"), build and start $(seconds "$cloned" "$built"), first scrape $(seconds "$built" "$end"): $(seconds "$begin" "$end") in all"
