# timeout: 8m
# then: poweroff
. "$BERTH_E2E/boot.sh"
if pods_too; then
	by_hand berth
	by_hand as_tester berth
fi
all_run
