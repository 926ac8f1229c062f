# hosts: nspawn
# torture-hosts: vm
# timeout: 15m
# Pods from the shell: one that is made for a container without a name, and flags of Podman's pods that mean nothing here or
# that a pod cannot have.
. "$BERTH_E2E/berth.sh"

load_image
load_user_image
warm_up
warm_up_user
cp /etc/subuid /etc/subgid "$tmp/"
defer cp "$tmp/subuid" "$tmp/subgid" /etc/
berth setup userns >/dev/null
berth run --rm --network none --userns=auto $IMAGE true
as_tester berth run --rm --network none --userns=keep-id $IMAGE true
wait_for 20 no_scope
wait_for 20 user_no_scope
leak_snapshot

say "a pod for a container without a name"
berth run -d --pod new:e2e-new -p 18098:80 $IMAGE sh -c "$SERVE" >/dev/null
defer berth pod rm -f -i e2e-new
assert_match "pod ps" "$(berth pod ps)" 'e2e-new +Running .* 1$'
wait_for 20 curl -fsS --max-time 2 http://127.0.0.1:18098/
assert_match "another one" "$(must_fail berth run -d --pod new:e2e-new $IMAGE true)" 'pod "e2e-new" is there already'
assert_eq "a second container" "$(berth run --rm --pod e2e-new $IMAGE hostname)" e2e-new
berth pod rm -f e2e-new >/dev/null
as_tester berth run --rm --pod new:e2e-mine $IMAGE hostname | grep -qx e2e-mine || die "a user's container is not in the pod"
as_tester berth pod rm -f e2e-mine >/dev/null

for who in "" as_tester; do
	for words in "-d --pull never localhost/none true" "--rm $IMAGE /none" "$IMAGE /none"; do
		must_fail $who berth run --pod new:e2e-none $words >/dev/null 2>&1
		assert_eq "left by a refused container, $words" "$($who berth pod ps -q)$($who berth ps -aq)" ""
	done
done

say "what a pod cannot have is said, and nothing is left"
for flag in --userns=container:x --userns=own --userns=nomap --uidmap=0 "--userns=auto --gidmap=0:100000:10" "--userns=keep-id --subuidname=tester" "--subgidname=tester --uidmap=0:1:1"; do
	assert_match "$flag" "$(must_fail berth pod create $flag e2e-none)" 'userns|map'
	assert_eq "pods after $flag" "$(berth pod ps -q)" ""
done

say "what says nothing new is taken"
berth pod create --userns=host --infra=false --infra-command=/pause --infra-image=pause --infra-name=e2e-infra --infra-conmon-pidfile="$tmp/pid" \
	--share-parent=false e2e-plain >/dev/null
berth run --rm --pod e2e-plain $IMAGE true
berth pod rm -f e2e-plain >/dev/null
echo from=file >"$tmp/labels"
assert_match "a pod has no image" "$(must_fail berth pod create --hosts-file image e2e-plain)" 'pod "e2e-plain" has no image'
berth pod create --hosts-file /etc/os-release --no-hostname --label-file "$tmp/labels" e2e-plain >/dev/null
assert_match "--hosts-file" "$(berth run --rm --pod e2e-plain $IMAGE cat /etc/hosts)" '^ID=debian$'
assert_eq "--no-hostname" "$(berth run --rm --pod e2e-plain $IMAGE grep -c ' /etc/hostname ' /proc/mounts || true)" 0
assert_eq "--label-file" "$(berth pod ps --filter label=from=file --format '{{.Name}}')" e2e-plain
berth pod rm -f e2e-plain >/dev/null
rm "$tmp/labels"

say "what its containers have of the pod"
berth run -d --name e2e-store -v /stored --network none $IMAGE sh -c "echo kept >/stored/f; $IDLE" >/dev/null
berth pod create --device /dev/fuse --security-opt no-new-privileges --volumes-from e2e-store:ro --sysctl net.ipv4.conf.default.forwarding=1 \
	--shm-size-systemd 3m --restart always --uts host --pid host --share +pid e2e-plain >/dev/null
