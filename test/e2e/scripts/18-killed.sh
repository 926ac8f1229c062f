# hosts: nspawn vm
# timeout: 8m
# berth may be killed at any moment of a start or a stop: nothing is left, and the next start works.
. "$BERTH_E2E/berth.sh"

load_image
warm_up
volume=/var/lib/containers/storage/volumes/e2e-killed
mkdir -p /etc/containers/systemd
cat >/etc/containers/systemd/e2e-killed.container <<F
[Container]
Image=$IMAGE
PublishPort=18095:80
Volume=e2e-killed:/data
Exec=sh -c '$IDLE'
[Service]
TimeoutStopSec=20
F
systemctl daemon-reload
defer systemctl daemon-reload
defer rm -rf /etc/containers/systemd/e2e-killed.container "$volume"
systemctl start e2e-killed # makes the volume
systemctl stop e2e-killed
: >"$tmp/allowed"
leak_snapshot

allow_storage
nothing_left() { leak_check_allowed 30; }

ended() { [ "$(property e2e-killed ActiveState)" = failed ] || [ "$(property e2e-killed ActiveState)" = inactive ]; }

rounds=40
[ "$BERTH_HOST" != vm ] || rounds=6 # emulated
[ -z "${BERTH_TORTURE:-}" ] || rounds=${BERTH_ROUNDS:-1000}
killed=0
# The moments are spread over somewhat more than a start takes on this machine.
begin=$(date +%s%N)
systemctl start e2e-killed
whole=$((($(date +%s%N) - begin) * 3 / 2))
systemctl stop e2e-killed
for ((i = 0; i < rounds; i++)); do
	job=start
	[ $((i % 4)) != 3 ] || { job=stop && systemctl start e2e-killed; }
	systemctl --no-block $job e2e-killed
	sleep "$(printf '0.%09d' $((whole * i / rounds)))" # the moment of the kill, not a wait for anything
	if pkill -KILL -x berth; then
		killed=$((killed + 1))
	fi
	systemctl stop e2e-killed
	wait_for 60 ended
	systemctl reset-failed e2e-killed 2>/dev/null || true
done
say "$killed of $rounds kills hit"
[ "$killed" -ge $((rounds / 4)) ] || die "only $killed kills hit a running berth"
nothing_left

say "the next start works"
systemctl start e2e-killed
assert_init e2e-killed "$(property e2e-killed MainPID)"
systemctl stop e2e-killed
nothing_left
tally $killed 0 0
