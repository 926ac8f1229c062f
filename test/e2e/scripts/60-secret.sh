# hosts: nspawn vm
# timeout: 6m
# Secrets come from the unit's credentials and from the store that Podman has too, and are seen by nobody else.
. "$BERTH_E2E/berth.sh"

needs tester podman
load_image
load_user_image
warm_up
as_tester berth run --rm --network none $IMAGE true
mkdir -p /run/e2e-secret
defer rm -rf /run/e2e-secret
chmod 700 /run/e2e-secret
# The words are put together here, so that this script's own text does not hold them.
printf '%s-%s' canary file-5f1d >/run/e2e-secret/file
printf '%s-%s' canary env-7a2c >/run/e2e-secret/env
printf '%s-%s' canary cred-9b3e >/run/e2e-secret/cred

say "the store is shared with Podman, both ways"
berth secret create -l app=e2e ours /run/e2e-secret/file >/dev/null
podman secret create theirs /run/e2e-secret/env >/dev/null
assert_eq "ours, read by Podman" "$(podman secret inspect --showsecret --format '{{.SecretData}}' ours)" "$(cat /run/e2e-secret/file)"
assert_match "theirs" "$(berth secret inspect --showsecret theirs)" "\"SecretData\": \"$(cat /run/e2e-secret/env)\""
assert_no_match "theirs, without the value" "$(berth secret inspect theirs)" canary
assert_eq "names" "$(berth secret ls -n | awk '{ print $2, $3 }' | paste -sd,)" "ours file,theirs file"
assert_match "again" "$(must_fail berth secret create ours /run/e2e-secret/env)" 'secret exists: "ours"'
podman secret rm ours >/dev/null
assert_eq "exists, removed by Podman" "$(exit_code berth secret exists ours)" 1
berth secret rm theirs >/dev/null
assert_no_match "removed by berth" "$(podman secret ls)" theirs
assert_no_match "values left" "$(cat /var/lib/containers/storage/secrets/filedriver/secretsdata.json)" ':'

say "a user's"
as_tester sh -c 'printf user-value | berth secret create mine -' >/dev/null
assert_eq "read by Podman" "$(as_tester podman secret inspect --showsecret --format '{{.SecretData}}' mine)" user-value
assert_eq "in a container" "$(as_tester berth run --rm --network none --secret mine --secret mine,type=env $IMAGE sh -c 'cat /run/secrets/mine; echo " $mine"')" "user-value user-value"
as_tester berth secret rm --all >/dev/null

say "in a container: from the store, encrypted, and from the unit"
berth secret create -d systemd-creds --driver-opts key=host e2e-file /run/e2e-secret/file >/dev/null
berth secret create -d systemd-creds --driver-opts key=host e2e-env /run/e2e-secret/env >/dev/null
berth run --rm --network none --secret e2e-file $IMAGE true
wait_for 20 no_scope
quadlet e2e-secret.container <<F
[Container]
Image=$IMAGE
Network=none
User=1234
Secret=e2e-file,uid=1234,mode=0400
Secret=e2e-file,target=/opt/file
Secret=e2e-env,type=env,target=PASSWORD
Secret=e2e-cred,target=cred
Exec=sh -c 'cmp /run/secrets/e2e-file /opt/file && test "\$\$(stat -c %%u:%%a /run/secrets/e2e-file)" = 1234:400 && test "\$\$(stat -c %%u:%%a /run/secrets/cred)" = 0:444 && cmp /run/secrets/cred "\$\$CREDENTIALS_DIRECTORY/e2e-cred" && test -n "\$\$PASSWORD" && ! touch /run/secrets/new 2>/dev/null && echo all-there; $IDLE'
[Service]
LoadCredential=e2e-cred:/run/e2e-secret/cred
F
leak_snapshot
systemctl start e2e-secret
wait_journal 30 idle -u e2e-secret
assert_match "journal" "$(journalctl -b -u e2e-secret -o cat)" all-there
pid=$(property e2e-secret MainPID)
root=/proc/$pid/root
assert_eq "file" "$(cat $root/run/secrets/e2e-file)" "$(cat /run/e2e-secret/file)"
assert_eq "credential" "$(cat $root/run/credentials/e2e-cred)" "$(cat /run/e2e-secret/cred)"
assert_eq "variable" "$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^PASSWORD=//p')" "$(cat /run/e2e-secret/env)"
assert_eq "file system" "$(stat -f -c %T $root/run/secrets)" tmpfs

