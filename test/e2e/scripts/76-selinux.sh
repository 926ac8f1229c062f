# hosts: vm
# kernel: lsm=landlock,lockdown,yama,selinux,bpf
# timeout: 6m
# On a machine with SELinux each container has a label and a level of its own, and reaches what is labelled for it, no more. The policy is a
# small one of our own, enforced by the kernel: for all but containers nothing is forbidden.
. "$BERTH_E2E/berth.sh"

needs tester podman secilc

# policy writes it in CIL. kernel_t is all that runs on the machine, container_t are the containers, with the categories of their level.
policy() {
	local class classes="file lnk_file chr_file blk_file sock_file fifo_file" sid
	local sids="kernel security unlabeled fs file file_labels init any_socket port netif netmsg node igmp_packet icmp_socket tcp_socket sysctl_modprobe
		sysctl sysctl_fs sysctl_kernel sysctl_net sysctl_net_unix sysctl_vm sysctl_dev kmod policy scmp_packet devnull"
	local access="ioctl read write create getattr setattr lock relabelfrom relabelto append map unlink link rename open mounton"
	cat <<-F
		(handleunknown allow) (mls true) (policycap open_perms) (policycap nnp_nosuid_transition)
		(class process (transition dyntransition sigchld sigkill sigstop signull signal ptrace getattr fork))
		(class dir ($access search add_name remove_name reparent rmdir))
		$(for class in $classes; do echo "(class $class ($access execute execute_no_trans entrypoint))"; done)
		(classorder (process dir $classes))
		$(for sid in $sids; do echo "(sid $sid)"; done)
		(sidorder ($(echo $sids)))
		(sensitivity s0) (sensitivityorder (s0))
		$(seq -f '(category c%.0f)' 0 1023)
		(categoryorder ($(seq -f c%.0f -s ' ' 0 1023)))
		(sensitivitycategory s0 (range c0 c1023))
		(user system_u) (role system_r) (role object_r) (userrole system_u system_r) (userrole system_u object_r)
		(userlevel system_u (s0)) (userrange system_u ((s0) (s0 (range c0 c1023))))
		(type kernel_t) (type unlabeled_t) (type host_t) (type proc_t) (type container_t) (type other_t) (type spc_t) (type container_file_t)
		(typeattribute domain) (typeattributeset domain (kernel_t container_t other_t spc_t))
		(typeattribute any) (typeattributeset any (kernel_t unlabeled_t host_t proc_t container_t other_t spc_t container_file_t))
		(typeattribute confined) (typeattributeset confined (container_t other_t))
		(roletype system_r domain) (roletype object_r any)
		(typetransition kernel_t container_file_t process spc_t)
		(allow confined kernel_t (fifo_file (all))) (allow confined kernel_t (process (sigchld))) (allow confined host_t (chr_file (all)))
		(mlsconstrain (file (read write open append create unlink execute)) (or (dom h1 h2) (neq t1 confined)))
		(mlsconstrain (dir (read open search add_name remove_name)) (or (dom h1 h2) (neq t1 confined)))
	F
	for sid in $sids; do
		case $sid in
		kernel | init) echo "(sidcontext $sid (system_u system_r kernel_t ((s0) (s0))))" ;;
		unlabeled) echo "(sidcontext $sid (system_u object_r unlabeled_t ((s0) (s0))))" ;;
		*) echo "(sidcontext $sid (system_u object_r host_t ((s0) (s0))))" ;;
		esac
	done
	printf '(fsuse %s %s (system_u object_r host_t ((s0) (s0))))\n' xattr ext4 xattr overlay trans tmpfs trans devpts trans devtmpfs trans mqueue task pipefs task sockfs
	printf '(genfscon %s / (system_u object_r proc_t ((s0) (s0))))\n' proc sysfs cgroup2 nsfs
	for class in process dir $classes; do
		echo "(allow kernel_t any ($class (all))) (allow spc_t any ($class (all)))"
		printf "(allow confined %s ($class (all)))\n" container_file_t self proc_t
	done
}
policy >"$tmp/policy.cil"
secilc -c 33 -o "$tmp/policy" -f /dev/null "$tmp/policy.cil"
mkdir -p /etc/selinux/e2e/contexts
printf 'SELINUX=permissive\nSELINUXTYPE=e2e\n' >/etc/selinux/config
printf '%s = "system_u:%s:s0"\n' process system_r:container_t file object_r:container_file_t ro_file object_r:container_file_t >/etc/selinux/e2e/contexts/lxc_contexts
cat "$tmp/policy" >/sys/fs/selinux/load
echo 1 >/sys/fs/selinux/enforce

