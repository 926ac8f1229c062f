# hosts: nspawn vm
# timeout: 5m
# The health of containers is found out by the keeper: in the container's cgroup, as root and as a user, and what is to be
# done with an unhealthy container is done.
. "$BERTH_E2E/berth.sh"

load_image
load_user_image
warm_up
warm_up_user
as_tester berth run --rm --network none --userns keep-id $IMAGE true # copies the image
leak_snapshot

mkdir "$tmp/ctl"
chmod 777 "$tmp/ctl"
health() { berth inspect systemd-$1 | jq -r '.[0].State.Health.Status'; }
is() { [ "$(health "$1")" = "$2" ]; }

say "Notify=healthy: ready with the first success, and not before"
quadlet e2e-well.container <<F
[Container]
Image=$IMAGE
Network=none
Volume=$tmp/ctl:/ctl
Notify=healthy
HealthCmd=cat /proc/self/cgroup >/ctl/cgroup; test -e /ctl/well
HealthInterval=1s
HealthRetries=2
HealthOnFailure=kill
Exec=sh -c '$IDLE'
F
systemctl start --no-block e2e-well
wait_for 30 test -s "$tmp/ctl/cgroup"
assert_eq "before" "$(property e2e-well ActiveState)" activating
touch "$tmp/ctl/well"
wait_for 30 has_property e2e-well ActiveState active
assert_eq "wait" "$(berth wait --condition unhealthy --condition healthy --interval 50 systemd-e2e-well)" -1
wait_for 20 is e2e-well healthy
assert_match "cgroup of a probe" "$(cat "$tmp/ctl/cgroup")" '^0::/$' # the root of the container's own namespace
assert_match "ps" "$(berth ps)" 'healthy'
wait_for 20 has_property e2e-well StatusText healthy
berth healthcheck run systemd-e2e-well

say "a killed keeper goes on where it was"
kill -9 "$(pgrep -x -u 0 berth-keeper)"
wait_for 20 berth healthcheck run systemd-e2e-well

say "unhealthy: the container is killed"
rm "$tmp/ctl/well"
assert_eq "exit status" "$(exit_code berth healthcheck run systemd-e2e-well)" 1
wait_for 30 has_property e2e-well ActiveState failed
assert_eq "result" "$(property e2e-well Result)" signal
wait_journal 20 "systemd-e2e-well is unhealthy: the probe's exit status is 1" -u e2e-well

say "a probe that hangs is ended; unhealthy without an action is only told"
quadlet e2e-hang.container <<F
[Container]
Image=$IMAGE
Network=none
HealthCmd=sleep 4242
HealthTimeout=1s
HealthRetries=1
Exec=sh -c '$IDLE'
F
systemctl start e2e-hang
wait_for 30 is e2e-hang unhealthy
assert_match "log" "$(berth inspect systemd-e2e-hang | jq -r '.[0].State.Health.Log[0].Output')" 'no answer within 1s'
assert_eq "left of the probe" "$(pgrep -f '^sleep 4242' || true)" ""
assert_eq "state" "$(property e2e-hang ActiveState)" active
systemctl stop e2e-hang

say "a paused container is not judged"
quadlet e2e-paused.container <<F
[Container]
Image=$IMAGE
Network=none
HealthCmd=true
HealthInterval=1s
HealthRetries=1
HealthOnFailure=kill
Exec=sh -c '$IDLE'
F
systemctl start e2e-paused
wait_for 30 is e2e-paused healthy
berth pause systemd-e2e-paused >/dev/null
assert_match "asked" "$(must_fail berth healthcheck run systemd-e2e-paused)" 'is paused'
berth unpause systemd-e2e-paused >/dev/null
wait_for 20 berth healthcheck run systemd-e2e-paused
assert_eq "failures" "$(berth inspect systemd-e2e-paused | jq '[.[0].State.Health.Log[] | select(.ExitCode != 0)] | length')" 0
systemctl stop e2e-paused

say "as a user"
user_quadlet e2e-uwell.container <<F
[Container]
Image=$IMAGE
Network=none
Notify=healthy
HealthCmd=true
Exec=sh -c '$IDLE'
F
as_tester systemctl --user start e2e-uwell
assert_match "ps" "$(as_tester berth ps)" 'healthy'
as_tester systemctl --user stop e2e-uwell
as_tester berth run -d --name e2e-ids --network none --userns keep-id --health-cmd true --health-interval disable $IMAGE sh -c "$IDLE" >/dev/null
as_tester berth healthcheck run e2e-ids
as_tester berth rm -f e2e-ids >/dev/null

say "wrong values"
assert_match "retries" "$(must_fail berth run --network none --health-retries 0 $IMAGE true)" 'health-retries=0 is not a number from 1 on'
assert_match "no check" "$(must_fail berth run --rm --network none --sdnotify healthy $IMAGE true)" 'has no health check'

say "nothing is left"
systemctl reset-failed
rm -f /etc/containers/systemd/e2e-*.container /home/tester/.config/containers/systemd/e2e-*.container
rm -rf "$tmp/ctl"
systemctl daemon-reload
as_tester systemctl --user daemon-reload
assert_alone
leak_check
