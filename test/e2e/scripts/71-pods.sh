# hosts: nspawn
# timeout: 14m
# A pod of three containers by unit files, for root and for a user: they share a network, its ports and a host name; one may
# come and go; the pod stops with its last container; and nothing is left, not even after kills.
. "$BERTH_E2E/berth.sh"

load_image
load_user_image
warm_up
as_tester berth run --rm --network none $IMAGE true
user_quadlet e2e-any.container <<F
[Container]
Image=$IMAGE
Network=none
Exec=true
F
as_tester systemctl --user start podman-user-wait-network-online.service
rm -f /home/tester/.config/containers/systemd/e2e-any.container
root=/etc/containers/systemd
user=/home/tester/.config/containers/systemd
mkdir -p $root
# crun keeps the filter of these capabilities, and the store the image as the user's IDs see it.
berth run --rm --network none --cap-add SYS_PTRACE $IMAGE true
as_tester berth run --rm --network none --cap-add SYS_PTRACE --userns keep-id $IMAGE true
wait_for 20 no_scope
wait_for 20 user_no_scope
leak_snapshot

say "a pod is found by the file that has its ID"
berth pod create --name e2e-file --pod-id-file "$tmp/pod" >/dev/null
berth run --rm --pod-id-file "$tmp/pod" $IMAGE hostname | grep -qx e2e-file || die "the container is not in the pod"
berth pod rm -f e2e-file >/dev/null
rm "$tmp/pod"

# files DIRECTORY PORT writes the units.
files() {
	cat >"$1/e2e.pod" <<F
[Pod]
PodName=e2e-stack
HostName=stack.example
PublishPort=$2:80
AddHost=db.example:127.0.0.1
F
	cat >"$1/e2e-web.container" <<F
[Container]
Image=$IMAGE
ContainerName=e2e-web
Pod=e2e.pod
Exec=sh -c '$SERVE'
F
	cat >"$1/e2e-side.container" <<F
[Container]
Image=$IMAGE
ContainerName=e2e-side
Pod=e2e.pod
Exec=sh -c '$IDLE'
F
	cat >"$1/e2e-later.container" <<F
[Container]
Image=$IMAGE
ContainerName=e2e-later
Pod=e2e.pod
StartWithPod=no
Exec=sh -c '$IDLE'
F
}

# in_side COMMAND runs in the second container.
in_side() {
	local pid
	pid=$(prop e2e-side MainPID)
	nsenter -t "$pid" -a /bin/sh -c "$1"
}
ask_side() { in_side "wget -q -O - http://$1/"; }
active() { [ "$(prop "$1" ActiveState)" = active ]; }
inactive() { [ "$(prop "$1" ActiveState)" = inactive ]; }
kind() { readlink "/proc/$(prop e2e-$1 MainPID)/ns/$2"; }

# check PORT checks a pod that was just started; sc is systemctl and b berth, for the user in question.
check() {
	wait_for 60 active e2e-web
	wait_for 60 active e2e-side
	assert_eq "the pod" "$(prop e2e-pod ActiveState)" active
	assert_eq "one that does not start with it" "$(prop e2e-later ActiveState)" inactive
	assert_match "pod ps" "$(b pod ps)" 'e2e-stack +Running .* 2$'
	assert_init e2e-web "$(prop e2e-web MainPID)"
	for ns in net ipc uts; do
		assert_eq "namespace $ns" "$(kind web $ns)" "$(kind side $ns)"
	done
	[ "$(kind web pid)" != "$(kind side pid)" ] || die "the containers share their PIDs"
	assert_eq "host name" "$(in_side hostname)" stack.example
	assert_match "hosts" "$(in_side "cat /etc/hosts")" 'db\.example'
	wait_for 20 ask_side localhost
	wait_for 20 curl -fsS "http://127.0.0.1:$1/"
	assert_match "a port of one's own" "$(must_fail b run --rm --pod e2e-stack -p 80 $IMAGE true)" 'are given to the pod'

	say "one goes and comes back, and the network stays"
	net=$(kind side net)
	sc restart e2e-web
	sc start e2e-later
	assert_eq "network" "$(kind web net) $(kind later net)" "$net $net"
	wait_for 20 ask_side localhost
	wait_for 20 curl -fsS "http://127.0.0.1:$1/"

	say "the pod stops with its last container, but not when that is only restarted"
	sc stop e2e-web e2e-later
	pod=$(b pod ps -q --no-trunc)
	sc restart e2e-side
	assert_eq "the same pod" "$(b pod ps -q --no-trunc)" "$pod"
	assert_eq "rm of one that runs" "$(exit_code b rm e2e-side)" 2
	assert_eq "nor when its removal is refused" "$(prop e2e-pod ActiveState) $(sc list-jobs --no-legend | grep -c e2e-pod || true)" "active 0"
	sc stop e2e-side
	wait_for 90 inactive e2e-pod
	assert_eq "its result" "$(prop e2e-pod Result)" success
	assert_eq "pods" "$(b pod ps -q)" ""

	say "kill -9 of all"
	sc start e2e-pod
	wait_for 90 ask_side localhost
	b pod kill e2e-stack
	wait_for 90 pod_gone
	sc reset-failed e2e-web e2e-side
}
pod_gone() { [ "$(prop e2e-pod ActiveState)" != active ] && [ -z "$(b pod ps -q)" ]; }

