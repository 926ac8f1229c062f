# hosts: nspawn
# timeout: 15m
# auto-update takes a new image, goes back from a bad one and leaves it alone then; pin holds on to a digest. Many units that want one
# image fetch it once; a pull over a slow link that breaks outlives the start timeout. `make torture`: more units, a larger image.
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

say "interrupted"
berth auto-update --settle 10m 2>"$tmp/update.err" &
update=$!
is_two() { [ "$(runs)" = two ]; }
wait_for 90 is_two
kill -INT $update
status=0
wait $update || status=$?
assert_eq "exit status" $status 130
assert_match "what it says" "$(cat "$tmp/update.err")" 'the update to .* was interrupted'
assert_eq "afterwards" "$(runs)" one

say "stopped by hand"
berth auto-update --settle 10m 2>"$tmp/update.err" &
update=$!
wait_for 90 is_two
systemctl stop e2e81
must_fail wait $update
assert_match "what it says" "$(cat "$tmp/update.err")" 'somebody else has stopped'
assert_eq "state" "$(property e2e81 ActiveState)" inactive
systemctl start e2e81
assert_eq "afterwards" "$(runs)" one

say "containers that no unit makes anew do not keep others from it"
berth run -d --name e2e81-kept --network none --label io.containers.autoupdate=registry $REPO:1 >/dev/null
defer berth rm -f -i e2e81-kept
berth run --rm --name e2e81-front --network none --label io.containers.autoupdate=registry $REPO:1 &
defer berth rm -f -i e2e81-front
berth run -d --rm --name e2e81-unit --network none --label io.containers.autoupdate=registry $REPO:1 >/dev/null
defer berth rm -f -i e2e81-unit
front_runs() { [ "$(berth inspect --format '{{.State.Running}}' e2e81-front)" = true ]; }
wait_for 60 front_runs
assert_eq "update" "$(updated --settle 1s | paste -sd ' ')" "true true"
assert_match "the one that is kept" "$(cat "$tmp/update.err")" 'container "e2e81-kept": a restart of e2e81-kept.service starts the container that is there'
assert_match "the one in the foreground" "$(cat "$tmp/update.err")" 'container "e2e81-front": systemd cannot restart .*.scope'
berth rm -f e2e81-kept e2e81-front e2e81-unit >/dev/null
last_good() { berth images --format '{{.Repository}}' | grep -c berth-last-good; }
assert_eq "images that are kept for units" "$(last_good)" 2
assert_eq "an update after one is gone" "$(updated)" false
assert_eq "images that are kept for units" "$(last_good)" 1
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

say "many units want one image"
systemctl stop e2e81
bring() { # bring NAME FILE makes the archive an image of the registry, and of nothing else
	berth import -q --change "CMD $GOOD" "$2" localhost/e2e81:bring >/dev/null
	berth push -q localhost/e2e81:bring 127.0.0.1:15081/"$1":1
	berth rmi -fa >/dev/null
}
asked() { journalctl -b -u e2e-registry81 -o cat | grep -ac "^127.*\"GET /v2/many/$1/.* 200 " || true; }
fetched() { [ "$(asked manifests) $(asked blobs)" = "$1" ]; }
berth rmi -fa >/dev/null
bring many "$tmp/root.tar"
quadlet e2e81-many@.container <<F
[Container]
Image=127.0.0.1:15081/many:1
Network=none
[Service]
TimeoutStartSec=5min
F
many=$(seq -f 'e2e81-many@%g' "$(rounds 8 50)")
# shellcheck disable=SC2086 # each word is a unit
systemctl start $many
wait_for 20 fetched "1 2" # of the blobs one is the config
assert_eq "units that run" "$(systemctl is-active $many | sort -u)" active
berth pull -q 127.0.0.1:15081/many:1 >/dev/null
wait_for 20 fetched "2 3" # the registry is asked once more for what is small, and that is seen
# shellcheck disable=SC2086
systemctl stop $many

say "a slow link that breaks"
limit=4 bytes=1200000 delay=200ms
[ -z "${BERTH_TORTURE:-}" ] || limit=90 bytes=14000000 delay=1s
head -c $bytes /dev/urandom >"$tmp/noise"
tar -C "$tmp" -cf "$tmp/noise.tar" noise
bring slow "$tmp/noise.tar"
printf '[[registry]]\nlocation = "127.0.0.1:15084"\ninsecure = true\n' >>/etc/containers/registries.conf.d/e2e81.conf
systemd-run --quiet --unit=e2e-link81 --service-type=exec /usr/libexec/berth-test/badlink -rate 200000 -resets 5 127.0.0.1:15084 127.0.0.1:15081
defer systemctl stop e2e-link81
quadlet e2e81-slow.image <<F
[Image]
Image=127.0.0.1:15084/slow:1
Retry=50
RetryDelay=$delay
[Service]
TimeoutStartSec=$limit
F
mkdir -p /run/systemd/system/e2e81-slow-image.service.d
printf '[Service]\nNotifyAccess=none\n' >/run/systemd/system/e2e81-slow-image.service.d/deaf.conf
defer rm -rf /run/systemd/system/e2e81-slow-image.service.d
systemctl daemon-reload
must_fail systemctl start e2e81-slow-image >/dev/null
assert_eq "when systemd does not hear of the progress" "$(property e2e81-slow-image Result)" timeout
rm -r /run/systemd/system/e2e81-slow-image.service.d "$(podman info --format '{{.Store.GraphRoot}}')/berth-partial"
systemctl daemon-reload
begin=$EPOCHREALTIME
systemctl start e2e81-slow-image
ms=$(took "$begin")
say "$ms ms"
[ "$ms" -gt ${limit}000 ] || die "the pull took $ms ms, which shows nothing"
berth image exists 127.0.0.1:15084/slow:1
