# hosts: nspawn vm
# The machine itself: systemd has booted without a failure, for the system and for a lingering user, and there is a network.
. "$BERTH_E2E/lib.sh"
needs tester outside

assert_eq "system manager" "$(systemctl is-system-running)" running
assert_eq "tester's manager" "$(as_tester systemctl --user is-system-running --wait)" running
assert_eq "PID 1" "$(cat /proc/1/comm)" systemd
assert_match "cgroup v2" "$(stat -f -c %T /sys/fs/cgroup)" cgroup2fs
assert_eq "Podman's system generator" "$(readlink /etc/systemd/system-generators/podman-system-generator)" /dev/null

say "the neighbour reaches this machine, and the other way round"
ping -q -c 1 -W 5 192.0.2.1
from_outside ping -q -c 1 -W 5 192.0.2.2

say "the journal takes lines of the system and of the user"
systemd-run --quiet --wait --unit=e2e-journal echo line-of-the-system
wait_journal 10 line-of-the-system -u e2e-journal
as_tester systemd-run --user --quiet --wait --unit=e2e-journal echo line-of-the-user
user_line() { as_tester journalctl --user -u e2e-journal --no-pager | grep line-of-the-user; }
wait_for 10 user_line

say "systemd sees exit codes and signals"
systemd-run --quiet --unit=e2e-exit sh -c "exit 7"
wait_for 10 has_property e2e-exit ActiveState failed
assert_eq "exit code" "$(property e2e-exit ExecMainStatus)" 7
systemctl reset-failed e2e-exit