# seen_in prints where the values are seen: command lines, unit files and properties, inspect, the journal, the disk, and
# the files of this boot. A value that is to be a variable is in the runtime's configuration, in memory, for root only.
seen_in() {
	local p
	for p in /proc/[0-9]*/cmdline; do
		if grep -aqF -f "$tmp/canaries" "$p" 2>/dev/null; then echo cmdline; fi
	done
	{ systemctl cat 'e2e-*' && systemctl show 'e2e-*'; } 2>/dev/null | grep -qF -f "$tmp/canaries" && echo unit
	berth inspect systemd-e2e-secret 2>/dev/null | grep -qF -f "$tmp/canaries" && echo inspect
	sync
	journalctl -b --no-pager -o export | grep -aqF -f "$tmp/canaries" && echo journal
	{ grep -rIlsF -f "$tmp/canaries" --exclude-dir="$(basename "$tmp")" --devices=skip /var /etc /root /home /tmp /usr/local || true; } | sed 's/^/disk /'
	{ grep -rIlsF -f "$tmp/canaries" --exclude-dir=e2e-secret --exclude-dir=credentials --exclude-dir=journal --exclude=config.json --devices=skip /run || true; } | sed 's/^/run /'
	return 0
}
paste -sd'\n' /run/e2e-secret/file /run/e2e-secret/env /run/e2e-secret/cred >"$tmp/canaries"
assert_eq "lines to look for" "$(grep -c canary "$tmp/canaries")" 3
assert_eq "the values are seen" "$(seen_in)" ""
assert_no_match "the value of a file is in the configuration" "$(cat /run/berth/*/config.json)" 'canary-(file|cred)'
assert_eq "who may read the configuration" "$(stat -c %a "$(dirname /run/berth/*/config.json)")" 700

say "the same look finds them where they are (negative control)"
cp /run/e2e-secret/file /var/tmp/e2e-planted
defer rm -f /var/tmp/e2e-planted
cp /run/e2e-secret/env /run/e2e-planted
defer rm -f /run/e2e-planted
bash -c 'exec -a "$(cat /run/e2e-secret/file)" sleep 1000' &
planted=$!
echo "$(cat /run/e2e-secret/cred | tr -d '\n' | sed 's/9b3e/0000/')" | systemd-cat -t e2e-plant
wait_journal 10 canary-cred-0000 -t e2e-plant
echo canary-cred-0000 >>"$tmp/canaries"
assert_eq "found" "$(seen_in | sort -u | grep -v '^disk /var/log' | paste -sd,)" "cmdline,disk /var/tmp/e2e-planted,journal,run /run/e2e-planted"
kill $planted
wait $planted || true
rm -f /var/tmp/e2e-planted /run/e2e-planted
systemctl stop e2e-secret

say "what is missing is named"
assert_match "no such secret" "$(must_fail berth run --rm --network none --secret nope $IMAGE true)" 'secret "nope": neither .*LoadCredential=.*berth secret create nope FILE'
assert_match "twice the same place" "$(must_fail berth run --rm --network none --secret e2e-file,target=x --secret e2e-env,target=x $IMAGE true)" 'another secret has the target'
for f in /var/lib/containers/storage/secrets/systemd-creds/*.cred; do tr 'A-Za-z' 'B-ZAb-za' <"$f" >"$f.new" && mv "$f.new" "$f"; done
assert_match "a changed one" "$(must_fail berth run --rm --network none --secret e2e-file $IMAGE true)" 'ask driver systemd-creds for it: systemd-creds'
berth secret rm e2e-file e2e-env >/dev/null
assert_eq "left" "$(ls /var/lib/containers/storage/secrets/systemd-creds)" ""
rm -f "$tmp/canaries"
leak_check
