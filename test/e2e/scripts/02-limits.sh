# hosts: vm
# Limits are the kernel's: a service over its MemoryMax= is killed, and a service at its TasksMax= starts no more processes.
. "$BERTH_E2E/lib.sh"
needs tester controllers

for controller in cpu cpuset io memory pids; do
	assert_match "controllers of the machine" "$(cat /sys/fs/cgroup/cgroup.controllers)" "\\b$controller\\b"
done
user=$(cat /sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers)
assert_match "controllers of a user" "$user" "memory pids"

say "memory"
code=$(exit_code systemd-run --quiet --wait --unit=e2e-memory --property=MemoryMax=20M --property=MemorySwapMax=0 tail /dev/zero)
[ "$code" != 0 ] || die "a process took more memory than its limit"
assert_eq "result" "$(property e2e-memory Result)" oom-kill
systemctl reset-failed e2e-memory

say "processes"
must_fail systemd-run --quiet --wait --pipe --property=TasksMax=3 bash -c 'for i in 1 2 3 4; do sleep 100 & done'
