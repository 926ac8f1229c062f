# hosts: nspawn
# timeout: 8m
# As 22-faults, for what has more parts, or other ones: volume and secret, the host's network, a pod, an image that is not
# there. They are killed, and get errors, at the changes that they make to the machine: nothing is left, and the next start
# works. `make torture` takes each change, CI some.
. "$BERTH_E2E/faults.sh"

load_image
warm_up
settled() { ! systemctl list-jobs --no-legend | grep -q e2e65; }

say "a new volume and a secret"
head -c 1000 /dev/urandom | base64 >"$tmp/secret"
berth secret create e2e65 "$tmp/secret" >/dev/null
defer berth secret rm e2e65
quadlet e2e65-data.container <<F
[Container]
Image=$IMAGE
Network=none
Volume=e2e65-data:/etc
Volume=/anonymous
Secret=e2e65,target=key
Secret=e2e65,type=env,target=KEY
Exec=sh -c '$IDLE'
F
target data-start e2e65-data ExecStart
target data-stop e2e65-data ExecStop
up() { systemctl start e2e65-data; }
down() {
	systemctl stop e2e65-data
	wait_for 60 settled
	systemctl reset-failed e2e65-data 2>/dev/null || true
	berth volume rm e2e65-data >/dev/null 2>&1 || [ "$(exit_code berth volume exists e2e65-data)" = 1 ]
}
up && down
journalctl --sync # leaves a file
leak_snapshot
interrupt data-start 2 1
interrupt data-stop 1 0

say "berth is killed when systemd has the container, whose program does not run yet"
plan data-start count -v
up
down
journalctl --sync
last=$(journalctl --no-pager -q -b -o cat -t e2e65-data | sed -nE 's/^([0-9]+) berth (vfork|clone3?)$/\1/p' | tail -n 1)
plan data-start kill "$last"
up >/dev/null 2>&1 || true
# The keeper ends it. Where the count was another one this time, the kill came sooner or later, and that must be right too.
runs_or_ended() { has_property e2e65-data ActiveState failed || has_property e2e65-data ActiveState inactive || [ "$(cat "/proc/$(property e2e65-data MainPID)/comm")" = sh ]; }
wait_for 30 runs_or_ended
plan none
down
nothing_left "data-start killed before the program runs"
points=$((points + 1))

say "the host's network"
quadlet e2e65-host.container <<F
[Container]
Image=$IMAGE
Network=host
Exec=sh -c '$IDLE'
F
target host-start e2e65-host ExecStart
target host-stop e2e65-host ExecStop
up() { systemctl start e2e65-host; }
down() {
	systemctl stop e2e65-host
	wait_for 60 settled
	systemctl reset-failed e2e65-host 2>/dev/null || true
}
up && down
leak_snapshot
interrupt host-start 1 0
interrupt host-stop 1 0

say "a pod of two"
quadlet e2e65-pod.pod <<F
[Pod]
PodName=e2e65
PublishPort=18066:80
F
for i in 1 2; do
	quadlet e2e65-member$i.container <<F
[Container]
Image=$IMAGE
Pod=e2e65-pod.pod
Exec=sh -c '$IDLE'
F
done
target pod-start e2e65-pod-pod ExecStart
target pod-member e2e65-member1 ExecStart
target pod-stop e2e65-pod-pod ExecStop
up() { systemctl start e2e65-pod-pod e2e65-member1 e2e65-member2; }
down() {
	systemctl stop e2e65-pod-pod e2e65-member1 e2e65-member2
	wait_for 60 settled
	systemctl reset-failed e2e65-pod-pod e2e65-member1 e2e65-member2 2>/dev/null || true
}
up && down
leak_snapshot
interrupt pod-start 1 0
interrupt pod-member 1 0
interrupt pod-stop 1 0

say "an image that is to be fetched"
REG=127.0.0.1:15065
printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "%s"}\n' "$tmp/registry" $REG >"$tmp/registry.yml"
systemd-run --quiet --unit=e2e-registry65 --service-type=exec docker-registry serve "$tmp/registry.yml"
defer systemctl stop e2e-registry65
mkdir -p /etc/containers/registries.conf.d
printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' $REG >/etc/containers/registries.conf.d/e2e65.conf
defer rm /etc/containers/registries.conf.d/e2e65.conf
wait_for 30 curl -fsS http://$REG/v2/
berth push -q $IMAGE $REG/e2e65:1
quadlet e2e65-pull.container <<F
[Container]
Image=$REG/e2e65:1
Network=none
Exec=sh -c '$IDLE'
F
target pull e2e65-pull ExecStart
up() { systemctl start e2e65-pull; }
# What was fetched of a layer stays until the next pull, which goes on from there.
down() {
	systemctl stop e2e65-pull
	wait_for 60 settled
	systemctl reset-failed e2e65-pull 2>/dev/null || true
	berth pull -q $REG/e2e65:1 >/dev/null || failed "the next pull fails"
	berth rmi $REG/e2e65:1 >/dev/null
}
up && down
leak_snapshot
interrupt pull 2 1

say "the next start works"
systemctl start e2e65-data e2e65-member1
for unit in e2e65-data e2e65-member1; do assert_init $unit "$(property $unit MainPID)"; done
systemctl stop e2e65-data e2e65-pod-pod e2e65-member1
berth volume rm e2e65-data >/dev/null
verdict
