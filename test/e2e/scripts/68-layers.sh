# hosts: nspawn
# timeout: 4m
# A volume of the driver image is one layer on an image: several containers see the same files, who goes last unmounts it, and no kill leaves
# anything of it that does not go with the volume.
. "$BERTH_E2E/berth.sh"

needs podman
load_image
B="berth run --rm --network none"
load_user_image
of_podman() {
	podman volume create --driver image --opt image=$IMAGE e2e68-theirs >/dev/null
	podman run --rm --network none --cgroups=disabled -v e2e68-theirs:/d $IMAGE touch /d/of-podman
}
of_podman
berth volume rm e2e68-theirs >/dev/null # there is more to remove than a directory, and berth does so
assert_eq "containers in the store" "$(podman ps -a --external -q)" ""
podman volume rm -f e2e68-theirs >/dev/null 2>&1 || true # from its own list
warm_up_user
warm_up
allow_storage
leak_snapshot
of_podman
mounts() { grep -c "/volumes/e2e-layer/_data" /proc/self/mountinfo || true; }

say "containers share it"
quadlet e2e-layer.volume <<F
[Volume]
VolumeName=e2e-layer
Driver=image
Image=$IMAGE
F
quadlet e2e-layer-one.container <<F
[Container]
Image=$IMAGE
Network=none
Volume=e2e-layer.volume:/d
Exec=sh -c 'touch /d/one; echo idle; $IDLE'
F
systemctl start e2e-layer-one
layer=$(berth volume inspect e2e-layer --format '{{.Mountpoint}}')
wait_for 30 test -e "$layer/one"
assert_eq "listed" "$(berth volume ls --filter driver=image -q | paste -sd" ")" "e2e-layer e2e68-theirs"
assert_eq "seen by another" "$($B -v e2e-layer:/d $IMAGE sh -c 'ls /d/bin/sh /d/one; touch /d/two' | paste -sd' ')" "/d/bin/sh /d/one"
assert_eq "written by another" "$(ls "/proc/$(property e2e-layer-one MainPID)/root/d/two" | wc -l) $(mounts)" "1 1"
assert_match "the image is in use" "$(must_fail berth rmi -f $IMAGE)" 'volume "e2e-layer".*`berth volume rm`'
assert_match "the volume is in use" "$(must_fail berth volume rm e2e-layer)" 'used by systemd-e2e-layer-one'
systemctl kill -s KILL e2e-layer-one
wait_for 30 has_property e2e-layer-one ActiveState failed
assert_eq "mounts when nobody has it" "$(mounts)" 0

say "it is shown where nobody has it"
assert_eq "mounted by hand" "$(berth volume mount e2e-layer)" "$layer"
assert_eq "kept" "$($B -v e2e-layer:/d:ro $IMAGE sh -c 'ls /d/two; touch /d/x 2>/dev/null || echo read-only' | paste -sd' ') $(ls "$layer/one")" "/d/two read-only $layer/one"
berth volume unmount e2e-layer >/dev/null
assert_eq "mounts after unmount" "$(mounts)" 0
assert_eq "exported" "$(berth volume export e2e-layer | tar -t | grep -cE '^(\./)?(one|two)$') $(mounts)" "2 0"
mv "${layer%/_data}" "$tmp/elsewhere" # as when volume_path is a disk that is not mounted
systemctl restart e2e-layer-volume
assert_eq "made again without its directory" "$($B -v e2e-layer:/d $IMAGE ls /d/two)" /d/two
rm -r "$tmp/elsewhere"
assert_eq "a layer of Podman's" "$($B -v e2e68-theirs:/d $IMAGE ls /d/of-podman)" /d/of-podman

say "what a kill leaves goes with the volume"
systemctl stop e2e-layer-volume
rm -f /etc/containers/systemd/e2e-layer*
systemctl daemon-reload
systemctl reset-failed
start=(berth run --rm --name e2e-layer-k --network none -v e2e-layer:/d $IMAGE true)
steps=$(faults count -- "${start[@]}" | tail -n 1)
every=$([ "${BERTH_TORTURE:-}" = 1 ] && echo 1 || echo $((steps / 3 + 1)))
for ((n = 2; n < steps; n += every)); do
	faults kill $n -- "${start[@]}" >/dev/null 2>&1 || true
	berth rm -f -i e2e-layer-k >/dev/null
	assert_eq "mounts after a start killed before change $n" "$(mounts)" 0
done
assert_eq "kept through it" "$($B -v e2e-layer:/d $IMAGE ls /d/two)" /d/two
for command in "volume create -d image -o image=$IMAGE e2e-layer" "volume rm e2e-layer"; do
	berth volume rm -f e2e-layer >/dev/null
	[ "${command% e2e-layer}" != "volume rm" ] || berth volume create -d image -o image=$IMAGE e2e-layer >/dev/null
	steps=$(faults count -- berth $command | tail -n 1)
	every=$([ "${BERTH_TORTURE:-}" = 1 ] && echo 1 || echo $((steps / 3 + 1)))
	for ((n = 2; n < steps; n += every)); do
		berth volume rm -f e2e-layer >/dev/null
		[ "${command% e2e-layer}" != "volume rm" ] || berth volume create -d image -o image=$IMAGE e2e-layer >/dev/null
		faults kill $n -- berth $command >/dev/null 2>&1 || true
		berth volume rm -f e2e-layer >/dev/null
		assert_eq "left by berth $command, killed before change $n" "$(podman ps -a --external --format '{{.Names}}')" e2e68-theirs+volume
	done
done
assert_match "no such image" "$(must_fail berth volume create -d image -o image=localhost/nosuch e2e-layer)" 'berth pull localhost/nosuch'
podman volume rm e2e68-theirs >/dev/null

say "a user's containers have it one after the other"
as_tester berth volume create -d image -o image=$IMAGE e2e-user >/dev/null
as_tester berth run -d --rm --name e2e-holds --network none -v e2e-user:/d $IMAGE sh -c "touch /d/x; $IDLE" >/dev/null
assert_match "at the same time" "$(must_fail as_tester $B -v e2e-user:/d $IMAGE true)" 'e2e-holds has mounted for itself'
as_tester berth rm -f -t 0 e2e-holds >/dev/null
assert_eq "afterwards" "$(as_tester $B -v e2e-user:/d $IMAGE ls /d/x)" /d/x
as_tester berth volume rm e2e-user >/dev/null
leak_check_allowed 30
