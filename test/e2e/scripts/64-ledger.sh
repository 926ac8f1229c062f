# hosts: nspawn
# timeout: 6m
# A container writes numbered records into its volume and says so, while berth, the keeper, the runtime and the container
# itself are killed at random, in the middle of starts and stops: no record is lost or written twice, each that was told of
# is there, and nothing else is left. `make torture` kills 200 times, CI some.
. "$BERTH_E2E/berth.sh"

load_image
warm_up
rounds=$(rounds 12 200)
seed=${BERTH_SEED:-$$}
RANDOM=$seed
say "$rounds kills, seed $seed (BERTH_SEED)"

quadlet e2e-ledger.container <<F
[Container]
Image=$IMAGE
Network=none
Volume=e2e-ledger:/l
Exec=sh -c 'trap "exit 0" TERM; touch /l/log; n=\$\$(tail -n 1 /l/log); echo begin; while :; do n=\$\$((n+1)); echo \$\$n >>/l/log && echo "wrote \$\$n"; usleep 20000; done'
StopTimeout=5
[Service]
Restart=always
RestartSec=0
LogRateLimitIntervalSec=0
[Unit]
StartLimitIntervalSec=0
F
systemctl start e2e-ledger
log=$(berth volume mount e2e-ledger)/log
systemctl stop e2e-ledger
allow_storage
leak_snapshot
has() { [ "$(wc -l <"$log")" -gt "$1" ]; }
growing() { wait_for 60 has "$(wc -l <"$log")"; }
killed=0
# hit PROGRAM… kills what runs of it; that nothing does is no error, the moment may be another one.
hit() {
	local pids
	pids=$(pgrep -x "$1" || true)
	[ -z "$pids" ] || { kill -KILL $pids 2>/dev/null && killed=$((killed + 1)); } || true
}
for ((i = 0; i < rounds; i++)); do
	systemctl --no-block start e2e-ledger
	[ $((i % 3)) != 0 ] || growing
	job=$((RANDOM % 3))
	[ $job != 0 ] || systemctl --no-block restart e2e-ledger
	[ $job != 1 ] || systemctl --no-block stop e2e-ledger
	sleep "0.$(printf %03d $((RANDOM % 400)))" # the moment of the kill, not a wait for anything
	case $((i % 4)) in
	0) hit berth-keeper ;;
	1) hit berth ;;
	2) hit crun ;;
	3)
		pid=$(property e2e-ledger MainPID)
		[ "$pid" = 0 ] || { kill -KILL "$pid" 2>/dev/null && killed=$((killed + 1)); } || true
		;;
	esac
done
say "$killed of $rounds kills hit"
[ "$killed" -ge $((rounds / 4)) ] || die "only $killed kills hit anything"

say "it goes on, and all is there"
systemctl reset-failed e2e-ledger 2>/dev/null || true
systemctl start e2e-ledger
growing
systemctl stop e2e-ledger
assert_eq "the first record out of order" "$(awk '$0 != NR { print NR ": " $0; exit }' "$log")" ""
last=$(wc -l <"$log")
wait_journal 60 "^wrote $last\$" -t e2e-ledger
told=$(journalctl --no-pager -q -b -o cat -t e2e-ledger | sed -n 's/^wrote //p')
[ "$(wc -l <<<"$told")" -gt $((last / 2)) ] || die "only $(wc -l <<<"$told") of $last records were told of"
assert_eq "the first that was told of twice, or out of order" "$(awk '$0 <= last { print last " " $0; exit } { last = $0 }' <<<"$told")" ""
[ "$(tail -n 1 <<<"$told")" -le "$last" ] || die "record $(tail -n 1 <<<"$told") was told of, the last one is $last"
# The controls: a record that is lost or comes twice would be seen.
assert_match "a lost record" "$(sed 2d "$log" | awk '$0 != NR { print NR ": " $0; exit }')" '^2: 3'
assert_match "a record twice" "$(sed 2p "$log" | awk '$0 != NR { print NR ": " $0; exit }')" '^3: 2'
say "$last records"
leak_check_allowed 60
rm -f /etc/containers/systemd/e2e-ledger.container
systemctl daemon-reload
berth volume rm e2e-ledger >/dev/null
tally $killed 0 0