say "root"
sc() { systemctl "$@"; }
b() { berth "$@"; }
prop() { property "$@"; }
files $root 18071
systemctl daemon-reload
systemctl start e2e-pod
check 18071
rm -f $root/e2e*
systemctl daemon-reload
leak_check

say "a pod from the shell, with one more kind of namespace shared"
berth pod create --name e2e-shell --share +pid >/dev/null
berth run -d --name e2e-one --pod e2e-shell $IMAGE sh -c "$IDLE"
berth run -d --name e2e-two --pod e2e-shell $IMAGE sh -c "$IDLE"
assert_eq "PIDs" "$(readlink "/proc/$(property e2e-one MainPID)/ns/pid")" "$(readlink "/proc/$(property e2e-two MainPID)/ns/pid")"
LOOK='ls -A /proc/1/root /proc/1/root/.. /proc/1/cwd/..'
shown() { "$@" run --rm --pod e2e-shell --cap-add SYS_PTRACE $IMAGE $LOOK | sort -u | grep -v -e : -e '^$' | paste -sd' '; }
assert_eq "what is seen of the host by way of the process that holds them" "$(shown berth)" init
assert_match "the control sees the host" "$(berth run --rm --network none --pid host --privileged $IMAGE $LOOK)" '^usr$'
assert_eq "running" "$(exit_code berth pod rm e2e-shell)" 125
berth pod rm -f e2e-shell >/dev/null
catatonit=$(command -v catatonit || ls /usr/libexec/podman/catatonit /usr/lib/podman/catatonit 2>/dev/null | head -n 1)
mv "$catatonit" "$catatonit.away"
defer sh -c "[ ! -e '$catatonit.away' ] || mv '$catatonit.away' '$catatonit'"
berth pod create --name e2e-shell --share +pid >/dev/null
assert_eq "without catatonit" "$(shown berth)" init
berth pod rm -f e2e-shell >/dev/null
as_tester berth pod create --name e2e-shell --share +pid --userns keep-id >/dev/null
assert_eq "a user's, with a user namespace" "$(shown as_tester berth)" "init proc"
as_tester berth pod rm -f e2e-shell >/dev/null
mv "$catatonit.away" "$catatonit"
as_tester berth pod create --name e2e-shell --share +pid >/dev/null
assert_eq "a user's" "$(shown as_tester berth)" init
as_tester berth pod rm -f e2e-shell >/dev/null
assert_eq "not there" "$(exit_code berth pod rm e2e-shell)" 1
leak_check

say "a user"
sc() { as_tester systemctl --user "$@"; }
b() { as_tester berth "$@"; }
prop() { user_property "$@"; }
as_tester mkdir -p $user
files $user 18072
chown -R tester: $user
as_tester systemctl --user daemon-reload
as_tester systemctl --user start e2e-pod
check 18072
rm -f $user/e2e*
as_tester systemctl --user daemon-reload
leak_check
