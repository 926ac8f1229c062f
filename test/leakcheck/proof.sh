#!/bin/sh
# Proves leakcheck on a throw-away machine, and prints what it saw:
#
#	go run ./test/e2e/hosts/berth-host run nspawn sh <test/leakcheck/proof.sh
#
# Needs root, systemd, and nft for one of the plants. It changes the machine
# for a moment: do not run it on one that you need.
set -eu
PATH=$PATH:/usr/libexec/berth-test # where the machines have it

snapshots=$(mktemp -d)
trap 'rm -rf "$snapshots"' EXIT
idle=${IDLE_SECONDS:-20}

echo "== two snapshots of the idle machine, $idle s apart, are equal"
leakcheck snap >"$snapshots/a.json"
sleep "$idle" # the time that passes is what is tested
leakcheck snap >"$snapshots/b.json"
leakcheck diff "$snapshots/a.json" "$snapshots/b.json"
grep -h '^ "took_ms"' "$snapshots/a.json" "$snapshots/b.json"

echo "== a leak planted for each collector is found"
leakcheck selftest

echo "== nothing of that is left"
leakcheck check "$snapshots/a.json"
echo "leakcheck: proved"
