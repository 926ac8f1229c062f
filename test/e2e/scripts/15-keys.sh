# hosts: nspawn vm local
# timeout: 6m
# The keys of a .container have their effect inside.
. "$BERTH_E2E/berth.sh"

load_image

# inside LINES… runs a unit that prints what it sees and returns its journal.
inside() {
	local cursor
	{
		printf '[Container]\nImage=%s\n' "$IMAGE"
		printf '%s\n' "$@"
		printf '[Service]\nType=oneshot\n'
	} >"$tmp/unit"
	quadlet e2e-inside.container <"$tmp/unit"
	cursor=$(journalctl -n 0 --show-cursor | sed -n 's/^-- cursor: //p')
	systemctl start e2e-inside
	journalctl -u e2e-inside -o cat --after-cursor="$cursor"
}

assert_match "Environment" "$(inside Network=none 'Environment=A=1 "B=two words"' 'Exec=sh -c "env | sort"')" '^B=two words$'
assert_match "User" "$(inside Network=none User=65534:65534 'Exec=id')" 'uid=65534.*gid=65534'
assert_match "Network=none" "$(inside Network=none 'Exec=ls /sys/class/net')" '^lo$'
assert_no_match "Network=none" "$(inside Network=none 'Exec=ls /sys/class/net')" 'eth0'
assert_match "Network=host" "$(inside Network=host 'Exec=readlink /proc/self/ns/net')" "$(readlink /proc/self/ns/net | tr -d '[]' | grep -o '[0-9]*')"
assert_match "bridge" "$(inside 'Exec=ip -4 addr show eth0')" 'inet 10\.88\.'
assert_match "ContainerName" "$(inside Network=none ContainerName=e2e-named 'Exec=grep e2e-named /etc/hosts')" '^[0-9.]+[[:space:]].*e2e-named'
assert_match "capabilities" "$(inside Network=none 'Exec=grep CapEff /proc/self/status')" '00000000800405fb'
assert_match "seccomp" "$(inside Network=none 'Exec=grep ^Seccomp: /proc/self/status')" 'Seccomp:[[:space:]]2'
assert_match "WorkingDir" "$(inside Network=none WorkingDir=/new/place 'Exec=pwd')" '^/new/place$'
printf '[engine]\nruntime="%s"\n' "$tmp/runtime" >"$tmp/module.conf"
printf '#!/bin/sh\ntouch %s\nexec crun "$@"\n' "$tmp/asked" >"$tmp/runtime"
chmod 755 "$tmp/runtime"
inside Network=none "ContainersConfModule=$tmp/module.conf" Exec=true >/dev/null
rm "$tmp/asked"
inside Network=none "ContainersConfModule=$tmp/module.conf" "GlobalArgs=--runtime crun --log-level=debug" Exec=true >/dev/null
[ ! -e "$tmp/asked" ] || die "GlobalArgs=--runtime did not choose the runtime"
berth --runtime "$tmp/runtime" --module="$tmp/module.conf" run -d --name e2e-global --network none $IMAGE sh -c "$IDLE" >/dev/null
rm "$tmp/asked"
assert_match "a unit made at the prompt" "$(systemctl show -P ExecStart e2e-global)" "berth --runtime=$tmp/runtime --module=$tmp/module.conf start"
systemctl restart e2e-global
[ -e "$tmp/asked" ] || die "the unit's next start has another runtime"
berth rm -f e2e-global >/dev/null
assert_match "a module that is not there" "$(must_fail berth --module none.conf ps)" 'module "none.conf": none of /etc/containers/containers.conf.modules'
if [ "$BERTH_HOST" = vm ]; then # whose kernel has AppArmor
	for name in e2e-asked containers-default-e2e; do
		printf 'profile %s flags=(attach_disconnected,mediate_deleted) { file, network, capability, signal, ptrace, deny /denied w, }\n' "$name"
	done >"$tmp/apparmor"
	defer apparmor_parser -R "$tmp/apparmor"
	own() { berth run --rm --network none "$@" $IMAGE sh -c 'cat /proc/self/attr/current; echo x >/denied && echo written || true' 2>/dev/null | paste -sd' '; }
	# What a container with all capabilities can do to the machine; berth's profile is loaded at each boot.
	harm() {
		berth run --rm --network none --cap-add all --security-opt unmask=ALL "$@" $IMAGE sh -c 'cat /sys/kernel/mm/transparent_hugepage/enabled >/dev/null && echo reads
			mkdir /m && mount -t tmpfs none /m && echo mounts; echo h >/proc/sysrq-trigger && echo sysrq; cat /proc/kcore | head -c 1 >/dev/null; p=/proc/sys/kernel/core_pattern
			cat $p >/tmp/p && cat /tmp/p >$p && echo pattern
			echo -n "file none +p" >/proc/dynamic_debug/control && echo debug; p=/proc/sys/vm/swappiness
			cat $p >/tmp/p && cat /tmp/p >$p && echo vm; echo 1 >/proc/sys/net/ipv4/ip_forward && echo net' 2>/dev/null | paste -sd' '
	}
	assert_eq "berth's own profile" "$(own)" "berth-default (enforce) written"
	assert_eq "what it lets a container do" "$(harm)" "reads net"
	assert_eq "what it keeps from it" "$(harm --security-opt apparmor=unconfined)" "reads mounts sysrq pattern debug vm net"
	apparmor_parser -R /etc/apparmor.d/berth-default
	defer apparmor_parser -r /etc/apparmor.d/berth-default
	assert_match "no profile" "$(own)" ' written$'
	apparmor_parser -r "$tmp/apparmor"
	assert_eq "asked for" "$(own --security-opt apparmor=e2e-asked)" "e2e-asked (enforce)"
	assert_eq "the default profile" "$(own)" "containers-default-e2e (enforce)"
	assert_match "unconfined" "$(own --security-opt apparmor=unconfined)" ' written$'
	assert_match "one that is not loaded" "$(must_fail berth run --rm --network none --security-opt apparmor=e2e-none $IMAGE true)" 'AppArmor profile "e2e-none" is not loaded'
	exit 0 # emulated: a share will do, and nothing of the rest asks for more than a kernel with namespaces
