# hosts: nspawn
# timeout: 4m
# info, system df and the prune commands: what is shown is there, what is in use stays, and what goes is told.
. "$BERTH_E2E/berth.sh"

# What is pruned below must be this script's own: names that others have left with the image would go too.
berth rmi -a -f >/dev/null
load_image
warm_up
# The runtime and the user's store have directories of their own once they have been asked.
berth info >/dev/null
as_tester berth info >/dev/null
leak_snapshot

say "info and version"
assert_eq "info" "$(berth info --format '{{.Host.CgroupVersion}} {{.Store.GraphRoot}} {{.Host.OCIRuntime.Name}} {{.Host.Security.Rootless}} {{.Berth.keeper}}')" \
	"v2 /var/lib/containers/storage crun false listens"
assert_match "as YAML" "$(berth info)" '^  graphRoot: /var/lib/containers/storage$'
assert_eq "as JSON" "$(berth system info --format json | jq -r '.host.ociRuntime.path, .store.imageStore.number' | paste -sd' ')" "/usr/bin/crun 1"
assert_eq "a user's" "$(as_tester berth info --format '{{.Host.Security.Rootless}} {{.Store.GraphRoot}}')" "true /home/tester/.local/share/containers/storage"
assert_eq "version" "$(berth version --format '{{.Client.OsArch}}')" "$(berth version --format json | jq -r .Client.OsArch)"

say "df"
berth run -d --name e2e-runs --label keep=1 --network none -v e2e-used:/data $IMAGE sh -c "head -c 100000 /dev/zero >/file; head -c 50000 /dev/zero >/data/file; $IDLE" >/dev/null
berth create --name e2e-made --network none $IMAGE true >/dev/null
berth volume create --label keep=1 e2e-unused >/dev/null
head -c 20000 /dev/zero >"$(berth volume inspect -f '{{.Mountpoint}}' e2e-unused)/file"
written() { [ "$(stat -c %s "$(berth volume inspect -f '{{.Mountpoint}}' e2e-used)/file")" = 50000 ]; }
wait_for 20 written
df=$(berth system df --format json)
assert_eq "containers" "$(jq -c '.[1] | [.Type, .Total, .Active, .RawReclaimable]' <<<"$df")" '["Containers",2,1,0]'
[ "$(jq '.[1].RawSize' <<<"$df")" -ge 100000 ] || die "size of the containers: $df"
assert_eq "volumes" "$(jq -c '.[2] | [.Type, .Total, .Active, .RawSize, .Size, .Reclaimable]' <<<"$df")" '["Local Volumes",2,1,70000,"70kB","20kB (28%)"]'
assert_match "images" "$(berth system df)" '^Images +1 +1 +[0-9.]+MB +0B \(0%\)$'
assert_match "each image" "$(berth system df -v)" '^localhost/busybox +latest +[0-9a-f]{12} '
assert_match "each container" "$(berth system df -v)" "^[0-9a-f]{12} .* running +e2e-runs"
assert_match "each volume" "$(berth system df -v)" '^e2e-unused +0 +20kB$'

say "prune: asked, and with filters"
assert_match "a question" "$(berth system prune --volumes </dev/null 2>&1)" 'no container has.*Go on\? \[y/N\] $'
assert_eq "no answer is no" "$(berth ps -a --format '{{.Names}}' | paste -sd' ')" "e2e-runs e2e-made"
assert_eq "younger ones stay" "$(berth container prune -f --filter until=24h)" ""
assert_eq "with a label" "$(berth container prune -f --filter label=keep)" ""
assert_eq "a wrong filter" "$(exit_code berth system prune -f --filter status=exited)" 125
assert_eq "volumes without the label" "$(berth volume prune -f --filter label!=keep)" ""
echo y | berth container prune >"$tmp/pruned" 2>/dev/null
assert_eq "after a yes" "$(wc -l <"$tmp/pruned") $(berth ps -a --format '{{.Names}}')" "1 e2e-runs"

say "system prune: what is in use stays"
berth network create e2e-idle >/dev/null
berth create --name e2e-made --network none $IMAGE true >/dev/null
out=$(berth system prune -f)
assert_match "containers" "$out" '^Deleted Containers$'
assert_match "networks" "$out" '^e2e-idle$'
assert_match "what it brought" "$out" '^Total reclaimed space: 0B$'
assert_eq "volumes stay" "$(berth volume ls -q | paste -sd' ')" "e2e-unused e2e-used"
out=$(berth system prune -a -f --volumes)
assert_match "the volume" "$out" '^e2e-unused$'
assert_no_match "none that is used" "$out" 'e2e-used|Images'
assert_match "what it brought" "$out" '^Total reclaimed space: 20kB$'
berth create --name e2e-made --label gone=1 --network none $IMAGE true >/dev/null
assert_eq "rm with a filter" "$(berth rm --filter label=gone | wc -l) $(berth ps -a --format '{{.Names}}')" "1 e2e-runs"
assert_eq "pause with a filter" "$(berth pause --filter name=runs) $(berth ps --format '{{.State}}')" "e2e-runs paused"
berth unpause -f status=paused >/dev/null
assert_eq "restart of all that run" "$(berth restart --running -t 0)" e2e-runs
assert_eq "start with a filter" "$(berth stop -t 0 -f name=runs) $(berth start --filter name=runs)" "e2e-runs e2e-runs"
assert_eq "it runs on" "$(berth ps --format '{{.Names}} {{.State}}')" "e2e-runs running"
berth rm -f e2e-runs >/dev/null
out=$(berth system prune -a -f --volumes)
assert_match "now the image goes" "$out" "^Deleted Images$"
assert_match "and the other volume" "$out" '^e2e-used$'
assert_eq "images" "$(berth images -q)" ""

