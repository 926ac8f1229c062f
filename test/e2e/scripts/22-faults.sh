# hosts: nspawn
# timeout: 6m
# A start and a stop are killed before one change after the other that they make to the machine, and let one change after
# the other fail: nothing is left, and the next start works. `make torture` takes each of them, CI some.
. "$BERTH_E2E/faults.sh"

load_image
warm_up
settled() { ! systemctl list-jobs --no-legend | grep -q e2e22; }
quadlet e2e22.container <<F
[Container]
Image=$IMAGE
PublishPort=18096:80
Volume=e2e22:/data
Exec=sh -c '$IDLE'
[Service]
TimeoutStopSec=20
F
defer berth volume rm e2e22
target start e2e22 ExecStart
target stop e2e22 ExecStop
up() { systemctl start e2e22; }
down() {
	systemctl stop e2e22
	wait_for 60 settled
	systemctl reset-failed e2e22 2>/dev/null || true
}
up && down
journalctl --sync # leaves a file
leak_snapshot
interrupt start 7 7
interrupt stop 3 2

say "the storage library cannot write down what has gone"
plan stop count -v
up
down
journalctl --sync
for n in $(journalctl --no-pager -q -b -o cat -t e2e22 | sed -nE 's/^([0-9]+) berth fchmod$/\1/p'); do
	plan stop fail "$n" ENOSPC
	up
	down
	nothing_left "stop fail $n ENOSPC"
	points=$((points + 1))
done
plan none

say "the next start works"
up
assert_init e2e22 "$(property e2e22 MainPID)"
down
nothing_left "all"
verdict
