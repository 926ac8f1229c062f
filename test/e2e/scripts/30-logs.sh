# hosts: nspawn
# timeout: 6m
# What containers write is read by the keeper: it is in the journal under the container's name, images may open /dev/stdout
# anew, and however often the keeper is killed, no line is lost or torn and no container notices. `make torture` kills it 100
# times, CI 30.
. "$BERTH_E2E/berth.sh"

load_image
load_user_image
warm_up
warm_up_user

ended() { [ "$(property "$1" ActiveState)" != active ] && [ "$(property "$1" ActiveState)" != activating ]; }
user_ended() { [ "$(user_property "$1" ActiveState)" != active ] && [ "$(user_property "$1" ActiveState)" != activating ]; }
stored() { systemctl show -P NFileDescriptorStore berth-keeper; }
keeper_pid() { pgrep -x -u "${1:-0}" berth-keeper; }
idle_stored=$(stored)
leak_snapshot

WRITE='echo one; echo two >/dev/stdout; echo three >&2; echo "<4>four" >/proc/self/fd/1; echo five >/dev/stderr; printf six'

say "as root: /dev/stdout opens for another user than root, too, and the journal knows whose lines they are"
quadlet e2e-lines.container <<F
[Container]
Image=$IMAGE
User=101
Network=none
LogOpt=label=E2E=yes
Exec=sh -c '$WRITE; sleep 1000'
F
systemctl start e2e-lines
pid=$(property e2e-lines MainPID)
wait_journal 20 five -u e2e-lines
assert_eq "of PID 1" "$(journalctl -b "_PID=$pid" -o cat | sort | tr '\n' ' ')" "five four one three two "
assert_eq "of the unit" "$(journalctl -b _SYSTEMD_UNIT=e2e-lines.service SYSLOG_IDENTIFIER=e2e-lines E2E=yes -o cat | wc -l)" 5
assert_eq "errors" "$(journalctl -b -u e2e-lines CONTAINER_NAME=systemd-e2e-lines -p 3 -o cat | sort | tr '\n' ' ')" "five three "
assert_eq "warnings" "$(journalctl -b -u e2e-lines CONTAINER_NAME=systemd-e2e-lines -p 4..4 -o cat)" "four"
assert_match "status" "$(systemctl status e2e-lines)" ' e2e-lines\[[0-9]+\]: one$'
assert_eq "logs" "$(berth logs systemd-e2e-lines 2>&1 | sort | tr '\n' ' ')" "five four one three two "
assert_eq "logs with the name of the only one" "$(berth logs --names --tail 1 systemd-e2e-lines 2>&1)" "five"
assert_eq "files in the store" "$(stored)" "$((idle_stored + 3))"
systemctl stop e2e-lines
wait_journal 20 six -u e2e-lines # the line without an end comes with the end
wait_for 20 eval '[ "$(stored)" = "$idle_stored" ]'

say "a line that is several entries of the journal, and one without an end"
berth run --name e2e-long --network none $IMAGE sh -c 'echo first; head -c 150000 /dev/zero | tr "\0" x; echo; printf last' >/dev/null
defer berth rm -f -i e2e-long
wait_for 20 eval '[ "$(berth logs e2e-long | wc -c)" = 150011 ]'
assert_eq "the last lines" "$(berth logs --tail 1 e2e-long) $(berth logs --tail 2 e2e-long | wc -c) $(berth logs -f --tail 2 e2e-long | wc -c) $(berth logs --tail 3 e2e-long | head -n 1)" "last 150005 150005 first"
berth rm e2e-long >/dev/null

