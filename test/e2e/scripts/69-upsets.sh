# hosts: nspawn
# machine: fresh
# timeout: 5m
# What happens to a machine besides containers: the journal stops, a user's manager crashes or is stopped for good, berth is replaced or put back
# by an older one. Containers go on or end as a service would, and nothing is left behind.
. "$BERTH_E2E/berth.sh"

needs tester
load_image
load_user_image
warm_up
warm_up_user
leak_snapshot

COUNT='trap "exit 0" TERM; i=0; while :; do i=$((i+1)); echo line $i; echo $i >/d/n.new; mv /d/n.new /d/n; [ $i -lt 200 ] || sleep 0.1; done'
mkdir -p "$tmp/d" "$tmp/u"
chmod 777 "$tmp/u"
# counts FILE…: the container that writes the number there goes on.
counts() {
	local before
	before=$(cat "$1" 2>/dev/null || echo 0)
	wait_for 20 eval "[ \"\$(cat $1 2>/dev/null || echo 0)\" -gt $before ]"
}

say "the journal stops and comes back"
quadlet e2e-counter.container <<F
[Container]
Image=$IMAGE
Network=none
Volume=$tmp/d:/d
Exec=sh -c '${COUNT//\$/\$\$}'
F
systemctl start e2e-counter
pid=$(property e2e-counter MainPID)
wait_journal 20 'line 200' -u e2e-counter
systemctl stop systemd-journald.socket systemd-journald-dev-log.socket systemd-journald-audit.socket systemd-journald 2>/dev/null || true
wait_for 20 eval '! systemctl is-active --quiet systemd-journald'
counts "$tmp/d/n"
berth run --rm --network none $IMAGE true
systemctl start systemd-journald.socket systemd-journald-dev-log.socket systemd-journald
last=$(cat "$tmp/d/n")
wait_journal 30 "line $((last + 5))" -u e2e-counter
assert_eq "the same process" "$(property e2e-counter MainPID)" "$pid"

say "berth is replaced while a container runs"
program=$(command -v berth)
cp -p "$program" "$tmp/berth.new"
printf '\n' >>"$tmp/berth.new"
mv "$program" "$tmp/berth.old"
must_fail berth version >/dev/null
counts "$tmp/d/n"
mv "$tmp/berth.new" "$program"
systemctl restart e2e-counter
[ "$(property e2e-counter MainPID)" != "$pid" ] || die "it was not started anew"
mv "$tmp/berth.old" "$program"

say "what a newer berth has written is refused, and left as it is"
state=$(echo /run/berth/*/state.json)
jq -c '.version = 99' "$state" >"$tmp/newer"
cat "$tmp/newer" >"$state.new" && cp "$state" "$tmp/state" && mv "$state.new" "$state"
for words in "inspect systemd-e2e-counter" "exec systemd-e2e-counter true" "stop systemd-e2e-counter"; do
	assert_match "$words" "$(must_fail berth $words)" 'version 99'
done
cmp "$tmp/newer" "$state" || die "a newer state file was rewritten"
cp "$tmp/state" "$state"
systemctl stop e2e-counter

say "a user's manager crashes, and is stopped for good"
user_quadlet e2e-user.container <<F
[Container]
Image=$IMAGE
Volume=$tmp/u:/d
Exec=sh -c '${COUNT//\$/\$\$}'
[Install]
WantedBy=default.target
F
as_tester systemctl --user start e2e-user
counts "$tmp/u/n"
inside=$(user_property e2e-user MainPID)
kill -SEGV "$(property user@1000 MainPID)"
wait_for 30 eval '! systemctl is-active --quiet user@1000'
wait_for 30 eval "! [ -e /proc/$inside ]"
wait_for 30 eval '! pgrep -u tester -l' # not active is it also while what is left is being killed
systemctl reset-failed user@1000
systemctl start user@1000
wait_for 30 eval 'user_has_property e2e-user ActiveState active'
counts "$tmp/u/n"
systemctl stop user@1000
assert_eq "left of the user's" "$(pgrep -u tester -l || true)" ""
rm -f /home/tester/.config/containers/systemd/e2e-user.container
systemctl start user@1000
as_tester systemctl --user start berth-keeper.service podman-user-wait-network-online.service
assert_eq "known containers" "$(as_tester berth ps -aq)" ""

rm -r "$tmp"/{d,u,newer,state} /etc/containers/systemd/e2e-counter.container
systemctl daemon-reload
wait_for 20 no_scope
leak_check
