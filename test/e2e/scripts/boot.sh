# What the parts of 20-boot look for after a boot.
. "$BERTH_E2E/berth.sh"

# It was a boot, and what was synced before it is there.
test ! -e /run/e2e-volatile
test -e /var/lib/e2e-synced
touch /run/e2e-volatile

running() { systemctl status "$1"; }
user_running() { as_tester systemctl --user status "$1"; }

all_run() {
	wait_for 120 running e2e-boot
	wait_for 120 running e2e-none
	wait_for 120 running e2e-svc
	wait_for 120 user_running e2e-user
	assert_init e2e-boot "$(property e2e-boot MainPID)"
	assert_init e2e-none "$(property e2e-none MainPID)"
	assert_init e2e-svc "$(property e2e-svc MainPID)"
	assert_init e2e-user "$(user_property e2e-user MainPID)"
	service_user
	wait_for 30 curl -fsS http://127.0.0.1:18090/
	wait_for 30 curl -fsS http://127.0.0.1:18091/
	assert_eq "sessions of people" "$(loginctl list-sessions --no-legend | grep -v -c manager || true)" 0
	assert_alone
	# What an earlier boot had must not pile up: one layer per running container.
	assert_eq "root's containers" "$(berth ps -a -q | wc -l)" 2
	assert_eq "root's writable layers" "$(layers /var/lib/containers/storage)" 2
	local user=/home/tester/.local/share/containers/storage
	[ "$(layers $user)" = 1 ] || tail -n +1 $user/overlay-*/volatile-*.json <(ls -l --time-sort $user/overlay; as_tester berth ps -a; uptime; date) || true
	assert_eq "tester's writable layers" "$(layers $user)" 1
}

# service_user: the container of a unit with User= is that user's, who has no manager; systemd's limits hold for it, and the system's
# journal has its lines.
service_user() {
	local pid
	pid=$(property e2e-svc MainPID)
	assert_match "user of e2e-svc" "$(grep ^Uid: "/proc/$pid/status")" "[[:space:]]$(id -u svc)[[:space:]]"
	assert_eq "managers of svc" "$(systemctl is-active "user@$(id -u svc).service" || true)" inactive
	wait_journal 30 '^idle$' _SYSTEMD_UNIT=e2e-svc.service
	assert_match "svc's containers" "$(as_svc berth ps)" 'systemd-e2e-svc$'
	if grep -q memory /sys/fs/cgroup/cgroup.controllers; then
		assert_eq "limit of e2e-svc" "$(cat /sys/fs/cgroup/system.slice/e2e-svc.service/memory.max)" $((64 << 20))
	fi
}

# by_hand LIKE-BERTH… checks a pod that was made by hand in an earlier boot, and removes it.
by_hand() {
	assert_match "after a boot" "$("$@" pod ps --filter label=kept=yes)" 'e2e-hand +Exited .* 2$'
	assert_match "its container" "$("$@" ps -a --filter name=e2e-main)" 'Exited'
	assert_match "its name" "$(must_fail "$@" pod create e2e-hand)" 'name is in use'
	"$@" pod start e2e-hand >/dev/null
	assert_match "started" "$("$@" pod ps)" 'e2e-hand +Running'
	assert_eq "its files" "$("$@" exec e2e-main cat /file)" before
	assert_eq "whose they are" "$("$@" exec e2e-main stat -c %u:%g /file)" 0:0
	"$@" pod rm -f e2e-hand >/dev/null
}

# layers STORE counts the layers that belong to no image: those have a work directory in use.
layers() { find "$1"/overlay/*/work -mindepth 1 -maxdepth 1 -name work | wc -l; }
