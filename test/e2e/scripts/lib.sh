# Functions for the test scripts, which begin with:  . "$BERTH_E2E/lib.sh"
#
# A command that fails ends the script, and the line is named. Nothing waits for a fixed time: wait_for and wait_journal
# wait for what the test is about, up to a limit at which the test fails.

set -Eeuo pipefail
trap 'echo "failed at $(basename "$0") line $LINENO: $BASH_COMMAND" >&2' ERR
trap cleanup EXIT

export LC_ALL=C.UTF-8 SYSTEMD_PAGER='' SYSTEMD_COLORS=0
PATH=$PATH:${BERTH_TOOLS:-/usr/libexec/berth-test}

IMAGES=${BERTH_IMAGES:-/usr/share/berth-test} # busybox.tar and busybox.oci.tar, both localhost/busybox:latest
tmp=$(mktemp -d /tmp/berth-e2e.XXXXXX)
chmod 755 "$tmp"
deferred=()

# defer COMMAND… runs the command when the script ends, the last one first.
defer() {
	deferred+=("$(printf '%q ' "$@")")
}

cleanup() {
	local i
	trap - ERR
	set +e
	for ((i = ${#deferred[@]} - 1; i >= 0; i--)); do
		eval "${deferred[i]}"
	done
	rm -rf "$tmp"
}

say() { echo "== $*"; }

die() {
	trap - ERR
	echo "FAIL: $*" >&2
	exit 1
}

# skip REASON ends the script: it cannot be run on this machine.
skip() {
	echo "$*"
	exit 77
}

# needs THING… skips the script on a real machine that lacks something which the throw-away machines have: "tester", the
# user, "outside", the neighbouring network, "controllers" of cgroups, or a program. On those it is an error.
needs() {
	local thing
	for thing; do
		case $thing in
		tester) id tester >/dev/null 2>&1 || lacks "no user named tester" ;;
		outside) test -e /run/netns/outside || lacks "no network namespace named outside" ;;
		controllers) grep -q memory /sys/fs/cgroup/cgroup.controllers || lacks "no cgroup controllers" ;;
		*) command -v "$thing" >/dev/null || lacks "$thing is not installed" ;;
		esac
	done
}

lacks() {
	[ "${BERTH_HOST:-local}" != local ] || skip "$1"
	die "this machine is not what it should be: $1"
}

# assert_eq WHAT GOT WANT
assert_eq() {
	[ "$2" = "$3" ] || die "$1: got \"$2\", want \"$3\""
}

# assert_match WHAT GOT REGEX, an extended regular expression that must match somewhere
assert_match() {
	grep -Eq -- "$3" <<<"$2" || die "$1: got \"$2\", which does not match \"$3\""
}

# assert_no_match WHAT GOT REGEX
assert_no_match() {
	if grep -Eq -- "$3" <<<"$2"; then
		die "$1: got \"$2\", which matches \"$3\""
	fi
}

# must_fail COMMAND… succeeds when the command fails, and prints what it said.
must_fail() {
	local code=0
	"$@" 2>&1 || code=$?
	[ "$code" != 0 ] || die "must fail, but succeeded: $*"
}

# exit_code COMMAND… prints the exit code of a command. What it says goes to the script's own output, for the reader of a failure.
exit_code() {
	local code=0
	"$@" >&2 || code=$?
	echo "$code"
}

# wait_for SECONDS COMMAND… tries the command until it succeeds.
wait_for() {
	local end=$((SECONDS + $1 + 1)) # SECONDS counts whole ones
	shift
	until "$@" >"$tmp/wait_for" 2>&1; do
		[ "$SECONDS" -lt "$end" ] || die "has not come true: $*: $(tail -n 20 "$tmp/wait_for")"
		sleep 0.05
	done
}

# wait_journal SECONDS REGEX JOURNALCTL-ARGUMENT… waits for a line of this boot's journal: wait_journal 5 ready -u web
# One journalctl follows for some seconds only: it reads a file while it is written to, and may pass over an entry that is not linked to
# its fields yet until another one comes.
wait_journal() {
	local end=$((SECONDS + $1 + 1)) regex=$2
	shift 2
	until follow_journal 5 "$regex" "$@"; do
		[ "$SECONDS" -lt "$end" ] || die "no line like \"$regex\" in the journal ($*) in time: $(journalctl --no-pager -b -n 3 -o verbose -g "$regex")"
	done
}
follow_journal() {
	local limit=$1 regex=$2
	shift 2
	timeout "$limit" journalctl --no-pager -b -o cat -n all -f "$@" 2>/dev/null | grep -Em1 -- "$regex" >/dev/null || [ "${PIPESTATUS[1]}" = 0 ]
}

# property UNIT NAME prints one property of a unit; user_property does so in tester's manager.
property() { systemctl show -P "$2" "$1"; }
user_property() { as_tester systemctl --user show -P "$2" "$1"; }

# has_property UNIT PROPERTY VALUE, for wait_for; user_has_property does so in tester's manager.
has_property() { [ "$(property "$1" "$2")" = "$3" ]; }
user_has_property() { [ "$(user_property "$1" "$2")" = "$3" ]; }

# as_tester COMMAND… runs a command as the user tester, with what a session of his would set. It is none: the journal gets no lines
# of sessions that begin and end.
as_tester() {
	(cd / && setpriv --reuid tester --regid tester --init-groups env -i HOME=/home/tester USER=tester LOGNAME=tester SHELL=/bin/bash LC_ALL=C.UTF-8 \
		PATH=/usr/local/bin:/usr/bin:/bin XDG_RUNTIME_DIR=/run/user/1000 \
		DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus "$@")
}

# quadlet NAME <<EOF drops a unit file for the system manager until the script ends, and reloads.
quadlet() {
	mkdir -p /etc/containers/systemd
	cat >"/etc/containers/systemd/$1"
	defer systemctl daemon-reload
	defer rm -f "/etc/containers/systemd/$1"
	systemctl daemon-reload
}

# user_quadlet NAME <<EOF does the same for tester's manager.
user_quadlet() {
	as_tester mkdir -p /home/tester/.config/containers/systemd
	as_tester tee "/home/tester/.config/containers/systemd/$1" >/dev/null
	defer as_tester systemctl --user daemon-reload
	defer rm -f "/home/tester/.config/containers/systemd/$1"
	as_tester systemctl --user daemon-reload
}

# leak_snapshot remembers the state of the machine; leak_check fails when something more is there, and names it.
leak_snapshot() { leakcheck snap >"$tmp/leak.json"; }
leak_check() { leakcheck check "$tmp/leak.json" --within 30s || die "something was left behind, see above"; }

# from_outside COMMAND… runs a command in the neighbouring network, where this machine is 192.0.2.2.
from_outside() { ip netns exec outside "$@"; }

# tally POINTS FAILURES LEAKS tells of a row of interruptions; the closing table of the tests has it.
tally() { echo "tally: $1 points, $2 failures, $3 leaks"; }
