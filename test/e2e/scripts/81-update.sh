# hosts: nspawn
# timeout: 8m
# auto-update takes a new image, goes back from a bad one and leaves it alone then; pin holds on to a digest.
. "$BERTH_E2E/berth.sh"

REPO=127.0.0.1:15081/app
cat >"$tmp/registry.yml" <<F
version: 0.1
storage: {filesystem: {rootdirectory: $tmp/registry}}
http: {addr: 127.0.0.1:15081}
F
systemd-run --quiet --unit=e2e-registry81 --service-type=exec docker-registry serve "$tmp/registry.yml"
defer systemctl stop e2e-registry81
mkdir -p /etc/containers/registries.conf.d
printf '[[registry]]\nlocation = "127.0.0.1:15081"\ninsecure = true\n' >/etc/containers/registries.conf.d/e2e81.conf
defer rm /etc/containers/registries.conf.d/e2e81.conf
mkdir -p "$tmp/root/bin"
cp "$(command -v busybox)" "$tmp/root/bin/busybox"
ln -s busybox "$tmp/root/bin/sh"
tar -C "$tmp/root" -cf "$tmp/root.tar" .
wait_for 30 curl -fsS http://127.0.0.1:15081/v2/

# publish VERSION COMMAND makes an image and moves the tag in the registry to it.
publish() {
	berth import -q --change "LABEL v=$1" --change "CMD $2" "$tmp/root.tar" localhost/e2e81:"$1" >/dev/null
	berth push -q localhost/e2e81:"$1" $REPO:1
	berth rmi -f localhost/e2e81:"$1" >/dev/null
}
GOOD='["/bin/busybox","sh","-c","trap \"exit 0\" TERM; busybox sleep 100000 & wait"]'

publish one "$GOOD"
quadlet e2e81.container <<F
[Unit]
StartLimitIntervalSec=1h
StartLimitBurst=3
[Container]
Image=$REPO:1
Network=none
AutoUpdate=registry
[Service]
Restart=always
RestartSec=10ms
F
systemctl start e2e81
defer berth rmi -fa
defer systemctl stop e2e81
runs() { berth image inspect --format '{{index .Labels "v"}}' "$(berth ps --format json | jq -r '.[] | select(.Names[0] == "systemd-e2e81") | .ImageID')"; }
again() { systemctl reset-failed e2e81 && systemctl restart e2e81; }
updated() { berth auto-update "$@" --format '{{.Updated}}' 2>"$tmp/update.err" || true; }
assert_eq "at first" "$(runs)" one
assert_eq "nothing new" "$(updated)" false

say "a new image"
publish two "$GOOD"
assert_eq "dry run" "$(updated --dry-run)" pending
assert_eq "still" "$(runs)" one
assert_eq "update" "$(updated --settle 1s)" true
assert_eq "afterwards" "$(runs)" two

say "a bad image"
publish three '["/bin/busybox","false"]'
assert_eq "update" "$(updated --settle 2s)" "rolled back"
assert_match "the reason" "$(cat "$tmp/update.err")" 'e2e81.service does not work with'
assert_eq "state" "$(property e2e81 ActiveState)" active
assert_eq "afterwards" "$(runs)" two
assert_eq "not tried again" "$(updated)" false
berth image prune -f >/dev/null
again
assert_eq "after a restart" "$(runs)" two
assert_match "history" "$(berth auto-update --history)" 'e2e81.service.*rolled back'
wait_journal 10 'e2e81.service: .*: rolled back' -t berth-auto-update

say "an image that comes up but is not healthy"
cat >>/etc/containers/systemd/e2e81.container <<F
[Container]
HealthCmd=test -e /well
HealthInterval=1s
HealthRetries=2
F
systemctl daemon-reload
publish three "$(sed 's/trap/: >\/well; trap/' <<<"$GOOD")"
assert_eq "a healthy one" "$(updated --settle 1s)" true
publish ill "$GOOD"
assert_eq "an ill one" "$(updated --settle 1s)" "rolled back"
assert_match "the reason" "$(cat "$tmp/update.err")" 'container "systemd-e2e81" is unhealthy'
assert_eq "afterwards" "$(runs)" three
assert_eq "not tried again" "$(updated)" false

say "pin"
berth pin e2e81 >/dev/null
publish four "$(sed 's/trap/: >\/well; trap/' <<<"$GOOD")"
again
assert_eq "pinned" "$(runs)" three
assert_eq "a pinned unit" "$(updated)" false
berth unpin e2e81
again
assert_eq "let go" "$(updated --settle 1s)" true

say "the timer"
systemctl start berth-auto-update.service
assert_eq "its service" "$(property berth-auto-update.service Result)" success
assert_match "the timer" "$(systemctl cat berth-auto-update.timer)" 'OnCalendar=daily'
