# hosts: nspawn
# timeout: 5m
# Rules of containers come back by themselves when a firewall is reloaded, and nobody else's port is opened by that.
. "$BERTH_E2E/berth.sh"

needs nft
[ -e /usr/lib/systemd/system/nftables.service ] || skip "no nftables.service"
load_image
systemctl start nftables
defer systemctl stop nftables berth-firewall
warm_up
leak_snapshot

say "it comes with the firewall's own unit"
assert_eq "the watcher" "$(property berth-firewall ActiveState)" active
berth run -d --rm --name e2e-fw -p 18095:80 $IMAGE sh -c "$SERVE" >/dev/null
berth run -d --rm --name e2e-gone -p 18096:80 $IMAGE sh -c "$SERVE" >/dev/null
defer berth rm -f -i e2e-fw e2e-gone
wait_for 20 curl -fsS --max-time 2 http://127.0.0.1:18095/
wait_for 20 curl -fsS --max-time 2 http://127.0.0.1:18096/
pid=$(property e2e-fw MainPID)
berth rm -f e2e-gone >/dev/null

for how in "nft flush ruleset" "systemctl reload nftables" "systemctl restart nftables"; do
	say "$how"
	$how
	wait_for 20 berth network doctor
	wait_for 5 curl -fsS --max-time 2 http://127.0.0.1:18095/
	must_fail curl -fsS --max-time 2 http://127.0.0.1:18096/ >/dev/null
done
assert_eq "the container" "$(property e2e-fw MainPID)" "$pid"

say "the watcher may be killed"
kill -9 "$(property berth-firewall MainPID)"
systemctl reload nftables
wait_for 20 berth network doctor
berth rm -f e2e-fw >/dev/null
wait_for 20 has_property berth-firewall ActiveState active
leak_check
