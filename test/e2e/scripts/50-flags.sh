# hosts: nspawn vm
# timeout: 15m
# Each flag of run has its effect inside a container, with crun and with runc, and nothing is left behind. The rows stand
# in 50-flags.table, which says how they are read. In the emulated machine only those run that the other one cannot show.
. "$BERTH_E2E/berth.sh"

load_image
warm_up
# crun keeps each seccomp filter that it has translated; the rows need some others than usual.
for caps in --cap-add=net_admin --cap-add=mknod --cap-drop=all; do
	berth run --rm --network none $caps $IMAGE true
done

table=$BERTH_E2E/50-flags.table
declare -A control

# What the rows use.
printf 'FROM_FILE=1\n# a note\nBARE\n' >"$tmp/env"
printf 'from.file=1\n' >"$tmp/labels"
printf 'from-the-host\n' >"$tmp/file"
mkdir "$tmp/dir" "$tmp/dir/below"
touch "$tmp/dir/one.txt" "$tmp/dir/two.txt" "$tmp/dir/three"
export tmp IMAGE
disk=$(lsblk -dnpo NAME 2>/dev/null | grep -m1 '^/dev/[vs]d' || true)
export disk

printf '[engine]\nruntime = "crun"\n' >"$tmp/containers.conf"
export http_proxy=http://proxy.example:3128
mkdir -p /etc/cdi
defer rm -f /etc/cdi/e2e-card.json /etc/cdi/e2e-gpu.json
cat >/etc/cdi/e2e-card.json <<F
{"cdiVersion": "0.6.0", "kind": "example.com/card", "devices": [
  {"name": "one", "containerEdits": {"env": ["CARD=one"], "deviceNodes": [{"path": "/dev/card", "hostPath": "/dev/null"}]}}]}
F
cat >/etc/cdi/e2e-gpu.json <<F
{"cdiVersion": "0.6.0", "kind": "nvidia.com/gpu", "devices": [{"name": "all", "containerEdits": {"env": ["GPU=all"]}}]}
F
leak_snapshot

# Without a group of its own a container starts sooner; only limits need one.
# runc always makes one.
group=
ipc=$(readlink /proc/self/ns/ipc | tr -cd 0-9)
cgroup=$(readlink /proc/self/ns/cgroup | tr -cd 0-9)

# Another container, to share with.
berth run -d --rm --name e2e-peer --hostname peer.example --network none --ipc shareable $IMAGE \
	sh -c "$IDLE"' & wait' >/dev/null
defer berth rm -f -i e2e-peer
berth run --rm --network none --ipc container:e2e-peer $IMAGE sh -c 'echo shared >/dev/shm/from-another'

# run_row ARGS COMMAND prints what the container prints, and its exit status.
run_row() {
	local args code=0
	eval "args=($1)"
	timeout -k 5 40 berth run --rm --network none $group "${args[@]}" $IMAGE sh -c "$2" <"$tmp/file" 3<"$tmp/file" 7<"$tmp/file" 2>&1 || code=$?
	echo "exit $code"
}

check_row() {
	local runtime=$1 flag=$2 args=$3 command=$4 want=$5 got
	got=$(run_row "$args" "$command")
	grep -Eq -- "$want" <<<"$got" || {
		wrong "$runtime: --$flag: berth run $args: got \"$got\", which does not match \"$want\""
		journalctl --no-pager -k -n 5 # a module of the kernel's may have refused it
		return 0
	}
	[ "$runtime" = crun ] && [ "${flag#=}" = "$flag" ] || return 0
	[ -n "${control[$command]:-}" ] || control[$command]=$(run_row "" "$command")
	! grep -Eq -- "$want" <<<"${control[$command]}" || wrong "--$flag: \"$want\" is also seen without it: the row shows nothing"
}

# wrong notes what is wrong with a row; the others are still tried.
failures=0
wrong() {
	echo "WRONG: $*"
	failures=$((failures + 1))
}

