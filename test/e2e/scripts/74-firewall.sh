# hosts: nspawn
# torture-hosts: vm
# timeout: 15m
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

say "again and again, and what is closed is never open"
# connects PORT tries to connect; the shell does so itself, without any other program.
connects() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
connects 18095 || die "the control: a port that is open cannot be reached"
(while :; do ! connects 18096 || echo open; done) >"$tmp/open" &
prober=$!
defer eval "kill $prober 2>/dev/null"
for ((i = $(rounds 8 200); i > 0; i--)); do
	begin=$EPOCHREALTIME
	if ((i % 4)); then nft flush ruleset; else systemctl reload nftables; fi
	wait_for 20 connects 18095
	took "$begin"
done >"$tmp/took"
kill $prober
longest "the port is back" 20000 <"$tmp/took"
assert_eq "the port of the container that is gone" "$(cat "$tmp/open")" ""
rm "$tmp/open" "$tmp/took"
berth network doctor >/dev/null
assert_eq "the container" "$(property e2e-fw MainPID)" "$pid"

say "firewalld lets nothing through from a subnet that is in none of its zones"
nft -f - <<F
table inet firewalld {
	chain filter_FWD_trusted { }
	chain filter_FORWARD { ip saddr 10.88.0.0/16 jump filter_FWD_trusted; }
}
F
berth network doctor | grep -q 'zone of 10.88.0.0/16 in firewalld *present' || die "a zone that is there is not seen"
nft flush chain inet firewalld filter_FORWARD
assert_match "after its restart" "$(must_fail berth network doctor)" 'zone of 10.88.0.0/16 in firewalld *missing'
nft delete table inet firewalld
wait_for 20 berth network doctor

say "the watcher may be killed"
kill -9 "$(property berth-firewall MainPID)"
systemctl reload nftables
wait_for 20 berth network doctor
berth rm -f e2e-fw >/dev/null
wait_for 20 has_property berth-firewall ActiveState active
leak_check
