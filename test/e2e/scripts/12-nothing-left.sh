# hosts: nspawn vm
# timeout: 6m
# However a container ends, nothing of it is left: no mount, namespace, link, rule, lease, cgroup, record or file in /run.
. "$BERTH_E2E/berth.sh"

load_image
warm_up

ended() { [ "$(property "$1" ActiveState)" = failed ] || [ "$(property "$1" ActiveState)" = inactive ]; }

# life KIND HOW-IT-ENDS LINES… runs a unit with these lines in [Container].
life() {
	local kind=$1 how=$2 unit
	shift 2
	unit=e2e-left-$kind-$how
	say "$kind, $how"
	leak_snapshot
	{
		printf '[Container]\nImage=%s\nExec=sh -c '\''%s'\''\n' "$IMAGE" "$IDLE"
		[ $# = 0 ] || printf '%s\n' "$@"
	} >"/etc/containers/systemd/$unit.container"
	systemctl daemon-reload
	systemctl start "$unit"
	assert_init "$unit" "$(property "$unit" MainPID)"
	assert_alone
	case $how in
	stop) systemctl stop "$unit" ;;
	kill)
		kill -9 "$(property "$unit" MainPID)"
		wait_for 60 ended "$unit"
		;;
	rm) berth rm -f "systemd-$unit" >/dev/null && wait_for 60 ended "$unit" ;;
	file) # is removed before
		rm "/etc/containers/systemd/$unit.container"
		systemctl daemon-reload
		systemctl stop "$unit"
		must_fail systemctl start "$unit" >/dev/null
		;;
	name) # is another one by then
		echo "ContainerName=$unit" >>"/etc/containers/systemd/$unit.container"
		systemctl daemon-reload
		systemctl stop "$unit"
		;;
	esac
	systemctl reset-failed "$unit" 2>/dev/null || true
	rm -f "/etc/containers/systemd/$unit.container"
	systemctl daemon-reload
	leak_check
}

mkdir -p /etc/containers/systemd
for how in stop kill rm file name; do
	case $BERTH_HOST-$how in vm-rm | vm-file | vm-name) continue ;; esac # emulated: a share will do
	life bridge "$how" PublishPort=18081:80 PublishPort=127.0.0.1:18082:81/udp
	[ "$BERTH_HOST" != vm ] || continue # as above
	life none "$how" Network=none
	life host "$how" Network=host
done
life bind stop Network=none "Volume=$tmp:/data"

say "a pod that gets another name, and whose files are removed before it is stopped"
leak_snapshot
printf '[Pod]\nPublishPort=18081:80\n' >/etc/containers/systemd/e2e-left.pod
printf '[Container]\nImage=%s\nPod=e2e-left.pod\nExec=sh -c '\''%s'\''\n' "$IMAGE" "$IDLE" >/etc/containers/systemd/e2e-left.container
systemctl daemon-reload
systemctl start e2e-left
echo PodName=e2e-other >>/etc/containers/systemd/e2e-left.pod
systemctl daemon-reload
systemctl restart e2e-left-pod
wait_for 60 has_property e2e-left ActiveState active
assert_eq "the pods" "$(berth pod ps --format '{{.Name}}')" e2e-other
rm /etc/containers/systemd/e2e-left.*
systemctl daemon-reload
systemctl stop e2e-left-pod
wait_for 60 ended e2e-left
systemctl daemon-reload
leak_check

say "a start that fails half-way"
leak_snapshot
for wrong in Volume=/does/not/exist:/x Exec=/no/such/program PublishPort=18083:80,99 User=nobody-knows; do
	printf '[Container]\nImage=%s\nPublishPort=18081:80\n%s\n' "$IMAGE" "$wrong" >/etc/containers/systemd/e2e-half.container
	systemctl daemon-reload
	must_fail systemctl start e2e-half >/dev/null
	systemctl reset-failed e2e-half 2>/dev/null || true
done
rm /etc/containers/systemd/e2e-half.container
systemctl daemon-reload
leak_check

say "the leak check can fail"
leak_snapshot
touch /run/berth/e2e-planted
code=$(exit_code leakcheck check "$tmp/leak.json" --within 0s)
rm /run/berth/e2e-planted
assert_eq "exit code of the check with a planted file" "$code" 1
