# hosts: nspawn vm
# timeout: 6m
# exec: a command in a running container, in its namespaces and its cgroup, with both runtimes, as root and as a user.
. "$BERTH_E2E/berth.sh"

load_image
load_user_image
warm_up_prompt
leak_snapshot

printf '[engine]\nruntime="runc"\n' >"$tmp/runc.conf"
printf '[engine]\nruntime="crun"\n' >"$tmp/crun.conf"

# one_process MAIN-PID: exec -d has one process; a second one is the shell that is about to become sleep.
one_process() {
	pgrep -f 'dev/shm/pid' --ns "$1" --nslist pid >"$tmp/pids"
	[ "$(wc -l <"$tmp/pids")" = 1 ]
}

# in_its_place MAIN-PID: what exec runs is in the namespaces and the cgroup of the main process.
in_its_place() {
	local place
	"${as[@]}" berth exec -d e2e-exec sh -c 'echo $$ >/dev/shm/pid; trap "exit 0" TERM; sleep 100000 & wait $!' >/dev/null
	wait_for 20 "${as[@]}" berth exec e2e-exec test -s /dev/shm/pid
	place=$(grep ^0:: "/proc/$1/cgroup")
	assert_match "cgroup of PID 1" "$place" '/container-[0-9a-f]{64}$'
	wait_for 20 one_process "$1"
	assert_eq "cgroup" "$(grep ^0:: "/proc/$(cat "$tmp/pids")/cgroup")" "$place"
	for ns in cgroup ipc mnt net pid user uts; do
		assert_eq "$ns namespace" "$(readlink "/proc/$(cat "$tmp/pids")/ns/$ns")" "$(readlink "/proc/$1/ns/$ns")"
	done
}

statuses() {
	assert_eq "status" "$(exit_code "${as[@]}" berth exec e2e-exec sh -c 'exit 7')" 7
	assert_eq "status of a signal" "$(exit_code "${as[@]}" berth exec e2e-exec sh -c 'kill -9 $$')" 137
	assert_eq "no such command" "$(exit_code "${as[@]}" berth exec e2e-exec no-such)" 127
	assert_eq "no such file" "$(exit_code "${as[@]}" berth exec e2e-exec /no/such)" 127
	assert_eq "a directory" "$(exit_code "${as[@]}" berth exec e2e-exec /etc)" 126
	assert_eq "not executable" "$(exit_code "${as[@]}" berth exec e2e-exec /etc/passwd)" 126
	assert_eq "no such user" "$(exit_code "${as[@]}" berth exec -u nobody-knows e2e-exec true)" 255
	assert_eq "no such container" "$(exit_code "${as[@]}" berth exec e2e-none true)" 125
}

options() {
	printf 'B=file\nA=file\n' >"$tmp/env"
	assert_eq "variables" "$("${as[@]}" berth exec --env-file "$tmp/env" -e A=2 e2e-exec sh -c 'echo $A $B $C')" "2 file main"
	assert_eq "directory" "$("${as[@]}" berth exec -w /tmp e2e-exec pwd)" /tmp
	assert_eq "user" "$("${as[@]}" berth exec -u 12:34 e2e-exec sh -c 'echo $(id -u) $(id -g)')" "12 34"
	assert_eq "standard input" "$(echo hello | "${as[@]}" berth exec -i e2e-exec cat)" hello
	assert_eq "no standard input" "$(echo hello | "${as[@]}" berth exec e2e-exec cat)" ""
	assert_eq "standard error" "$("${as[@]}" berth exec e2e-exec sh -c 'echo err >&2' 2>&1 >/dev/null)" err
	assert_eq "capabilities" "$("${as[@]}" berth exec e2e-exec grep CapEff /proc/self/status | cut -f 2)" 00000000800405fb
	if grep -q '^CapBnd:.*1ffffffffff$' /proc/self/status; then
		assert_match "all capabilities" "$("${as[@]}" berth exec --privileged e2e-exec grep CapEff /proc/self/status)" 1ffffffffff
	fi
	assert_eq "filter" "$("${as[@]}" berth exec e2e-exec grep ^Seccomp: /proc/self/status | cut -f 2)" 2
	assert_eq "files handed on" "$("${as[@]}" berth exec --preserve-fds 1 e2e-exec head -n 1 /proc/self/fd/3 3<"$tmp/env")" "B=file"
}

# life RUNTIME runs all of this for root or, with "as" set, for the user.
life() {
	"${as[@]}" env CONTAINERS_CONF="$tmp/$1.conf" berth run -d --rm --name e2e-exec -e C=main --network none $IMAGE sh -c "$IDLE" >/dev/null
	pid=$("${as[@]}" berth inspect e2e-exec | grep -o '"Pid": [0-9]*' | cut -d' ' -f 2)
	[ "$1" = crun ] || compgen -G "/run/$2/runtime/*/state.json" >/dev/null || die "runc did not make the container"
	in_its_place "$pid"
	statuses
	[ "$BERTH_HOST" = vm ] && [ "$1" = runc ] || options
	assert_eq "terminal" "$("${as[@]}" berth exec -t -e TERM=dumb e2e-exec sh -c 'tty -s && echo $TERM; exit 3' || echo $?)" $'dumb\r\n3'
	assert_match "by the unit's name" "$("${as[@]}" berth exec e2e-exec.service hostname)" .
	"${as[@]}" berth rm -f e2e-exec >/dev/null
	assert_eq "not running any more" "$(exit_code "${as[@]}" berth exec e2e-exec true)" 125
}

for runtime in crun runc; do
	say "root, $runtime"
	as=()
	life $runtime berth
	say "user, $runtime"
	as=(as_tester)
	life $runtime user/1000/berth
done

say "a signal to exec reaches the command"
berth run -d --rm --name e2e-exec --network none $IMAGE sh -c "$IDLE" >/dev/null
berth exec e2e-exec sh -c 'trap "exit 9" TERM; echo ready; sleep 100000 & wait $!' >"$tmp/out" &
exec_pid=$!
wait_for 20 grep -q ready "$tmp/out"
kill "$exec_pid"
code=0
wait "$exec_pid" || code=$?
assert_eq "status" "$code" 9

say "a file of the caller's stays his own, one that is read cannot be written to, and one that is written not be emptied"
echo 'cat; echo no >/proc/self/fd/0; echo' >"$tmp/script"
cp "$tmp/script" "$tmp/before"
berth exec -i -u 1000 e2e-exec sh <"$tmp/script" >"$tmp/out" 2>&1 || true
berth exec -i e2e-exec sh <"$tmp/script" >/dev/null 2>&1 || true
cmp "$tmp/script" "$tmp/before"
echo before >"$tmp/out"
berth exec -u 1000 e2e-exec sh -c 'echo a; echo b >/dev/stderr; : >/proc/self/fd/1; echo c' >>"$tmp/out" 2>&1
assert_eq "what is written" "$(paste -sd, "$tmp/out")" before,a,b,c
assert_eq "owners" "$(stat -c %u "$tmp/script" "$tmp/out" /dev/null | xargs)" "0 0 0"
rm "$tmp/script" "$tmp/before" "$tmp/out"

say "exec of a container that stops ends with it"
berth exec e2e-exec sh -c 'echo ready; exec sleep 100000' >"$tmp/out" &
exec_pid=$!
wait_for 20 grep -q ready "$tmp/out"
systemctl stop e2e-exec
code=0
wait "$exec_pid" || code=$?
assert_eq "status" "$code" 137

say "nothing is left"
assert_alone
wait_for 20 user_no_scope
rm "$tmp"/{crun.conf,runc.conf,env,out,pids}
leak_check
