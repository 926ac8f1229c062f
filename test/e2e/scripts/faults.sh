# Functions for the scripts that interrupt berth at the changes that it makes:  . "$BERTH_E2E/faults.sh"
# A target is a command of a unit that is called by way of the program faults when the plan says so.
. "$BERTH_E2E/berth.sh"

FAULTS=/run/e2e-faults
rm -rf $FAULTS
mkdir $FAULTS
defer rm -rf $FAULTS
cat >$FAULTS/call <<'F'
#!/bin/sh
# call TARGET COMMAND… runs the command, as the plan has it.
target=$1
shift
faults=/usr/libexec/berth-test/faults
[ "$(id -u)" = 0 ] || faults=$faults-for-users
read -r whom what </run/e2e-faults/plan
[ "$whom" = "$target" ] || exec "$@"
[ "$what" != count ] || exec $faults count -- "$@" >/run/e2e-faults/count
exec $faults $what -- "$@"
F
chmod 755 $FAULTS/call
install -m 666 /dev/null $FAULTS/count # there before the snapshots, and a user's commands write to it too
install -m 4755 /usr/libexec/berth-test/faults /usr/libexec/berth-test/faults-for-users # or newuidmap would not work when watched
defer rm /usr/libexec/berth-test/faults-for-users
plan() { echo "$@" >$FAULTS/plan; }
plan none

allow_storage
cat >>"$tmp/allowed" <<'F'
leases [-+] /run/containers/networks/firewall/firewall-driver: .* # of netavark, which writes it anew at each set-up, not in one step
nft \+ host {"rule":{"chain":"(FORWARD|OUTPUT|PREROUTING|NETAVARK-ISOLATION-3)","expr":\[({"match":{"left":{"fib":{"flags":\["daddr"\],"result":"type"}},"op":"==","right":"local"}},)?{"jump":{"target":"NETAVARK-(ISOLATION-[12]|HOSTPORT-DNAT)"}}\].* # netavark could not list its table, and has made its own rules once more
nft \+ host {"rule":{"chain":"(FORWARD","expr":\[{"match":{"left":{"ct":{"key":"state"}},"op":"in","right":"invalid"}}|NETAVARK-HOSTPORT-SETMARK","expr":\[{"mangle"|POSTROUTING","expr":\[{"match":{"left":{"\\u0026":\[{"meta":{"key":"mark"}},8192\]}).* # the same
leases [-+] .*/berth/leases(/ports|/ids|/net(/[^/:]+)?)? # a directory that could not be removed when it was empty goes with the next lease
files [-+] d.* .*/berth/leases(/ports|/ids|/net(/[^/:]+)?)? # the same
F

# target NAME UNIT DIRECTIVE makes the unit's command a target; user_target does so for a unit of tester's.
target() { drop_in "/run/systemd/system" "$@" <<<"$(systemctl cat "$2")" && systemctl daemon-reload; }
user_target() {
	drop_in /home/tester/.config/systemd/user "$@" <<<"$(as_tester systemctl --user cat "$2")"
	chown -R tester: /home/tester/.config/systemd
	as_tester systemctl --user daemon-reload
}
drop_in() {
	local command
	command=$(sed -n "s/^$4=//p" | grep -v "^$FAULTS" | head -n 1)
	[ -n "$command" ] || die "$3 has no $4="
	mkdir -p "$1/$3.service.d"
	defer rm -rf "$1/$3.service.d"
	printf '[Service]\n%s=\n%s=%s/call %s %s\n' "$4" "$4" $FAULTS "$2" "$command" >"$1/$3.service.d/faults-$2.conf"
}

# What went wrong is counted and shown, and the script goes on: verdict fails at its end.
points=0 failures=0 leaks=0
enough() { [ $((failures + leaks)) -lt 10 ] || verdict; }
verdict() {
	tally $points $failures $leaks
	[ $((failures + leaks)) = 0 ] || die "$failures failures and $leaks leaks, see above"
}
nothing_left() {
	leakcheck check "$tmp/leak.json" --within 20s --allow "$tmp/allowed" && return
	journalctl --no-pager -b -o short-monotonic -n 30
	say "left behind after: $1"
	leaks=$((leaks + 1))
	leak_snapshot # it counts once
	enough
}
# failed WHAT
failed() {
	journalctl --no-pager -b -o short-monotonic -n 30
	say "$1"
	failures=$((failures + 1))
	enough
}

# interrupt TARGET KILLS FAILURES kills the target at so many of its changes and lets so many fail, spread over all of them;
# with BERTH_TORTURE at each, and the next start is tried after each. up and down are the script's: they start and stop
# what the target belongs to, and may fail.
interrupt() {
	local total n i now what began=$SECONDS kinds=("kill # $2" "fail # ENOSPC $3" "fail # EIO $3")
	plan "$1 count"
	up || die "$1 does not start, without any interruption"
	down
	total=$(tail -n 1 $FAULTS/count)
	[ "$total" -gt 5 ] || die "the changes of $1 were not counted: $total"
	nothing_left "$1, uninterrupted"
	for what in "${kinds[@]}"; do
		n=${what##* } what=${what% *}
		[ -z "${BERTH_TORTURE:-}" ] || n=$((${BERTH_ROUNDS:-total} < total ? ${BERTH_ROUNDS:-total} : total))
		for ((i = 0; i < n; i++)); do
			now="$1 ${what/\#/$((1 + total * (2 * i + 1) / (2 * n)))}"
			plan "$now"
			up >/dev/null 2>&1 || true
			down
			nothing_left "$now"
			points=$((points + 1))
			[ -z "${BERTH_TORTURE:-}" ] || next_start "$now"
		done
	done
	plan none
	say "$1 makes $total changes; $points points so far, $((SECONDS - began)) s"
}
next_start() {
	plan none
	up || failed "does not start any more, after: $1"
	down
}
