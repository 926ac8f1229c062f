# hosts: nspawn
# How much of the machine the units could reach that berth brings, by systemd's own measure, is bounded.
. "$BERTH_E2E/berth.sh"

quadlet e2e66.container <<F
[Container]
Image=$IMAGE
F
# exposed UNIT TENTHS: the unit's exposure is not above so many tenths.
exposed() { systemd-analyze security --no-pager --threshold="$2" "$1" >"$tmp/exposure"; }
for bound in berth-keeper.service:94 berth-auto-update.service:66 e2e66.service:98; do
	exposed "${bound%:*}" "${bound#*:}" || die "${bound%:*}: $(tail -n 1 "$tmp/exposure"), bound ${bound#*:} tenths"
	say "${bound%:*}: $(tail -n 1 "$tmp/exposure")"
done
# The control: without what restricts it the unit is over its bound.
mkdir -p /run/systemd/system/berth-auto-update.service.d
ln -s /dev/null /run/systemd/system/berth-auto-update.service.d/10-restrict.conf
defer systemctl daemon-reload
defer rm -r /run/systemd/system/berth-auto-update.service.d
systemctl daemon-reload
assert_eq "control" "$(exit_code exposed berth-auto-update.service 66)" 1
