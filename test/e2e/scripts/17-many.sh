# hosts: nspawn vm
# timeout: 8m
# Many containers start, die and stop at the same moment; all of them run, and nothing of them is left.
. "$BERTH_E2E/berth.sh"

load_image
warm_up
mkdir -p /etc/containers/systemd
cat >/etc/containers/systemd/e2e-many@.container <<F
[Container]
Image=$IMAGE
PublishPort=1810%i:80
Exec=sh -c '$IDLE'
F
systemctl daemon-reload
count=10
[ "$BERTH_HOST" != vm ] || count=4 # emulated
units=$(for ((i = 0; i < count; i++)); do echo "e2e-many@$i"; done)
defer rm -f /etc/containers/systemd/e2e-many@.container
systemctl start 'system-e2e\x2dmany.slice' # systemd's own, it stays
leak_snapshot

run() { [ "$(property "$1" ActiveState)" = active ]; }
ended() { [ "$(property "$1" ActiveState)" = failed ] || [ "$(property "$1" ActiveState)" = inactive ]; }

for how in kill stop; do
	say "start all at once"
	systemctl start $units
	for u in $units; do
		assert_init "$u" "$(property "$u" MainPID)"
	done
	assert_eq "addresses" "$(berth inspect -f '{{.NetworkSettings.IPAddress}}' $(berth ps -q) | grep -c '^10\.88\.')" $count
	assert_eq "different ones" "$(berth inspect -f '{{.NetworkSettings.IPAddress}}' $(berth ps -q) | grep '^10\.88\.' | sort -u | wc -l)" $count
	say "$how all at once"
	case $how in
	kill)
		pids=$(for u in $units; do property "$u" MainPID; done)
		kill -9 $pids
		;;
	stop) systemctl stop $units ;;
	esac
	for u in $units; do
		wait_for 120 ended "$u"
	done
	systemctl reset-failed $units 2>/dev/null || true
	leak_check
done
