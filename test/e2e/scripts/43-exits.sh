# hosts: nspawn
# timeout: 8m
# Every exit status and every deadly signal of a container is what systemd says it is, and what `berth run` and `berth wait` say.
. "$BERTH_E2E/berth.sh"

load_image
: >"$tmp/wait_for"
berth run --rm --network none $IMAGE true
wait_for 20 no_scope
systemctl start network-online.target
leak_snapshot

# With BERTH_TORTURE=1 all that there are. All signals that end a process by themselves are meant; a container's PID 1 is spared
# most of them, so these share the PIDs of the host. 3 comes by itself below: the shell of busybox ignores it.
statuses="0 1 2 42 69 125 126 127 128 137 143 200 203 254 255"
signals="1 2 6 9 10 11 13 15 34 64"
if [ -n "${BERTH_TORTURE:-}" ]; then
	statuses=$(seq 0 255)
	signals="1 2 $(seq 4 16) $(seq 24 27) $(seq 29 31) $(seq 34 64)"
fi

quadlet e2e-status@.container <<F
[Container]
Image=$IMAGE
Network=none
Exec=sh -c 'exit %i'
[Service]
SuccessExitStatus=69 143
F
quadlet e2e-signal@.container <<F
[Container]
Image=$IMAGE
Network=none
PodmanArgs=--pid=host
Ulimit=core=0
Exec=sh -c 'kill -%i \$\$\$\$; sleep 1000'
[Service]
SuccessExitStatus=SIGUSR1
F
# Somebody must want the units, or systemd forgets those that have ended well, and how.
units=$(printf 'e2e-status@%s.service ' $statuses)$(printf 'e2e-signal@%s.service ' $signals)
printf '[Unit]\nWants=%s\n' "$units" >/run/systemd/system/e2e-exits.target
defer rm -f /run/systemd/system/e2e-exits.target
systemctl daemon-reload
systemctl start --job-mode=ignore-dependencies e2e-exits.target

begin=$SECONDS
xargs -n 40 timeout 200 systemctl start <<<"$units" >/dev/null 2>&1 || true
all_ended() { ! systemctl list-units --all --plain --no-legend 'e2e-status@*' 'e2e-signal@*' | grep -Ev ' (failed|inactive) +(failed|dead) '; }
wait_for 200 all_ended
say "$(wc -w <<<"$units") containers in $((SECONDS - begin)) s"
# shellcheck disable=SC2086
systemctl show -p Id -p ExecMainCode -p ExecMainStatus -p Result $units >"$tmp/shown"
awk -F= '
	/^Id=/ { id = $2 } /^ExecMainCode=/ { code = $2 } /^ExecMainStatus=/ { status = $2 } /^Result=/ { result = $2 }
	function check() {
		if (id == "") return
		split(id, part, /[@.]/)
		n++
		if (part[1] == "e2e-status") good = code == 1 && status == part[2] && (result == "success") == (status == 0 || status == 69 || status == 143)
		else good = code == 2 && status == part[2] && (result == "success") == (status == 1 || status == 2 || status == 13 || status == 15 || status == 10)
		if (!good) { print id ": code " code ", status " status ", result " result; bad = 1 }
		id = ""
	}
	/^$/ { check() }
	END { check(); print n " units"; exit bad }' "$tmp/shown" >"$tmp/verdict" || die "$(cat "$tmp/verdict")"
assert_eq "all were looked at" "$(tail -n 1 "$tmp/verdict")" "$(wc -w <<<"$units") units"
systemctl stop e2e-exits.target
systemctl reset-failed 'e2e-status@*' 'e2e-signal@*'

quadlet e2e-quit.container <<F
[Container]
Image=$IMAGE
Network=none
PodmanArgs=--pid=host
Ulimit=core=0
Exec=sleep 100000
F
systemctl start e2e-quit
kill -QUIT "$(property e2e-quit MainPID)"
wait_for 60 has_property e2e-quit ActiveState failed
assert_eq "SIGQUIT" "$(property e2e-quit ExecMainCode) $(property e2e-quit ExecMainStatus)" "2 3"
systemctl reset-failed e2e-quit

say "run in the foreground, and wait, say the same"
for n in 0 1 69 125 126 127 128 143 200 255; do
	assert_eq "status of run" "$(exit_code berth run --rm --network none $IMAGE sh -c "exit $n")" "$n"
done
for n in 1 9 11 15 34 64; do
	assert_eq "status of run after signal $n" "$(exit_code berth run --rm --pid=host --ulimit core=0 --network none $IMAGE sh -c "kill -$n \$\$; sleep 1000")" $((128 + n))
done
# wait_says ARGUMENTS WANT SCRIPT
wait_says() {
	berth run -d --name e2e-wait $1 --network none --ulimit core=0 $IMAGE sh -c "until [ -e /go ]; do sleep 0.05; done; $3" >/dev/null
	berth wait e2e-wait >"$tmp/said" &
	waiting=$!
	wait_for 20 eval '[ "$(cat "/proc/$waiting/comm")" = berth ]'
	# Of a container that goes with its end the keeper is asked.
	[[ $1 != --rm* ]] || wait_for 20 eval 'ls -l "/proc/$waiting/fd" | grep -q socket:'
	berth exec e2e-wait touch /go
	wait "$waiting"
	assert_eq "wait $1" "$(cat "$tmp/said")" "$2"
	[ "$1" = --rm ] || [ "$1" = "--rm --pid=host" ] || berth rm e2e-wait >/dev/null
	wait_for 20 eval '[ -z "$(berth ps -a -q)" ]'
}
wait_says "" 7 'exit 7'
wait_says --rm 255 'exit 255'
wait_says --rm 0 'exit 0'
wait_says "--rm --pid=host" $((128 + 11)) 'kill -11 $$; sleep 1000'
systemctl reset-failed e2e-wait 2>/dev/null || true

say "statuses that prevent a restart, or force one"
quadlet e2e-prevent.container <<F
[Container]
Image=$IMAGE
Network=none
Exec=sh -c 'exit 42'
[Service]
Restart=always
RestartSec=0
RestartPreventExitStatus=42
F
quadlet e2e-force.container <<F
[Container]
Image=$IMAGE
Network=none
Volume=$tmp:/state
Exec=sh -c 'test -e /state/again && exit 44; touch /state/again; exit 43'
[Service]
Restart=no
RestartSec=0
RestartForceExitStatus=43
F
systemctl start e2e-prevent e2e-force 2>/dev/null || true
wait_for 30 has_property e2e-prevent ActiveState failed
wait_for 30 eval 'has_property e2e-force ExecMainStatus 44 && has_property e2e-force ActiveState failed'
assert_eq "restarts of the first" "$(property e2e-prevent NRestarts) $(property e2e-prevent ExecMainStatus)" "0 42"
assert_eq "restarts of the second" "$(property e2e-force NRestarts)" 1
systemctl reset-failed e2e-prevent e2e-force

say "nothing is left"
rm -f /etc/containers/systemd/e2e-* /run/systemd/system/e2e-exits.target
systemctl daemon-reload
systemctl stop 'system-e2e\x2dstatus.slice' 'system-e2e\x2dsignal.slice' # which systemd has made for the templates
assert_alone
wait_for 20 no_scope
rm -f "$tmp"/{shown,verdict,said,again}
leak_check
