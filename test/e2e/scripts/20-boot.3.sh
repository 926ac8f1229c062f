# timeout: 8m
. "$BERTH_E2E/boot.sh"
all_run
