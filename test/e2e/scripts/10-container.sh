# hosts: nspawn vm local
# timeout: 6m
# A .container file becomes a running container: systemd's main process is the container's PID 1, its output is in the
# journal, nothing of ours stays, and after the stop nothing is left.
. "$BERTH_E2E/berth.sh"

load_image
warm_up
cat >"$tmp/serve.sh" <<F
$SERVE
F
leak_snapshot

quadlet e2e-web.container <<F
[Unit]
Description=A web server
[Container]
Image=$IMAGE
Exec=sh /serve.sh
Volume=$tmp/serve.sh:/serve.sh:ro
PublishPort=18080:80
Label=app=e2e
F

say "start"
systemctl start e2e-web
assert_eq "state" "$(property e2e-web ActiveState)" active
pid=$(property e2e-web MainPID)
assert_init e2e-web "$pid"
assert_alone

say "answers on this machine and from outside"
wait_for 10 curl -fsS http://127.0.0.1:18080/
assert_eq "page" "$(curl -fsS http://127.0.0.1:18080/)" it-works
if ip netns list | grep -q outside; then
	assert_eq "page from outside" "$(from_outside curl -fsS http://192.0.2.2:18080/)" it-works
fi

say "journal and status"
wait_journal 10 'response:200' -u e2e-web
assert_match "status" "$(systemctl status e2e-web)" "Main PID: $pid "
assert_match "logs" "$(berth logs systemd-e2e-web)" serving

say "ps and inspect"
assert_match "ps" "$(berth ps)" 'systemd-e2e-web$'
assert_eq "pid in inspect" "$(berth inspect systemd-e2e-web | grep -o '"Pid": [0-9]*')" "\"Pid\": $pid"
assert_match "label" "$(berth inspect systemd-e2e-web)" '"app=e2e"'

say "another unit takes the name over, and the first one ends without touching it"
quadlet e2e-next.container <<F
[Container]
Image=$IMAGE
ContainerName=systemd-e2e-web
Exec=sh -c '$IDLE'
F
systemctl start e2e-next
web_ended() { [ "$(property e2e-web ActiveState)" = inactive ]; }
wait_for 10 web_ended
assert_eq "state of the next" "$(property e2e-next ActiveState)" active
systemctl start e2e-web # and the other way round
next_ended() { [ "$(property e2e-next ActiveState)" = inactive ]; }
wait_for 10 next_ended
rm -f /etc/containers/systemd/e2e-next.container

say "a file that is renamed while its unit runs: that one ends as systemd ends it, and what it leaves goes with the next start"
mv /etc/containers/systemd/e2e-web.container /etc/containers/systemd/e2e-renamed.container
systemctl daemon-reload
systemctl stop e2e-web
systemctl start e2e-renamed
wait_for 10 curl -fsS http://127.0.0.1:18080/
assert_eq "containers" "$(berth ps -a --format '{{.Names}}')" systemd-e2e-renamed
systemctl stop e2e-renamed
mv /etc/containers/systemd/e2e-renamed.container /etc/containers/systemd/e2e-web.container
systemctl daemon-reload
systemctl start e2e-web

say "stop"
systemctl stop e2e-web
assert_eq "state" "$(property e2e-web ActiveState)" inactive
assert_eq "result" "$(property e2e-web Result)" success
must_fail berth inspect systemd-e2e-web >/dev/null
rm -f /etc/containers/systemd/e2e-web.container && systemctl daemon-reload
leak_check