fi
assert_match "ReadOnly" "$(inside Network=none ReadOnly=yes 'Exec=sh -c "touch /x || echo refused"')" refused

assert_match "AddDevice" "$(inside Network=none AddDevice=/dev/fuse 'Exec=ls -l /dev/fuse')" '^crw.* 10, 229'
assert_no_match "no AddDevice" "$(inside Network=none 'Exec=ls /dev')" fuse
echo from-the-host >"$tmp/file"
assert_match "Mount=type=bind" "$(inside Network=none "Mount=type=bind,source=$tmp/file,target=/file,ro" 'Exec=cat /file')" '^from-the-host$'
assert_match "Mount=type=tmpfs" "$(inside Network=none Mount=type=tmpfs,target=/t,tmpfs-size=1m 'Exec=grep " /t " /proc/mounts')" 'tmpfs .*size=1024k'
assert_match "Tmpfs" "$(inside Network=none Tmpfs=/t:size=2m 'Exec=grep " /t " /proc/mounts')" 'size=2048k'
if [ -x /usr/bin/catatonit ] || [ -x /usr/libexec/podman/catatonit ]; then
	assert_match "RunInit" "$(inside Network=none RunInit=yes 'Exec=cat /proc/1/cmdline')" 'podman-init'
fi

say "a named volume keeps what is in it, and the image's content and owner come along"
inside Network=none Volume=e2e-data:/data 'Exec=sh -c "echo kept >/data/file"' >/dev/null
assert_match "volume" "$(inside Network=none Volume=e2e-data:/data 'Exec=cat /data/file')" '^kept$'
assert_eq "Podman's place" "$(cat /var/lib/containers/storage/volumes/e2e-data/_data/file)" kept
inside Network=none Volume=e2e-etc:/etc 'Exec=true' >/dev/null
assert_match "copy-up" "$(cat /var/lib/containers/storage/volumes/e2e-etc/_data/passwd)" '^root:'
rm -r /var/lib/containers/storage/volumes/e2e-data /var/lib/containers/storage/volumes/e2e-etc

say "Notify=yes: the container says when it is ready"
quadlet e2e-notify.container <<F
[Container]
Image=$IMAGE
Network=none
Notify=yes
Exec=sh -c 'echo "\$NOTIFY_SOCKET"; sleep 100000'
[Service]
TimeoutStartSec=3
TimeoutStopSec=1
F
must_fail systemctl start e2e-notify >/dev/null # it never does
assert_eq "result" "$(property e2e-notify Result)" timeout
assert_match "socket" "$(journalctl -u e2e-notify -o cat)" '^/run/notify/notify.sock$'
