# hosts: nspawn
# timeout: 5m
# A unit of the system's with User=: the container is that user's, who has no session and no manager of his own, and the rest
# is as in root's units: PID 1 supervises it, and the system's journal has its lines.
. "$BERTH_E2E/berth.sh"

add_svc
: >"$tmp/wait_for"
systemctl start berth-keeper.service network-online.target
svc_image
service() { # NAME, and lines of [Container]
	printf '[Container]\nImage=%s\n%s\n[Service]\nUser=svc\n' "$IMAGE" "$2" | quadlet "$1.container"
}
service e2e23-warm $'Exec=true\nNetwork=none'
systemctl start e2e23-warm
wait_for 20 has_property e2e23-warm ActiveState inactive
gone() { rm -f /etc/containers/systemd/e2e23-* && systemctl daemon-reload; }
gone
leak_snapshot

say "it runs, it is looked after, and it ends"
service e2e23-web "Exec=sh -c 'echo opened >/dev/stdout; $SERVE'
PublishPort=18095:80
Volume=e2e23:/data
HealthCmd=test -e /ok
HealthInterval=1s
HealthRetries=1"
systemctl start e2e23-web
pid=$(property e2e23-web MainPID)
assert_init e2e23-web "$pid"
assert_match "user of PID 1" "$(grep ^Uid: "/proc/$pid/status")" "[[:space:]]$(id -u svc)[[:space:]]"
wait_journal 20 serving _SYSTEMD_UNIT=e2e23-web.service _PID="$pid"
assert_match "journalctl -u" "$(journalctl -b -u e2e23-web -o cat)" '^opened$'
wait_for 20 curl -fsS http://127.0.0.1:18095/
assert_eq "sessions and managers of svc" "$(loginctl list-users --no-legend | grep -c svc || true)" 0
assert_match "ps, as by sudo" "$(as_svc berth ps)" 'systemd-e2e23-web$'
assert_eq "what root sees of it" "$(berth ps -a -q)" ""
assert_match "a program added by hand" "$(as_svc berth exec -u 7 systemd-e2e23-web id)" '^uid=7'
wait_for 20 has_property e2e23-web StatusText unhealthy
as_svc berth exec systemd-e2e23-web touch /ok
wait_for 20 has_property e2e23-web StatusText healthy
wait_for 20 eval 'as_svc berth ps | grep -F "(healthy)"' # another process of svc's writes that down
systemctl freeze e2e23-web # for which the keeper does not wait, the new one neither
old=$(property berth-keeper MainPID)
kill -9 "$old"
wait_for 20 eval '[ "$(property berth-keeper MainPID)" != "$old" ] && has_property berth-keeper ActiveState active'
systemctl thaw e2e23-web
wait_for 20 as_svc berth healthcheck run systemd-e2e23-web
assert_match "stop by hand" "$(must_fail as_svc berth stop systemd-e2e23-web)" 'sudo systemctl stop e2e23-web.service'
assert_match "logs by hand" "$(must_fail as_svc berth logs systemd-e2e23-web)" 'sudo journalctl -u e2e23-web.service'
assert_match "run -d by hand" "$(must_fail as_svc berth run -d $IMAGE true)" 'unit file with User='
systemctl reload-or-restart e2e23-web
assert_init e2e23-web "$(property e2e23-web MainPID)"
systemctl stop e2e23-web
assert_alone
as_svc berth volume rm e2e23 >/dev/null
gone
leak_check

say "its end is told exactly, and its last words are not lost"
service e2e23-seven $'Network=none\nExec=sh -c "echo last words; exit 7"'
systemctl start e2e23-seven || true # it may be ready before it ends
wait_for 20 has_property e2e23-seven ExecMainStatus 7
wait_journal 20 'last words' _SYSTEMD_UNIT=e2e23-seven.service + OBJECT_SYSTEMD_UNIT=e2e23-seven.service
assert_match "journalctl -u" "$(journalctl -b -u e2e23-seven -o cat)" '^last words$'

say "the keeper may be killed"
service e2e23-talk $'Network=none\nExec=sh -c "while :; do read -r line </talk && echo $line; done"\nVolume=/run/e2e23-talk:/talk'
mkfifo -m 0666 /run/e2e23-talk
systemctl start e2e23-talk
kill -9 "$(property berth-keeper MainPID)"
echo after >/run/e2e23-talk
wait_journal 20 '^after$' _SYSTEMD_UNIT=e2e23-talk.service
systemctl kill -s KILL e2e23-talk
rm /run/e2e23-talk
wait_for 20 has_property e2e23-talk ActiveState failed
assert_eq "result" "$(property e2e23-talk Result)" signal
systemctl reset-failed

say "what cannot be is said in a sentence"
refused() { # NAME LINES REGEX
	service "$1" "$2"
	must_fail systemctl start "$1" >/dev/null
	wait_journal 20 "$3" _SYSTEMD_UNIT="$1.service"
	systemctl reset-failed
}
refused e2e23-file $'Network=none\nLogDriver=k8s-file' 'User= writes to the journal: leave LogDriver= out'
refused e2e23-tty $'Network=none\nPodmanArgs=-t' 'can have no terminal'
refused e2e23-bridge 'Network=bridge' 'network bridge: .*--network=pasta needs no manager'
assert_alone
gone
leak_check
