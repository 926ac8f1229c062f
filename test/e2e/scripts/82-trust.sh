# hosts: nspawn
# timeout: 6m
# policy.json with GPG keys decides what is pulled; mirrors are used and fallen back from; a blocked registry is refused. An
# image goes from one user to another.
. "$BERTH_E2E/berth.sh"

REG=127.0.0.1:15082
MIRROR=127.0.0.1:15083
for reg in $REG $MIRROR; do
	cat >"$tmp/$reg.yml" <<F
version: 0.1
storage: {filesystem: {rootdirectory: $tmp/$reg}}
http: {addr: $reg}
F
	systemd-run --quiet --unit="e2e-reg${reg#*:}" --service-type=exec docker-registry serve "$tmp/$reg.yml"
	defer systemctl stop "e2e-reg${reg#*:}"
done
mkdir -p /etc/containers/registries.conf.d /etc/containers/registries.d "$tmp/sigs"
conf=/etc/containers/registries.conf.d/e2e82.conf
defer rm -f $conf /etc/containers/registries.d/e2e82.yaml
insecure() { printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' "$1"; }
{ insecure $REG && insecure $MIRROR; } >$conf
printf 'docker:\n  %s:\n    lookaside: file://%s\n' $REG "$tmp/sigs" >/etc/containers/registries.d/e2e82.yaml
load_image
defer berth rmi -fa
wait_for 30 curl -fsS http://$REG/v2/
wait_for 30 curl -fsS http://$MIRROR/v2/

say "who may sign"
export GNUPGHOME=$tmp/gpg
mkdir -m 700 "$GNUPGHOME"
defer gpgconf --kill all
for who in me other; do
	gpg --batch --quiet --passphrase '' --quick-generate-key $who@example.com rsa2048 sign never 2>/dev/null
	gpg --batch --armor --export $who@example.com >"$tmp/$who.asc"
done
cp /etc/containers/policy.json "$tmp/policy.json"
defer cp "$tmp/policy.json" /etc/containers/policy.json
pull() { berth pull -q "$REG/$1" >/dev/null && berth rmi "$REG/$1" >/dev/null; }
refused() { assert_match "$1" "$(must_fail berth pull -q --retry 0 "$REG/$2")" "refused by the signature policy: $3"; }
berth push -q $IMAGE $REG/unsigned:1
pull unsigned:1 # as nothing is demanded yet
berth push -q --sign-by me@example.com $IMAGE $REG/signed:1
berth push -q --sign-by other@example.com $IMAGE $REG/strange:1
berth image trust set -f "$tmp/me.asc" $REG
assert_match "trust show" "$(berth image trust show)" "repository  $REG  *signed  *[0-9A-F]{40}  *file://$tmp/sigs"
assert_eq "as podman reads it" "$(podman image trust show --json 2>/dev/null | jq -c '[.[] | [.name, .type]]')" "$(berth image trust show --json | jq -c '[.[] | [.name, .type]]')"
assert_eq "what decides" "$(berth image trust show -n $REG/signed:1 | wc -l) $(berth image trust show -n elsewhere.example/x | cut -c1-3)" "1 all"
assert_eq "raw" "$(berth image trust show --raw)" "$(cat /etc/containers/policy.json)"
pull signed:1
podman pull -q $REG/signed:1 >/dev/null
podman rmi $REG/signed:1 >/dev/null
refused "unsigned" unsigned:1 'A signature was required, but no signature exists'
refused "another key" strange:1 ''
assert_match "podman agrees" "$(must_fail podman pull -q $REG/unsigned:1)" 'no signature exists'

say "what was tampered with"
sig=$(echo "$tmp"/sigs/signed@sha256=*/signature-1)
cp "$sig" "$tmp/good"
head -c 100 "$tmp/good" >"$sig"
refused "a signature that is cut short" signed:1 ''
printf 'X' | dd of="$sig" bs=1 seek=200 conv=notrunc status=none
refused "rubbish" signed:1 ''
cp "$tmp/good" "$sig"
pull signed:1
mkdir "$tmp/root"
echo changed >"$tmp/root/file"
tar -C "$tmp/root" -cf "$tmp/root.tar" .
berth import -q "$tmp/root.tar" localhost/changed:1 >/dev/null
berth push -q localhost/changed:1 $REG/signed:1
refused "another image under a signed name" signed:1 'A signature was required, but no signature exists'
cp -r "${sig%/*}" "$tmp/sigs/signed@sha256=$(berth image remote-digest $REG/signed:1 | cut -d: -f2)"
refused "with the signature of the first" signed:1 ''
berth image sign --sign-by me@example.com $REG/signed:1 $REG/unsigned:1
pull signed:1
pull unsigned:1
mkdir "$tmp/aside"
berth image sign --sign-by me@example.com --directory "$tmp/aside" docker://$REG/strange:1
test -e "$tmp"/aside/strange@sha256=*/signature-1
refused "signed elsewhere" strange:1 ''
assert_match "no such key" "$(must_fail berth image sign --sign-by nobody@example.com $REG/strange:1)" 'nobody@example.com.*No secret key'

say "a list and its images"
berth manifest create localhost/list:1 $IMAGE >/dev/null
assert_match "signatures of another form" "$(must_fail berth manifest push -q localhost/list:1 $REG/list:1)" 'give --remove-signatures'
berth manifest push -q --remove-signatures localhost/list:1 $REG/list:1
refused "an unsigned list" list:1 'A signature was required, but no signature exists'
berth image sign --all --sign-by me@example.com $REG/list:1
pull list:1
berth manifest push -q --remove-signatures --sign-by other@example.com localhost/list:1 $REG/list:2
refused "a list signed by another" list:2 ''
berth manifest push -q --remove-signatures --sign-by me@example.com localhost/list:1 $REG/list:3
pull list:3
podman pull -q $REG/list:3 >/dev/null
podman rmi $REG/list:3 >/dev/null
berth manifest rm localhost/list:1 >/dev/null

say "other rules"
berth image trust set --type reject $REG/unsigned
refused "rejected" unsigned:1 'Running image docker://.* is rejected by policy'
berth image trust set --type accept $REG
pull strange:1
assert_match "a key that is none" "$(must_fail berth image trust set -f "$tmp/root.tar" $REG)" 'no GPG key'
cp "$tmp/policy.json" /etc/containers/policy.json

say "mirrors"
{ insecure $REG && printf '[[registry.mirror]]\nlocation = "%s/m"\ninsecure = true\n' $MIRROR && insecure $MIRROR; } >$conf
berth push -q --remove-signatures $IMAGE $MIRROR/m/only-there:1
berth pull -q $REG/only-there:1 >/dev/null # the registry itself does not have it
assert_eq "its name" "$(berth run --rm --network none $REG/only-there:1 echo works)" works
berth rmi $REG/only-there:1 >/dev/null
pull strange:1 # the mirror does not have it
systemctl stop e2e-reg15083
pull strange:1 # the mirror is not there
assert_match "what only it had" "$(must_fail berth pull -q --retry 0 $REG/only-there:1)" 'no image of this name'

say "a blocked registry"
{ insecure $REG && echo 'blocked = true'; } >$conf
assert_match "blocked" "$(must_fail berth pull -q --retry 0 $REG/strange:1)" 'blocked in .*registries.conf'
insecure $REG >$conf
pull strange:1

say "from one user to another"
berth image scp $IMAGE tester@localhost:: >/dev/null
assert_eq "tester has it" "$(as_tester berth run --rm --network none $IMAGE echo works)" works
as_tester berth tag $IMAGE localhost/testers:1
berth image scp -q tester@localhost::localhost/testers:1
berth image exists localhost/testers:1
assert_match "a user cannot" "$(must_fail as_tester berth image scp root@localhost::$IMAGE)" 'only root can'
assert_match "an image that is not there" "$(must_fail berth image scp localhost/no:1 tester@localhost::)" 'no such image'

say "from one machine to another"
mkdir "$tmp/bin" "$tmp/there"
cat >"$tmp/bin/ssh" <<'F'
#!/bin/bash
while [ "$1" != -- ]; do shift; done
shift 2
exec runuser -u tester -- env -i HOME=/home/tester USER=tester PATH="${THERE:-/usr/local/bin:/usr/bin:/bin}" XDG_RUNTIME_DIR=/run/user/1000 sh -c "$*"
F
chmod +x "$tmp/bin/ssh"
for p in podman newuidmap newgidmap sh crun; do ln -s "$(command -v $p)" "$tmp/there/$p"; done
scp() { PATH=$tmp/bin:$PATH berth image scp "$@"; }
as_tester berth rmi -fa >/dev/null
assert_match "to berth" "$(scp $IMAGE me@elsewhere::)" "Loaded image: $IMAGE"
as_tester berth tag $IMAGE localhost/far:1
scp -q me@elsewhere:22::localhost/far:1
berth image exists localhost/far:1
THERE=$tmp/there scp -q localhost/far:1 elsewhere::
as_tester podman image exists localhost/far:1
THERE=$tmp/there scp -q elsewhere::localhost/far:1
assert_match "nothing there" "$(THERE=/nowhere must_fail scp $IMAGE elsewhere::)" 'elsewhere'
assert_match "no such image there" "$(must_fail scp elsewhere::localhost/no:1)" 'on elsewhere: image "localhost/no:1": no such image'
assert_match "what ssh would take for a flag" "$(must_fail scp -- -oProxyCommand=id::$IMAGE)" 'write a machine as'
as_tester berth rmi -fa >/dev/null