load_image
load_user_image
warm_up
warm_up_prompt
podman run --rm --network none $IMAGE true # which leaves things of its own the first time
leak_snapshot
B="berth run --rm --network none"
OWN='cat /proc/self/attr/current'
label() { "$@" | tr -d '\0'; }

say "labels"
first=$(label $B --name e2e-first $IMAGE $OWN)
assert_match "a container's" "$first" '^system_u:system_r:container_t:s0:c[0-9]+,c[0-9]+$'
assert_eq "the same the next time" "$(label $B --name e2e-first $IMAGE $OWN)" "$first"
printf '[engine]\nruntime="runc"\n' >"$tmp/runc.conf"
assert_eq "with runc" "$(CONTAINERS_CONF=$tmp/runc.conf label $B --name e2e-first $IMAGE $OWN)" "$first"
second=$(label $B --name e2e-second $IMAGE $OWN)
[ "$first" != "$second" ] || die "two containers have the level $first"
assert_eq "as a user" "$(label as_tester berth run --rm --network none --name e2e-first $IMAGE $OWN)" "$first"
assert_eq "none" "$(label $B --security-opt label=disable $IMAGE $OWN)" system_u:system_r:spc_t:s0
assert_eq "privileged" "$(label $B --privileged $IMAGE $OWN)" system_u:system_r:spc_t:s0
assert_eq "processes of the host" "$(label $B --pid host $IMAGE $OWN)" system_u:system_r:spc_t:s0
assert_eq "asked for" "$(label $B --security-opt label=type:other_t --security-opt label=level:s0:c5,c9 $IMAGE $OWN)" system_u:system_r:other_t:s0:c5,c9
assert_match "not of the policy" "$(must_fail $B --security-opt label=type:nobody_t $IMAGE true)" 'nobody_t:.*the policy of SELinux of this machine has no such'

say "what is not labelled for a container it does not reach"
mkdir -p "$tmp/data/sub"
echo text | tee "$tmp/data/file" >"$tmp/data/sub/file"
ln -s /etc "$tmp/data/link"
DATA="$tmp/data:/d"
must_fail $B --name e2e-first -v "$DATA" $IMAGE cat /d/file >/dev/null
assert_eq "without a label" "$($B --security-opt label=disable -v "$DATA" $IMAGE cat /d/file)" text
assert_eq "option Z" "$($B --name e2e-first -v "$DATA:Z" $IMAGE cat /d/file /d/sub/file | paste -sd' ')" "text text"
must_fail $B --name e2e-second -v "$DATA" $IMAGE cat /d/file >/dev/null
assert_eq "the host's, behind a link" "$(stat -c %C /etc)" system_u:object_r:host_t:s0
assert_eq "option z" "$($B --name e2e-second -v "$DATA:z" $IMAGE cat /d/sub/file) $($B --name e2e-first -v "$DATA" $IMAGE cat /d/file)" "text text"
assert_eq "overlay" "$($B -v "/usr/share/berth-test:/d:O" $IMAGE sh -c 'touch /d/new; ls /d/new')" /d/new
assert_match "a directory of the system" "$(must_fail $B -v /etc:/d:Z $IMAGE true)" 'would label /etc of the host'
assert_match "both" "$(must_fail $B -v "$DATA:z,Z" $IMAGE true)" 'leave one of them out'

