. "$BERTH_E2E/lib.sh"

assert_eq "boots" "$(wc -l </var/lib/e2e-boots)" 2
test ! -e /run/e2e-volatile
test -e /var/lib/e2e-synced
assert_eq "system manager" "$(systemctl is-system-running)" running
