# timeout: 8m
# then: poweroff
. "$BERTH_E2E/boot.sh"
all_run