say "reset, for a user who has just been made ready"
useradd -m -s /bin/bash e2e-reset
id=$(id -u e2e-reset) store=/home/e2e-reset/.local/share/containers/storage
leave() {
	loginctl disable-linger e2e-reset
	loginctl terminate-user e2e-reset 2>/dev/null
	(wait_for 30 test ! -e "/run/user/$id")
	userdel -rf e2e-reset 2>/dev/null
}
defer eval "! id -u e2e-reset >/dev/null 2>&1 || leave"
berth setup rootless --fix e2e-reset >/dev/null 2>&1 || true # the machine may have no controllers
as_reset() {
	(cd / && runuser -u e2e-reset -- env -i HOME=/home/e2e-reset USER=e2e-reset LOGNAME=e2e-reset PATH=/usr/local/bin:/usr/bin:/bin \
		XDG_RUNTIME_DIR=/run/user/$id DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$id/bus "$@")
}
assert_eq "the user is ready" "$( (as_reset berth setup rootless || true) | grep -c -e '^ok .*subuid' -e '^ok .*linger' -e '^ok .*XDG_RUNTIME_DIR')" 3
fill() {
	as_reset berth load --quiet -i "$IMAGES/busybox.tar" >/dev/null
	as_reset berth network create e2e-net >/dev/null
	echo x | as_reset berth secret create e2e-secret - >/dev/null
	as_reset berth pod create --name e2e-pod >/dev/null
	as_reset berth run -d --pod e2e-pod --name e2e-in -v e2e-vol:/data $IMAGE sh -c "chown 5 /data; $IDLE" >/dev/null
	as_reset berth create --name e2e-made --network none $IMAGE true >/dev/null
}
fill
assert_match "a question" "$(as_reset berth system reset </dev/null 2>&1)" 'those of Podman too. Go on\? \[y/N\] $'
assert_eq "no answer is no" "$(as_reset berth ps --format '{{.Names}}')" e2e-in
as_reset mkdir -p /home/e2e-reset/.config/containers/systemd
as_reset tee /home/e2e-reset/.config/containers/systemd/e2e-unit.container >/dev/null <<F
[Container]
Image=$IMAGE
Network=none
Exec=sh -c 'trap "exit 0" TERM; sleep 100000 & wait'
F
as_reset systemctl --user daemon-reload
as_reset systemctl --user start e2e-unit
assert_match "a unit's container" "$(must_fail as_reset berth system reset <<<y)" 'containers of units run: e2e-unit.service; stop the units'
as_reset touch $store/mine
as_reset podman create --name e2e-podmans --network none $IMAGE true >/dev/null
assert_match "Podman's container" "$(must_fail as_reset berth system reset -f)" "Podman's are in the store: e2e-podmans"
as_reset podman rm e2e-podmans >/dev/null
assert_match "reset" "$(as_reset berth system reset --force 2>&1)" "^$store/mine stays: it is not the store's$"
assert_eq "what is left" "$(ls $store)" mine
assert_eq "the unit" "$(as_reset systemctl --user is-active e2e-unit || true)" inactive
assert_eq "nothing of it" "$(as_reset berth ps -aq)$(as_reset berth pod ps -q)$(as_reset berth images -q)$(as_reset berth volume ls -q)$(as_reset berth secret ls -q) $(as_reset berth network ls -q)" " podman"
fill
assert_eq "check" "$(as_reset berth system check)" ""
touch "$(ls -d $store/overlay/*/diff/bin | head -1)/planted"
assert_eq "quick check" "$(as_reset berth system check --quick)" ""
assert_match "damage" "$(must_fail as_reset berth system check)" '/bin/planted, layer content modified'
assert_match "no force" "$(must_fail as_reset berth system check --force)" 'container is running: "e2e-in"'
assert_match "nothing to do" "$(as_reset berth system migrate)" '^nothing to migrate'
as_reset berth rm -fa >/dev/null
assert_match "repair" "$(as_reset berth system check --repair)" 'Removed what is damaged'
assert_eq "what is left of the images" "$(as_reset berth images -q)" ""
as_reset berth system reset <<<y 2>/dev/null
assert_eq "after a yes" "$(as_reset berth ps -aq)$(as_reset berth images -q)" ""
leave || true

say "a file of a layer that the disk does not give"
load_image
f=$(berth image inspect -f '{{.GraphDriver.Data.UpperDir}}' $IMAGE)/bin/busybox
unreadable() { strace -qq -f --seccomp-bpf -o /dev/null -P "$f" -e inject=read,pread64:error=EIO "$@"; }
assert_match "check" "$(must_fail unreadable berth system check | paste -sd" ")" "Damaged image .*read $f: input/output error"
assert_match "save" "$(must_fail unreadable berth save -o "$tmp/half.tar" $IMAGE)" "read $f: input/output error"
[ ! -e "$tmp/half.tar" ] || die "half an archive is left"
assert_eq "control" "$(berth system check)" ""

say "nothing is left"
wait_for 20 no_scope
rm -f "$tmp/pruned"
systemctl reset-failed 2>/dev/null || true
leak_check
