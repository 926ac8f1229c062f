# hosts: nspawn vm
# The comparison that tests rely on: an unchanged machine is clean, and something left behind is named.
. "$BERTH_E2E/lib.sh"

leak_snapshot
leak_check

leak_found() { (leak_check) 2>&1 && return 1 || return 0; }

ip link add e2e-leak type bridge
defer ip link delete e2e-leak
assert_match "a network device" "$(leak_found)" e2e-leak
