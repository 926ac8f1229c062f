# hosts: nspawn
# timeout: 6m
# A start and a stop are killed before one change after the other that they make to the machine, and let one change after
# the other fail: nothing is left, and the next start works. `make torture` takes each of them, CI some.
. "$BERTH_E2E/berth.sh"

load_image
warm_up
step=41
[ -z "${BERTH_TORTURE:-}" ] || step=1

quadlet e2e-faults.container <<F
[Container]
Image=$IMAGE
PublishPort=18096:80
Volume=e2e-faults:/data
Exec=sh -c '$IDLE'
[Service]
TimeoutStopSec=20
F
defer berth volume rm e2e-faults
# What the unit calls is called by way of faults, as /run/e2e-faults.env says.
command_of() { systemctl cat e2e-faults | sed -n "s/^$1=//p" | head -n 1; }
mkdir -p /run/systemd/system/e2e-faults.service.d
defer rm -rf /run/systemd/system/e2e-faults.service.d /run/e2e-faults.env
cat >/run/systemd/system/e2e-faults.service.d/faults.conf <<F
[Service]
EnvironmentFile=/run/e2e-faults.env
ExecStart=
ExecStart=/usr/libexec/berth-test/faults \$START -- $(command_of ExecStart)
ExecStop=
ExecStop=/usr/libexec/berth-test/faults \$STOP -- $(command_of ExecStop)
F
systemctl daemon-reload

# plan START STOP says what faults is to do.
plan() { printf 'START=%s\nSTOP=%s\n' "$1" "$2" >/run/e2e-faults.env; }
ended() { [ "$(property e2e-faults ActiveState)" = failed ] || [ "$(property e2e-faults ActiveState)" = inactive ]; }
# changes prints how many changes the last start or stop made.
changes() {
	journalctl --sync
	journalctl --no-pager -q -b -o cat -t e2e-faults | grep -E '^[0-9]+$' | tail -n 1
}

# What lay beside another file when the storage library was killed is swept away when it is ten minutes old, or at the
# next boot.
cat >"$tmp/allowed" <<'F'
.*/overlay-(layers|containers)/\.tmp-(mountpoints|volatile).* # of the storage library, swept when ten minutes old
.*unfinished overlay-(layers|containers)/\.tmp-volatile.* # the same, as the store's own check words it
.*dangling link l/.* # a layer's short name, when the kill came between the two; swept at the next boot
leases [-+] /run/containers/networks/firewall/firewall-driver: .* # of netavark, which writes it anew at each set-up, not in one step
F
plan count count
systemctl start e2e-faults
systemctl stop e2e-faults
journalctl --sync
leak_snapshot
systemctl start e2e-faults
start_changes=$(changes)
systemctl stop e2e-faults
stop_changes=$(changes)
say "a start makes $start_changes changes, a stop $stop_changes"
[ "$start_changes" -gt 100 ] && [ "$stop_changes" -gt 20 ] || die "the changes were not counted"

nothing_left() {
	leakcheck check "$tmp/leak.json" --within 20s --allow "$tmp/allowed" || {
		journalctl --no-pager -b -o short-monotonic -u e2e-faults -n 30
		die "left behind after: $1"
	}
}

points=0
# through KIND LAST START STOP goes through the changes; # in START and STOP stands for the number of one.
through() {
	local n
	for ((n = 1 + step / 2; n <= $2; n += step)); do
		plan "${3//#/$n}" "${4//#/$n}"
		systemctl start e2e-faults 2>/dev/null || true
		systemctl stop e2e-faults 2>/dev/null || true
		wait_for 60 ended
		systemctl reset-failed e2e-faults 2>/dev/null || true
		nothing_left "$1 $n"
		points=$((points + 1))
	done
}
through "start killed before change" "$start_changes" "kill #" count
through "stop killed before change" "$stop_changes" count "kill #"
for errno in ENOSPC EIO; do
	through "start, $errno at change" "$start_changes" "fail # $errno" count
	through "stop, $errno at change" "$stop_changes" count "fail # $errno"
done
say "$points points, nothing left after any"

say "the next start works"
plan count count
systemctl start e2e-faults
assert_init e2e-faults "$(property e2e-faults MainPID)"
systemctl stop e2e-faults
nothing_left "all"
