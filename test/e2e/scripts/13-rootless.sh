# hosts: nspawn vm
# timeout: 6m
# The same as a user: none, host and pasta under the user's manager.
. "$BERTH_E2E/berth.sh"

load_user_image
: >"$tmp/wait_for"
as_tester berth run --rm --network none $IMAGE true
# The unit that all wait for stays, and so do its traces: it is there once a file is.
user_quadlet e2e-any.container <<F
[Container]
Image=$IMAGE
Network=none
Exec=true
F
as_tester systemctl --user start podman-user-wait-network-online.service
rm -f /home/tester/.config/containers/systemd/e2e-any.container
mkdir "$tmp/www"
echo here >"$tmp/www/index.html"
leak_snapshot

ended() { [ "$(user_property "$1" ActiveState)" = failed ] || [ "$(user_property "$1" ActiveState)" = inactive ]; }

for net in none host pasta; do
	say "Network=$net"
	publish=
	[ $net != pasta ] || publish=PublishPort=18084:80
	user_quadlet e2e-$net.container <<F
[Container]
Image=$IMAGE
Network=$net
$publish
Exec=sh -c '$SERVE'
F
	# With the host's network a user may not take port 80, so that one only has to be there.
	as_tester systemctl --user start e2e-$net || [ $net = host ]
	if [ $net != host ]; then
		pid=$(user_property e2e-$net MainPID)
		assert_init e2e-$net "$pid"
		assert_match "user of PID 1" "$(grep ^Uid: "/proc/$pid/status")" '1000'
		wait_journal 20 serving USER_UNIT=e2e-$net.service
		assert_match "journalctl --user -u" "$(as_tester journalctl --user -u e2e-$net -o cat)" serving
		assert_match "ps" "$(as_tester berth ps)" "systemd-e2e-$net\$"
		assert_alone
	fi
	if [ $net = pasta ]; then
		wait_for 20 curl -fsS http://127.0.0.1:18084/
		# The machine: what listens on its address, and nothing of its loopback device.
		services=()
		for listen in 18201 127.0.0.1:18202; do
			busybox httpd -f -p $listen -h "$tmp/www" &
			services+=($!)
			wait_for 20 curl -fsS "http://127.0.0.1:${listen#*:}/"
		done
		there() { as_tester berth exec systemd-e2e-pasta wget -T 5 -q -O - "http://host.containers.internal:$1/"; }
		assert_eq "a page of the machine" "$(there 18201)" here
		must_fail there 18202 >/dev/null
		kill "${services[@]}"
		if ip netns list | grep -q outside; then
			assert_eq "page from outside" "$(from_outside curl -fsS http://192.0.2.2:18084/)" it-works
		fi
		kill "$(cat /run/user/1000/berth/*/pasta.pid)"
		wait_journal 20 'pasta .process [0-9]+., which .* has ended' USER_UNIT=e2e-pasta.service
	fi
	as_tester systemctl --user stop e2e-$net
	rm -f /home/tester/.config/containers/systemd/e2e-$net.container
done

say "Network=host is the host's"
user_quadlet e2e-hostnet.container <<F
[Container]
Image=$IMAGE
Network=host
Exec=sh -c '$IDLE'
F
as_tester systemctl --user start e2e-hostnet
pid=$(user_property e2e-hostnet MainPID)
assert_init e2e-hostnet "$pid"
assert_eq "network namespace" "$(readlink "/proc/$pid/ns/net")" "$(readlink /proc/self/ns/net)"
as_tester systemctl --user stop e2e-hostnet

say "a container of another user than root stops when it is told to"
user_quadlet e2e-other.container <<F
[Container]
Image=$IMAGE
User=1234:1234
Network=none
Exec=sh -c '$IDLE'
F
as_tester systemctl --user start e2e-other
wait_journal 20 idle USER_UNIT=e2e-other.service
as_tester systemctl --user stop e2e-other
assert_eq "result" "$(user_property e2e-other Result)" success

say "exit status 7 and kill -9"
user_quadlet e2e-useven.container <<F
[Container]
Image=$IMAGE
Network=none
Exec=sh -c 'exit 7'
F
as_tester systemctl --user start e2e-useven || true
wait_for 30 ended e2e-useven
assert_eq "status" "$(user_property e2e-useven ExecMainStatus)" 7
user_quadlet e2e-ukill.container <<F
[Container]
Image=$IMAGE
Network=none
Exec=sleep 100000
F
as_tester systemctl --user start e2e-ukill
kill -9 "$(user_property e2e-ukill MainPID)"
wait_for 30 ended e2e-ukill
assert_eq "result" "$(user_property e2e-ukill Result)" signal

say "nothing is left"
as_tester systemctl --user reset-failed
rm -f /home/tester/.config/containers/systemd/e2e-*.container
as_tester systemctl --user daemon-reload
assert_eq "containers" "$(as_tester berth ps -a -q)" ""
leak_check
