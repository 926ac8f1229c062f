# hosts: nspawn vm local
# timeout: 6m
# Exit statuses and signals of the container's PID 1 are systemd's to see, unchanged, and Restart= works on them.
. "$BERTH_E2E/berth.sh"

load_image

ended() { [ "$(property "$1" ActiveState)" = failed ] || [ "$(property "$1" ActiveState)" = inactive ]; }

say "exit status 7"
quadlet e2e-seven.container <<F
[Container]
Image=$IMAGE
Network=none
Exec=sh -c 'echo now; exit 7'
F
systemctl start e2e-seven || true
wait_for 30 ended e2e-seven
assert_eq "status" "$(property e2e-seven ExecMainStatus)" 7
assert_eq "code" "$(property e2e-seven ExecMainCode)" 1
assert_eq "result" "$(property e2e-seven Result)" exit-code

say "exit status 0"
quadlet e2e-zero.container <<F
[Container]
Image=$IMAGE
Network=none
Exec=true
F
systemctl start e2e-zero || true
wait_for 30 ended e2e-zero
assert_eq "result" "$(property e2e-zero Result)" success

say "kill -9"
quadlet e2e-kill.container <<F
[Container]
Image=$IMAGE
Network=none
Exec=sleep 100000
F
systemctl start e2e-kill
kill -9 "$(property e2e-kill MainPID)"
wait_for 30 ended e2e-kill
assert_eq "result" "$(property e2e-kill Result)" signal
assert_eq "signal" "$(property e2e-kill ExecMainStatus)" 9

say "Restart=always, again and again"
times="1 2 3"
[ "$BERTH_HOST" != vm ] || times=1
quadlet e2e-again.container <<F
[Container]
Image=$IMAGE
Exec=sleep 100000
[Service]
Restart=always
RestartSec=0
F
systemctl start e2e-again
old=$(property e2e-again MainPID)
again() {
	[ "$(property e2e-again NRestarts)" = "$1" ] && [ "$(property e2e-again ActiveState)" = active ] &&
		[ "$(property e2e-again MainPID)" != "$old" ]
}
for n in $times; do
	kill -9 "$old"
	wait_for 60 again "$n"
	old=$(property e2e-again MainPID)
	assert_init e2e-again "$old"
done
assert_eq "containers of that name" "$(berth ps -q | wc -l)" 1
# sleep does not ask for SIGTERM and PID 1 gets no signal that it does not ask for: it is killed.
berth rm -f -t 0 systemd-e2e-again >/dev/null
systemctl stop e2e-again
assert_eq "containers left" "$(berth ps -a -q)" ""
