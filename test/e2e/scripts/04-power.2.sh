# then: poweroff
. "$BERTH_E2E/lib.sh"

assert_eq "boots" "$(wc -l </var/lib/e2e-boots)" 1
test ! -e /run/e2e-volatile
touch /run/e2e-volatile /var/lib/e2e-synced
sync /var/lib/e2e-synced