rows=0
for runtime in crun runc; do
	printf '[engine]\nruntime = "%s"\n' "$runtime" >"$tmp/containers.conf"
	export CONTAINERS_CONF=$tmp/containers.conf
	group=
	[ "$runtime$BERTH_HOST" != crunnspawn ] || group='--cgroups disabled'
	while IFS='|' read -r flag where args command want; do
		flag=${flag// /} where=${where// /}
		case $flag in "" | "#"*) continue ;; esac
		case $where in
		"$BERTH_HOST" | "$BERTH_HOST-$runtime") ;;
		crun | runc) [ "$where" = "$runtime" ] && [ "$BERTH_HOST" != vm ] || continue ;;
		any) [ "$BERTH_HOST" != vm ] || continue ;;
		*) continue ;;
		esac
		args=${args# } args=${args% } command=${command# } command=${command% } want=${want# }
		want=${want//@HOST@/$(</proc/sys/kernel/hostname)} want=${want//@IPC@/$ipc} want=${want//@CGROUP@/$cgroup}
		check_row "$runtime" "$flag" "$args" "$command" "$want"
		rows=$((rows + 1))
	done <"$table"
done
unset CONTAINERS_CONF

say "a directory as root file system, with and without what is written into it"
mkdir -p "$tmp/root/bin" "$tmp/root/proc" "$tmp/root/dev" "$tmp/root/sys" "$tmp/root/etc" "$tmp/root/run"
cp /usr/bin/busybox "$tmp/root/bin/"
in_rootfs() { berth run --rm --network none --rootfs "$1" /bin/busybox sh -c "$2"; }
assert_eq "overlay" "$(in_rootfs "$tmp/root:O" 'echo kept >/new; /bin/busybox cat /new')" kept
[ ! -e "$tmp/root/new" ] || die "what was written into the overlay is in the directory"
assert_eq "directory" "$(in_rootfs "$tmp/root" 'echo kept >/new; /bin/busybox cat /new')" kept
assert_eq "the directory itself" "$(cat "$tmp/root/new")" kept
rm -r "$tmp/root"

say "what is seen from outside of the container"
defer berth rm -f -i e2e-out
berth run -d --rm --name e2e-out --label one=1 --label-file "$tmp/labels" --cidfile "$tmp/cid" --pidfile "$tmp/pid" --stop-signal USR1 \
	--stop-timeout 30 --memory-reservation 0 --network none $IMAGE sh -c 'trap "echo asked; exit 0" USR1; echo up; sleep 100000 & wait' >/dev/null
assert_eq "pidfile" "$(cat "$tmp/pid")" "$(property e2e-out MainPID)"
assert_match "cidfile" "$(cat "$tmp/cid")" '^[0-9a-f]{64}$'
assert_match "labels" "$(berth inspect e2e-out)" '"from.file=1"'
wait_journal 20 '^up$' -u e2e-out
berth rm -f --cidfile "$tmp/cid" >/dev/null
wait_journal 20 '^asked$' -u e2e-out
assert_eq "cidfile of one that has gone" "$(exit_code test -e "$tmp/cid") $(exit_code berth rm -f -i --cidfile "$tmp/cid") $(exit_code berth stop -i --cidfile "$tmp/cid")" "1 0 0"
for _ in 1 2; do (cd "$tmp" && berth create --replace --cidfile cid --name e2e-out $IMAGE true >/dev/null); done
assert_eq "cidfile of one that took a place" "$(cat "$tmp/cid")" "$(berth inspect -f '{{.Id}}' e2e-out)"
berth rm e2e-out >/dev/null
cp /usr/share/containers/seccomp.json "$tmp"
echo '9.9.9.9 base' >"$tmp/hosts"
(cd "$tmp" && berth create --replace --name e2e-out --network none --security-opt seccomp=seccomp.json --hosts-file hosts $IMAGE cat /etc/hosts >/dev/null)
assert_match "files of the directory that the container was made in" "$(cd / && berth start -a e2e-out)" '^9\.9\.9\.9[[:space:]]base'
berth rm e2e-out >/dev/null
rm "$tmp/seccomp.json" "$tmp/hosts"
assert_eq "a cidfile where none can be" "$(exit_code berth create --cidfile "$tmp/none/cid" --name e2e-out $IMAGE true) $(berth ps -aq --filter name=e2e-out)$(ls "$tmp" | grep -c cid)" "125 0"
berth run --rm --name e2e-replaced --network none $IMAGE sh -c 'echo up; trap "exit 7" TERM; sleep 100000 & wait' >"$tmp/replaced" 2>&1 &
pid=$!
wait_for 30 grep -q up "$tmp/replaced"
assert_eq "replaced" "$(berth run --rm --replace --name e2e-replaced --network none $IMAGE echo another)" another
code=0
wait "$pid" || code=$?
assert_eq "status of the one that was replaced" "$code" 7
rm "$tmp/replaced"
rm -f "$tmp/cid" "$tmp/pid"

say "the image goes with its container"
berth tag $IMAGE localhost/e2e-other
berth run --rm --rmi --network none localhost/e2e-other true 2>/dev/null
berth run --rm --network none --pull never $IMAGE true
berth rmi localhost/e2e-other >/dev/null 2>&1 || true

say "signals that are not handed on"
berth run --rm --sig-proxy=false --timeout 5 --network none $IMAGE sh -c 'trap "echo got it" USR1; echo up; sleep 100000 & wait; wait' >"$tmp/sig" 2>&1 &
pid=$!
wait_for 30 grep -q up "$tmp/sig"
kill -USR1 "$pid"
code=0
wait "$pid" || code=$?
assert_eq "the time limit" "$code" 137
assert_eq "what it said" "$(cat "$tmp/sig")" up
rm "$tmp/sig"
[ "$rows" -gt 5 ] || die "only $rows rows were run: the table is not read"
say "$rows rows"
berth rm -f e2e-peer >/dev/null
systemctl stop e2e.slice
assert_eq "rows that are wrong" "$failures" 0
leak_check
