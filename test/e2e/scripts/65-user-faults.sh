# hosts: nspawn
# timeout: 8m
# As 22-faults, for a user's containers: with pasta, and on a bridge of berth-net. They are killed, and get errors, at the
# changes that they make to the machine: nothing is left, and the next start works. `make torture` takes each change, CI some.
. "$BERTH_E2E/faults.sh"

load_user_image
warm_up_user
as_tester berth run --rm --network pasta $IMAGE true
as_tester berth run --rm --network bridge $IMAGE true
as_tester systemctl --user stop berth-net
settled() { ! as_tester systemctl --user list-jobs --no-legend | grep -q e2e65; }
user_down() {
	as_tester systemctl --user stop "$@"
	wait_for 60 settled
	as_tester systemctl --user reset-failed "$1" 2>/dev/null || true
}

say "pasta"
user_quadlet e2e65-pasta.container <<F
[Container]
Image=$IMAGE
Network=pasta
PublishPort=127.0.0.1:18065:80
Exec=sh -c '$IDLE'
F
user_target pasta-start e2e65-pasta ExecStart
user_target pasta-stop e2e65-pasta ExecStop
up() { as_tester systemctl --user start e2e65-pasta; }
down() { user_down e2e65-pasta; }
up && down
leak_snapshot
interrupt pasta-start 2 1
interrupt pasta-stop 1 0

say "a bridge"
user_quadlet e2e65-bridge.container <<F
[Container]
Image=$IMAGE
Network=bridge
PublishPort=18067:80
Exec=sh -c '$IDLE'
F
user_target bridge-start e2e65-bridge ExecStart
user_target bridge-stop e2e65-bridge ExecStop
up() { as_tester systemctl --user start e2e65-bridge; }
down() { user_down e2e65-bridge berth-net; }
up && down
leak_snapshot
interrupt bridge-start 2 1
interrupt bridge-stop 1 0

say "the next start works"
as_tester systemctl --user start e2e65-pasta e2e65-bridge
as_tester systemctl --user stop e2e65-pasta e2e65-bridge berth-net
nothing_left "all"
verdict