seen() { berth run --rm --pod e2e-plain "$@" $IMAGE sh -c 'ls /dev/fuse; grep NoNewPrivs /proc/self/status; cat /stored/f
	cat /proc/sys/net/ipv4/conf/default/forwarding; readlink /proc/self/ns/uts; readlink /proc/self/ns/pid' 2>&1 | xargs; }
wait_for 20 eval 'seen | grep kept'
assert_eq "what is seen" "$(seen)" "/dev/fuse NoNewPrivs: 1 kept 1 $(readlink /proc/self/ns/uts /proc/self/ns/pid | xargs)"
assert_match "a container's own word is the last" "$(seen --security-opt no-new-privileges=false --sysctl net.ipv4.conf.default.forwarding=0)" 'NoNewPrivs: 0 kept 0'
assert_match "for a systemd" "$(berth run --rm --pod e2e-plain --systemd always --pid private $IMAGE df -m /run 2>&1 || true)" '(^|[^0-9])3 '
berth run -d --pod e2e-plain --name e2e-again $IMAGE sh -c "$IDLE" >/dev/null
assert_eq "--restart" "$(property e2e-again Restart)" always
assert_match "the latest" "$(berth pod inspect --latest | jq -r '.[0].Name')" e2e-plain
assert_eq "--ns and --sort" "$(berth pod ps --latest --ns --sort name --noheading | grep -c 'ipc,net,pid,uts')" 1
assert_eq "a template" "$(berth pod ps --format '{{.Name}} {{.ContainerNames}} {{.ContainerStatuses}} {{.Restarts}}')" "e2e-plain e2e-again running 0"
wait_for 20 eval 'berth pod logs -n --color e2e-plain | grep "e2e-again idle"'
assert_match "stats" "$(berth pod stats --no-stream e2e-plain)" 'e2e-again +.*%'
assert_eq "reload" "$(berth network reload --latest 2>&1 | grep -c e2e-again || true)" 0
berth pod clone --uts private --restart no e2e-plain e2e-other >/dev/null
assert_eq "a clone's host name" "$(berth run --rm --pod e2e-other $IMAGE hostname)" e2e-other
assert_eq "the newest first" "$(berth pod ps --format '{{.Name}}' | xargs)" "e2e-other e2e-plain"
berth pod rm -f e2e-other e2e-plain >/dev/null
berth rm -f -v e2e-store >/dev/null
assert_match "--pid without sharing" "$(must_fail berth pod create --pid host e2e-plain)" '--share=\+pid'

say "the exit policy of a pod that no unit is of"
pod_is() { [ "$(berth pod ps --filter name=e2e-policy --format '{{.Status}}')" = "$1" ]; }
pins() { grep -c ' /run/berth/pods/' /proc/self/mountinfo || true; }
for policy in continue stop; do
	berth pod create --exit-policy $policy e2e-policy >/dev/null
	berth run -d --pod e2e-policy --name e2e-kept $IMAGE sh -c "$IDLE" >/dev/null
	berth run --rm --pod e2e-policy $IMAGE true
	wait_for 20 pod_is Running
	held=$(pins)
	berth stop e2e-kept >/dev/null
	wait_for 20 pod_is Exited
	[ $policy = stop ] || assert_eq "with continue it holds what is shared" "$(pins)" "$held"
	[ $policy = continue ] || wait_for 20 eval '[ "$(pins)" = 0 ]'
	berth start e2e-kept >/dev/null
	wait_for 20 pod_is Running
	berth pod rm -f e2e-policy >/dev/null
done
[ ! -e "$tmp/pid" ] || die "a file of a monitor that is not there"
leak_check

# ordered WORDS LIKE-BERTH…: the containers have written these, the last one after its start was told.
ordered() { [ "$("${@:2}" exec e2e-main cat /v/order | xargs)" = "$1" ]; }

# prepared LIKE-BERTH… checks init containers, and the others, over starts of a pod; of a user's only what differs.
prepared() {
	local b=("$@")
	"${b[@]}" pod create e2e-ready >/dev/null
	"${b[@]}" volume create e2e-ready >/dev/null
	local word
	for word in first second; do
		"${b[@]}" create --name e2e-$word --pod e2e-ready --init-ctr always -v e2e-ready:/v $IMAGE sh -c "echo $word >>/v/order" >/dev/null
	done
	"${b[@]}" create --name e2e-third --pod e2e-ready --init-ctr once -v e2e-ready:/v $IMAGE sh -c 'echo third >>/v/order' >/dev/null
	"${b[@]}" create --name e2e-main --pod e2e-ready -v e2e-ready:/v $IMAGE sh -c "echo main >>/v/order; $IDLE" >/dev/null
	assert_match "made" "$("${b[@]}" pod ps)" 'e2e-ready +Created .* 4$'
	assert_eq "what pod start prints" "$("${b[@]}" pod start e2e-ready)" e2e-ready
	assert_match "started" "$("${b[@]}" pod ps)" 'e2e-ready +Running .* 3$'
	assert_eq "the network is the pod's" "$("${b[@]}" exec e2e-main hostname)" e2e-ready
	if [ "${b[0]}" != berth ]; then
		wait_for 20 ordered "first second third main" "${b[@]}"
		"${b[@]}" pod rm -f e2e-ready >/dev/null
		"${b[@]}" volume rm e2e-ready >/dev/null
		return
	fi
	assert_eq "what pod stop prints" "$("${b[@]}" pod stop e2e-ready)" e2e-ready
	assert_match "stopped" "$("${b[@]}" pod ps)" 'e2e-ready +Exited .* 3$'
	"${b[@]}" pod restart e2e-ready >/dev/null
	wait_for 20 ordered "first second third main first second main" "${b[@]}"

	"${b[@]}" pod stop e2e-ready >/dev/null
	"${b[@]}" create --name e2e-bad --pod e2e-ready --init-ctr always $IMAGE sh -c 'exit 7' >/dev/null
	assert_match "one that fails" "$(must_fail "${b[@]}" pod start e2e-ready)" \
		'pod "e2e-ready" is not started, for its init container "e2e-bad" has ended with status 7'
	assert_match "not started" "$("${b[@]}" pod ps)" 'e2e-ready +Exited .* 4$'
	assert_eq "the others" "$("${b[@]}" ps -q)" ""
	"${b[@]}" rm e2e-bad >/dev/null
	"${b[@]}" pod clone --start --hostname box e2e-ready e2e-again >/dev/null
	assert_eq "a clone" "$("${b[@]}" exec e2e-main-clone hostname)" box
	wait_for 20 eval '[ "$(berth exec e2e-main-clone tail -n 3 /v/order | xargs)" = "first second main" ]' # only root's come here
	"${b[@]}" pod rm -f e2e-again >/dev/null
	"${b[@]}" pod rm e2e-ready >/dev/null
	"${b[@]}" volume rm e2e-ready >/dev/null
	assert_eq "containers" "$("${b[@]}" ps -aq)" ""
}

say "init containers"
for wrong in "--init-ctr=always" "--init-ctr=never --pod=e2e-none" "--init-ctr=once --rm --pod=e2e-none" "--init-ctr=once --restart=always --pod=e2e-none"; do
	assert_match "$wrong" "$(must_fail berth create $wrong $IMAGE)" 'init-ctr='
done
prepared berth
leak_check
say "limits of a pod are those of a slice that its containers are in"
# limited LIKE-PROPERTY SLICE-ABOVE LIKE-BERTH…
limited() {
	local prop=$1 slice=$2'-berth_e2e\x2dsmall.slice' group
	shift 2
	"$@" pod create --memory 200m --cpus 0.5 --cpu-shares 512 --blkio-weight 200 e2e-small >/dev/null
	"$@" run -d --name e2e-in --pod e2e-small $IMAGE sh -c "$IDLE" >/dev/null
	"$@" run -d --rm --name e2e-gone --pod e2e-small $IMAGE sh -c "$IDLE" >/dev/null
	assert_eq "properties" "$(for p in MemoryMax CPUQuotaPerSecUSec CPUWeight IOWeight; do $prop "$slice" $p; done | xargs)" "209715200 500ms 20 1920"
	for group in $($prop e2e-in ControlGroup) $($prop e2e-gone ControlGroup); do
		assert_match "the group" "$group" "/${slice//\\/\\\\}/"
	done
	if [ "$slice" = "${slice#app}" ]; then # a user's process sees its group from within
		assert_match "in the foreground" "$("$@" run --rm --pod e2e-small --cgroupns host $IMAGE cat /proc/1/cgroup)" "/${slice//\\/\\\\}/"
	fi
	assert_match "inspect" "$("$@" pod inspect e2e-small)" 'MemoryMax=209715200'
	"$@" pod rm -f e2e-small >/dev/null
	wait_for 20 eval "[ \"\$($prop '$slice' ActiveState)\" = inactive ]"
	assert_eq "after it" "$($prop "$slice" MemoryMax)" infinity
}
limited property system berth
limited user_property app as_tester berth
berth pod create e2e-one >/dev/null
berth create --name e2e-a --pod e2e-one $IMAGE true >/dev/null
berth create --name e2e-a-clone --network none $IMAGE true >/dev/null
assert_match "a clone whose container's name is taken" "$(must_fail berth pod clone e2e-one)" 'pod "e2e-one-clone" is not made'
berth rm e2e-a-clone >/dev/null
berth pod clone --destroy --memory 100m e2e-one >/dev/null
assert_match "in its place" "$(berth pod ps --ctr-names)" 'e2e-one-clone .* e2e-a-clone *$'
assert_eq "pods" "$(berth pod ps -q | wc -l)" 1
assert_match "with its limit" "$(berth pod inspect e2e-one-clone)" 'MemoryMax=104857600'
berth pod rm e2e-one-clone >/dev/null
assert_match "one that is wrong" "$(must_fail berth pod create --memory much e2e-small)" '--memory: '
assert_eq "pods" "$(berth pod ps -q)" ""

say "init containers by unit files"
root=/etc/containers/systemd
mkdir -p $root
cat >$root/e2e-q.pod <<F
[Pod]
PodmanArgs=--memory=100m
F
cat >$root/e2e-init.container <<F
[Container]
Image=$IMAGE
Pod=e2e-q.pod
Volume=e2e-order:/v
Exec=sh -c 'echo init >>/v/order; test ! -e /v/fail'
[X-Berth]
InitContainer=yes
F
cat >$root/e2e-main.container <<F
[Container]
Image=$IMAGE
Pod=e2e-q.pod
Volume=e2e-order:/v
Exec=sh -c 'echo main >>/v/order; $IDLE'
F
systemctl daemon-reload
order() { xargs <"$(berth volume inspect --format '{{.Mountpoint}}' e2e-order)/order"; }
is_order() { [ "$(order)" = "$*" ] || { order && return 1; }; } # a service may be active a moment before its program writes
systemctl start e2e-q-pod
wait_for 60 has_property e2e-main ActiveState active
wait_for 20 is_order init main
assert_eq "the slice" "$(property e2e-main Slice) $(property 'system-berth_systemd\x2de2e\x2dq.slice' MemoryMax)" 'system-berth_systemd\x2de2e\x2dq.slice 104857600'
systemctl restart e2e-main
wait_for 20 is_order init main main
systemctl restart e2e-q-pod
wait_for 60 has_property e2e-main ActiveState active
wait_for 20 is_order init main main init main
touch "$(berth volume inspect --format '{{.Mountpoint}}' e2e-order)/fail"
systemctl restart e2e-q-pod
wait_for 60 has_property e2e-init ActiveState failed
wait_for 60 has_property e2e-q-pod ActiveState inactive
assert_eq "one that waits for it" "$(property e2e-main ActiveState)" inactive
assert_eq "order" "$(order)" "init main main init main init"
systemctl reset-failed e2e-init
berth volume rm e2e-order >/dev/null
rm $root/e2e-*
systemctl daemon-reload
leak_check

say "those of a user"
prepared as_tester berth
leak_check

say "a user namespace of the pod's own"
sc() { systemctl "$@"; }
b() { berth "$@"; }
prop() { property "$@"; }
# outside SERVICE is how the machine sees its main process: the map, the user namespace, and the user.
outside() {
	local p && p=/proc/$(prop "$1" MainPID)
	echo "$(tr -s ' ' : <"$p/uid_map" | paste -sd,) $(readlink "$p/ns/user") $(awk '/^Uid:/ { print $2 }' "$p/status")"
}
# owned DIRECTORY PORT USERNS USER RUNTIME… starts a pod with two containers, the second with the user, and checks what is the same for all.
owned() {
	local one other seen flag runtime
	mkdir -p "$1"
	cat >"$1/e2e-u.pod" <<F
[Pod]
PodName=e2e-u
UserNS=$3
PublishPort=$2:8080
Volume=e2e-uv:/v
F
	cat >"$1/e2e-u1.container" <<F
[Container]
Image=$IMAGE
Pod=e2e-u.pod
User=0:0
Exec=sh -c 'echo 1 >/v/1; chmod 777 /v; ${SERVE/-p 80/-p 8080}'
F
	cat >"$1/e2e-u2.container" <<F
[Container]
Image=$IMAGE
Pod=e2e-u.pod
$4
Exec=sh -c '$IDLE'
F
	sc daemon-reload
	sc start e2e-u-pod
	wait_for 60 curl -fsS --max-time 2 "http://127.0.0.1:$2/"
	wait_for 60 eval 'b exec systemd-e2e-u2 sh -c "echo 2 >/v/2"'
	one=$(outside e2e-u1) other=$(outside e2e-u2)
	assert_eq "one map, one namespace" "${other% *}" "${one% *}"
	for runtime in "${@:5}"; do
		printf '[engine]\nruntime="%s"\n' $runtime >"$tmp/runtime.conf"
		seen=$(CONTAINERS_CONF=$tmp/runtime.conf b run --rm --pod e2e-u -u 0 --cap-add NET_ADMIN --sysctl net.ipv4.conf.lo.forwarding=1 $IMAGE sh -c \
			'readlink /proc/self/ns/user; ip link set lo mtu 1400; cat /sys/class/net/lo/mtu /proc/sys/net/ipv4/conf/lo/forwarding; stat -c %u /v/1 /dev/shm /etc/hosts')
		assert_eq "it has the other namespaces, with $runtime" "$(xargs <<<"$seen")" "$(cut -d' ' -f2 <<<"$one") 1400 1 0 0 0"
	done
	assert_eq "inspect" "$(b pod inspect e2e-u | jq -r '.[0] | .InfraConfig.userns, (.SharedNamespaces | join(","))' | xargs)" "private ipc,net,user,uts"
	for flag in --userns=host --uidmap=0:1:1; do
		assert_match "$flag of a container" "$(must_fail b run --rm --pod e2e-u $flag $IMAGE true)" \
			'in pod "e2e-u", whose containers have one user namespace: --userns and maps are given to the pod'
	done
}
# disowned DIRECTORY stops the pod and looks for what is left.
disowned() {
	sc stop e2e-u-pod
	b volume rm e2e-uv >/dev/null
	rm "$tmp/runtime.conf"
	rm -f "$1"/e2e-u*
	sc daemon-reload
	leak_check
}
user_of() { local o && o=$(outside "$1") && echo "${o##* }"; }
on_disk() { local v && v=$(b volume inspect --format '{{.Mountpoint}}' e2e-uv) && stat -c %u "$v/1" "$v/2" | xargs; }
owned $root 18074 auto User=33 crun runc
start=$(user_of e2e-u1)
assert_eq "users outside" "$(outside e2e-u1) $(user_of e2e-u2)" ":0:$start:65536 $(readlink "/proc/$(property e2e-u2 MainPID)/ns/user") $start $((start + 33))"
assert_eq "on the disk" "$(on_disk)" "0 33"
assert_eq "its lease" "$(ls /run/berth/leases/ids)" "$start-65536"
b pod kill e2e-u >/dev/null
wait_for 60 eval '[ -z "$(berth pod ps -q)" ]'
[ ! -e /run/berth/leases/ids ] || die "leases after it: $(ls /run/berth/leases/ids)"
sc reset-failed e2e-u1 e2e-u2 2>/dev/null || true
disowned $root

say "one that was made by hand keeps its IDs"
berth pod create --uidmap 0:100000:1000 --gidmap 0:200000:1000 --share +pid e2e-ids >/dev/null
berth create --name e2e-a --pod e2e-ids $IMAGE sh -c "touch /file; $IDLE" >/dev/null
seen() { b exec "$1" sh -c 'stat -c %u:%g /file /etc/passwd; tr -s " " : </proc/self/uid_map; tr -s " " : </proc/self/gid_map' | xargs; }
for command in start restart; do
	berth pod $command e2e-ids >/dev/null
	wait_for 20 eval 'seen e2e-a >/dev/null'
	assert_eq "after pod $command" "$(seen e2e-a)" "0:0 0:0 :0:100000:1000 :0:200000:1000"
done
berth pod clone --start e2e-ids e2e-like >/dev/null
wait_for 20 eval 'seen e2e-a-clone >/dev/null'
assert_eq "of a clone" "$(seen e2e-a-clone)" "0:0 0:0 :0:100000:1000 :0:200000:1000"
berth pod rm -f e2e-like >/dev/null
berth pod clone --destroy --userns host e2e-ids e2e-like >/dev/null
assert_eq "of one that is to have another" "$(berth pod inspect e2e-like | jq -r '.[0].InfraConfig.userns')" host
berth pod rm e2e-like >/dev/null
leak_check

say "that of a user's"
user=/home/tester/.config/containers/systemd
sc() { as_tester systemctl --user "$@"; }
b() { as_tester env ${CONTAINERS_CONF:+CONTAINERS_CONF="$CONTAINERS_CONF"} berth "$@"; }
prop() { user_property "$@"; }
as_tester mkdir -p $user
owned $user 18075 keep-id '' crun
assert_eq "users outside" "$(user_of e2e-u1) $(user_of e2e-u2)" "100000 1000"
assert_eq "on the disk" "$(on_disk)" "100000 1000"
disowned $user