say "what was labelled is remembered"
chcon -t host_t "$tmp/data/sub/file" # seen by who looks at each file only
must_fail $B --name e2e-first -v "$DATA:z" $IMAGE cat /d/sub/file >/dev/null
cp -a "$tmp/data" "$tmp/copy"
assert_eq "of a copy it is not true" "$($B --name e2e-first -v "$tmp/copy:/d:z" $IMAGE cat /d/sub/file)" text
assert_eq "nor for another label" "$($B --name e2e-first -v "$DATA:Z" $IMAGE cat /d/sub/file)" text

say "files that a container gets"
echo secret | berth secret create e2e-secret - >/dev/null
assert_eq "all of them" "$(berth run --rm --secret e2e-secret --tmpfs /t -v e2e-volume:/v --tz UTC $IMAGE sh -c \
	'cat /run/secrets/e2e-secret && grep -q localhost /etc/hosts && cat /etc/resolv.conf /etc/hostname /etc/localtime /run/.containerenv >/dev/null &&
	touch /t/f /v/f /dev/shm/f /f && echo x >/dev/null && echo ok' | paste -sd' ')" "secret ok"
assert_eq "a volume is for all" "$($B -v e2e-volume:/v $IMAGE ls /v) $(podman run --rm --network none -v e2e-volume:/v $IMAGE ls /v)" "f f"
podman volume create e2e-theirs >/dev/null
podman run --rm --network none -v e2e-theirs:/v $IMAGE touch /v/theirs
assert_eq "Podman's" "$($B -v e2e-theirs:/v $IMAGE ls /v)" theirs
berth volume rm e2e-volume e2e-theirs >/dev/null
berth secret rm e2e-secret >/dev/null

say "units, exec, and pods"
quadlet e2e-label.container <<F
[Container]
Image=$IMAGE
Network=none
Volume=$DATA:Z
SecurityLabelType=other_t
Exec=sh -c 'cat /d/file && touch /dev/shm/own && echo "\$\$(cat /proc/self/attr/current)"; $IDLE'
F
systemctl start e2e-label
wait_journal 20 'system_r:other_t:s0:c' -u e2e-label
own=$(tr -d '\0' <"/proc/$(property e2e-label MainPID)/attr/current")
assert_eq "exec" "$(label berth exec systemd-e2e-label $OWN)" "$own"
assert_eq "inspect" "$(berth inspect --format '{{.ProcessLabel}} {{.MountLabel}}' systemd-e2e-label)" "$own system_u:object_r:container_file_t:${own#*other_t:}"
assert_eq "who shares its memory" "$(label $B --ipc container:systemd-e2e-label $IMAGE sh -c "ls /dev/shm >/dev/null && $OWN")" "$own"
systemctl restart e2e-label
assert_eq "after a restart" "$(tr -d '\0' <"/proc/$(property e2e-label MainPID)/attr/current")" "$own"
berth pod create --network none e2e-pod >/dev/null
berth run -d --pod e2e-pod --name e2e-a $IMAGE sh -c "echo a >/dev/shm/f; $IDLE" >/dev/null
berth run -d --pod e2e-pod --name e2e-b $IMAGE sh -c "$IDLE" >/dev/null
assert_eq "two of a pod" "$(label berth exec e2e-a $OWN)" "$(label berth exec e2e-b $OWN)"
wait_for 20 berth exec e2e-b cat /dev/shm/f
berth pod rm -f e2e-pod >/dev/null
systemctl stop e2e-label
rm -r /etc/containers/systemd/e2e-label.container "$tmp/data" "$tmp/copy" "$tmp/runc.conf"
systemctl daemon-reload

wait_for 20 no_scope
wait_for 20 user_no_scope
leak_check
[ ! -e /run/berth/leases/levels ] || die "a level is still leased: $(ls /run/berth/leases/levels)"