say "a line without an end takes no memory"
echo 5 >"/proc/$(keeper_pid)/clear_refs" # its peak counts from here (proc_pid_clear_refs(5))
berth run --rm --name e2e-endless --network none --log-driver k8s-file --log-opt path="$tmp/endless.log" --log-opt max-size=1m $IMAGE sh -c 'head -c 50000000 /dev/zero | tr "\0" x' >/dev/null
high=$(sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$(keeper_pid)/status")
[ "$high" -lt 20000 ] || die "the keeper had $high kB"
rm "$tmp"/endless.log*

say "as a user, whoever the container's user is"
user_quadlet e2e-ulines.container <<F
[Container]
Image=$IMAGE
User=101:101
Network=none
Exec=sh -c '$WRITE'
F
as_tester systemctl --user start e2e-ulines || true
wait_for 30 user_ended e2e-ulines
wait_for 20 eval 'as_tester journalctl --user -u e2e-ulines -o cat | grep -qx six'
assert_eq "the user's journal" "$(as_tester journalctl --user -u e2e-ulines CONTAINER_NAME=systemd-e2e-ulines -o cat | sort | tr '\n' ' ')" "five four one six three two "

say "a container that ends at once keeps all its lines"
shorts=10
for ((i = 1; i < shorts; i++)); do
	printf '[Container]\nImage=%s\nNetwork=none\nExec=seq 1 300\n' $IMAGE >/etc/containers/systemd/e2e-short$i.container
done
quadlet e2e-short0.container <<F
[Container]
Image=$IMAGE
Network=none
Exec=seq 1 300
F
for ((i = 0; i < shorts; i++)); do systemctl start --no-block e2e-short$i; done
for ((i = 0; i < shorts; i++)); do
	wait_for 60 ended e2e-short$i
	wait_for 20 eval '[ "$(journalctl -b -u e2e-short'$i' CONTAINER_NAME=systemd-e2e-short'$i' -o cat | wc -l)" = 300 ]'
done

say "the keeper's socket is started where it is not"
systemctl stop berth-keeper.socket berth-keeper.service
quadlet e2e-fresh.container <<F
[Container]
Image=$IMAGE
Network=none
Exec=sh -c 'echo fresh >/dev/stdout; sleep 1000'
F
systemctl start e2e-fresh
wait_journal 20 '^fresh$' -u e2e-fresh

say "without a keeper the output still goes into the journal, and a sentence says what is missing"
systemctl stop e2e-fresh berth-keeper.socket berth-keeper.service
systemctl mask --runtime --quiet berth-keeper.socket
defer systemctl unmask --runtime --quiet berth-keeper.socket
quadlet e2e-without.container <<F
[Container]
Image=$IMAGE
Network=none
Exec=sh -c 'echo plain; sleep 1000'
F
systemctl start e2e-without
wait_journal 20 '^plain$' -u e2e-without
assert_match "warning" "$(journalctl -b -u e2e-without -o cat)" 'systemctl start berth-keeper.socket'
systemctl stop e2e-without
systemctl unmask --runtime --quiet berth-keeper.socket
systemctl start berth-keeper.socket berth-keeper.service

say "kill -9 of the keeper under load"
kills=$(rounds 30 100)
mkdir "$tmp/ctl"
LOAD='i=0; while ! test -e /ctl/stop; do i=$((i+1)); echo "line $i of many, none of which may be torn"; [ $((i%50)) != 0 ] || sleep 0.01; done; echo "end $i"; sleep 1000'
for driver in journald k8s-file; do
	quadlet e2e-load-$driver.container <<F
[Container]
Image=$IMAGE
Network=none
Volume=$tmp/ctl:/ctl
LogDriver=$driver
LogOpt=path=$tmp/load.log
Exec=sh -c '$(sed 's/%/%%/g; s/\$/$$/g; s/"/\\"/g' <<<"$LOAD")'
[Service]
LogRateLimitIntervalSec=1s
LogRateLimitBurst=100000000
F
done
systemctl start e2e-load-journald e2e-load-k8s-file
pids="$(property e2e-load-journald MainPID) $(property e2e-load-k8s-file MainPID)"
for ((i = 0; i < kills; i++)); do
	old=$(keeper_pid)
	kill -9 "$old"
	wait_for 30 eval 'new=$(keeper_pid) && [ "$new" != "$old" ]'
done
touch "$tmp/ctl/stop"
wait_for 120 grep -q ' end [0-9]*$' "$tmp/load.log"
wait_journal 120 '^end [0-9]' -u e2e-load-journald
assert_eq "main processes" "$(property e2e-load-journald MainPID) $(property e2e-load-k8s-file MainPID)" "$pids"
journalctl -b -u e2e-load-journald CONTAINER_NAME=systemd-e2e-load-journald -o cat >"$tmp/journald.txt"
cut -d ' ' -f 4- "$tmp/load.log" >"$tmp/k8s-file.txt"
for driver in journald k8s-file; do
	total=$(sed -n 's/^end //p' "$tmp/$driver.txt")
	assert_eq "$driver: torn lines" "$(grep -Ev '^(line [0-9]+ of many, none of which may be torn|end [0-9]+)$' "$tmp/$driver.txt" || true)" ""
	assert_eq "$driver: lines" "$(grep ^line "$tmp/$driver.txt" | sort -u | wc -l)" "$total"
	say "$driver: $total lines, $(($(wc -l <"$tmp/$driver.txt") - total - 1)) repeated, $kills kills"
done
systemctl stop e2e-load-journald e2e-load-k8s-file

say "nothing is left"
systemctl reset-failed
as_tester systemctl --user reset-failed
rm -f /etc/containers/systemd/e2e-*.container /home/tester/.config/containers/systemd/e2e-*.container "$tmp/load.log"
rm -rf "$tmp/ctl" "$tmp"/*.txt
systemctl daemon-reload
as_tester systemctl --user daemon-reload
assert_alone
leak_check
