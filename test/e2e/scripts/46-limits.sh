# hosts: nspawn
# timeout: 5m
# What containers do and use, and how much they may: top, stats, update, port. As root and as a user.
. "$BERTH_E2E/berth.sh"

load_image
load_user_image
warm_up
as_tester berth run --rm --network none $IMAGE true
wait_for 20 user_no_scope
leak_snapshot

IDLE='trap "exit 0" TERM; sleep 100000 & wait $!'
b() { "${as[@]}" berth "$@"; }
ctl() { "${as[@]}" systemctl $manager "$@"; }
sleeping() { b top e2e-u args | grep -q '^sleep'; } # the shell has come to its program

works() {
	b run -d --name e2e-u --network none --user 7:8 $IMAGE sh -c "$IDLE" >/dev/null
	wait_for 60 sleeping

	say "top: ${as[*]:-root}"
	b top e2e-u >"$tmp/top"
	assert_match "headings" "$(head -n 1 "$tmp/top")" '^USER +PID +PPID +%CPU +ELAPSED +TTY +TIME +COMMAND$'
	assert_match "PID 1" "$(cat "$tmp/top")" '^7 +1 +0 .* sh -c trap'
	assert_match "its child" "$(b top -l pid ppid,args comm)" '^[0-9]+ +1 +sleep 100000 +(sleep|busybox)$'
	assert_eq "seen from the host" "$(b top e2e-u hpid | sed -n 2p)" "$(ctl show -P MainPID e2e-u)"
	assert_match "rights" "$(b top e2e-u user,group,capeff,capbnd,seccomp,state | sed -n 2p)" '^7 +8 +none +.*CHOWN.* filter +S$'
	assert_match "words of ps" "$(b top e2e-u -o pid,comm)" 'PID +COMMAND'
	b run -d --rm --name e2e-n --network none --entrypoint '["/bin/sleep","1000"]' $IMAGE >/dev/null
	assert_eq "words that are nothing" "$(exit_code b top e2e-n --no-such-option) $(exit_code b top e2e-n pid,nosuchcolumn)" "125 125"
	assert_eq "no container" "$(exit_code b top e2e-none)" 125

	say "stats: ${as[*]:-root}"
	b stats --no-stream >"$tmp/stats"
	assert_match "headings" "$(head -n 1 "$tmp/stats")" '^ID +NAME +CPU % +MEM USAGE / LIMIT +MEM % +NET IO +BLOCK IO +PIDS +CPU TIME +AVG CPU %$'
	assert_eq "whose" "$(tail -n +2 "$tmp/stats" | awk '{print $2}' | sort | xargs)" "e2e-n e2e-u"
	b stats --no-stream --format json e2e-u >"$tmp/stats"
	assert_eq "as JSON" "$(jq -r '.[0] | [.name, .pids, .net_io] | join(" ")' "$tmp/stats")" "e2e-u 2 0B / 0B"
	assert_match "processor time" "$(b stats --no-stream --no-trunc --format '{{.ID}} {{.CPUPerc}} {{.UpTime}}' e2e-u)" '^[0-9a-f]{64} [0-9.]+% [0-9.]+m?s$'
	assert_eq "of the one that was made last" "$(b stats --no-stream --format '{{.Name}}' -l)" e2e-n
	# Again and again; and the second look shows what was used since the first.
	timeout 30 "${program[@]}" stats --no-reset -i 1 --format '{{.Name}}' e2e-u | head -n 2 >"$tmp/stream" || true
	assert_eq "a stream" "$(xargs <"$tmp/stream")" "e2e-u e2e-u"
	b rm -f -t 0 e2e-n >/dev/null
	b create --name e2e-c --network none $IMAGE true >/dev/null
	assert_eq "those that do not run" "$(b stats -a --no-stream --format '{{.Name}} {{.PIDS}}' | sort | xargs)" "e2e-c 0 e2e-u 2"
	assert_eq "one that does not run" "$(b stats --no-stream --format '{{.Name}} {{.MemUsage}}' e2e-c)" "e2e-c 0B / 0B"
	assert_eq "init" "$(b init -a)" e2e-c
	assert_eq "its state then" "$(b ps -a --filter status=initialized --format '{{.Names}} {{.State}} {{.Status}}') $(b inspect -f '{{.State.Status}}' e2e-c)" "e2e-c initialized Initialized initialized"
	assert_eq "init of one that runs" "$(exit_code b init e2e-u)" 125

	say "update: ${as[*]:-root}"
	assert_match "nothing" "$(must_fail b update e2e-u)" 'nothing is to be changed'
	assert_match "nonsense" "$(must_fail b update --memory lots e2e-u)" 'memory'
	group=/sys/fs/cgroup$(b inspect -f '{{.State.CgroupPath}}' e2e-u)
	if grep -qw memory "$group/cgroup.controllers" 2>/dev/null; then
		b update --memory 64m --pids-limit 50 --cpus 0.5 --cpu-shares 512 e2e-u >/dev/null
		assert_eq "in the cgroup" "$(cd "$group" && cat memory.max pids.max cpu.max | xargs)" "67108864 50 50000 100000"
		assert_eq "what systemd knows" "$(ctl show -P MemoryMax e2e-u) $(ctl show -P TasksMax e2e-u) $(ctl show -P CPUQuotaPerSecUSec e2e-u)" "$((96 << 20)) 114 500ms"
		assert_match "the limit" "$(b stats --no-stream --format '{{.MemUsage}}' e2e-u)" '/ 67.11MB$'
		b update --pids-limit -1 e2e-u >/dev/null
		assert_eq "none any more" "$(cat "$group/pids.max") $(ctl show -P TasksMax e2e-u)" "max infinity"
		b restart e2e-u >/dev/null
		assert_eq "kept" "$(cat "$group/memory.max")" 67108864
	else
		assert_match "without the controller" "$(must_fail b update --memory 64m e2e-u)" 'was not given the memory controller'
		assert_eq "nothing was changed" "$(ctl show -P MemoryMax e2e-u)" infinity
		# The kernel has nothing to give here. What is written where is seen all the same, with files that stand in for its own.
		mount -t tmpfs -o "uid=$("${as[@]}" id -u),mode=755" fake "$group"
		defer sh -c "! mountpoint -q $group || umount $group"
		"${as[@]}" touch "$group/"{memory.max,memory.swap.max,pids.max,cpu.max,cpu.weight}
		b update --memory 64m --pids-limit 50 --cpus 0.5 --cpu-shares 512 e2e-u >/dev/null
		assert_eq "in the cgroup" "$(cd "$group" && head -n 1 memory.max pids.max cpu.max | grep '^[0-9]' | xargs)" "67108864 50 50000 100000"
		assert_eq "what systemd knows" "$(ctl show -P MemoryMax e2e-u) $(ctl show -P TasksMax e2e-u) $(ctl show -P CPUQuotaPerSecUSec e2e-u)" "$((96 << 20)) 114 500ms"
		b update --pids-limit -1 --memory 0 --cpus 0 --cpu-shares 0 e2e-u >/dev/null
		assert_eq "none any more" "$(cat "$group/pids.max") $(ctl show -P TasksMax e2e-u) $(ctl show -P MemoryMax e2e-u)" "max infinity infinity"
		umount "$group"
	fi
	assert_match "what counts later" "$(b update --restart on-failure --health-retries 4 e2e-u 2>&1)" 'next start'
	b stop -t 0 e2e-u >/dev/null
	b start e2e-u >/dev/null
	assert_eq "the policy" "$(ctl show -P Restart e2e-u)" on-failure
	b rm -f -t 0 e2e-u e2e-c >/dev/null
}

as=() program=(berth) manager=
works
as=(as_tester) program=(runuser -u tester -- env XDG_RUNTIME_DIR=/run/user/1000 HOME=/home/tester berth) manager=--user
works

say "port"
as=() manager=
b run -d --rm --name e2e-p -p 127.0.0.1:8085:80 -p 8086:53/udp $IMAGE sh -c "$IDLE" >/dev/null
assert_eq "all of its ports" "$(b port e2e-p | sort | xargs -d'\n')" "53/udp -> 0.0.0.0:8086 80/tcp -> 127.0.0.1:8085"
assert_eq "one" "$(b port e2e-p 80)" 127.0.0.1:8085
assert_eq "one of udp" "$(b port -l 53/udp)" 0.0.0.0:8086
assert_eq "one that is not there" "$(exit_code b port e2e-p 81)" 125
assert_match "of all" "$(b port -a)" '^[0-9a-f]{12}	80/tcp -> 127.0.0.1:8085$'
b rm -f -t 0 e2e-p >/dev/null

find "$tmp" -mindepth 1 ! -name leak.json ! -name wait_for -delete
leak_check
