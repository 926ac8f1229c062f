# hosts: nspawn
# timeout: 8m
# Image and artifact units fetch from a registry that wants a password; a pull that is killed goes on; Podman works on the
# same store at the same time.
. "$BERTH_E2E/berth.sh"

REG=127.0.0.1:15080
cat >"$tmp/registry.yml" <<F
version: 0.1
storage: {filesystem: {rootdirectory: $tmp/registry}}
auth: {htpasswd: {realm: e2e, path: $tmp/htpasswd}}
http: {addr: $REG}
F
echo 'me:$2a$04$wzgLfe2DhUxikVaxVJE0buHGRyf6Zj9Bpar4/Xu7ydv3J6aUV4BHe' >"$tmp/htpasswd" # secret
systemd-run --quiet --unit=e2e-registry80 --service-type=exec docker-registry serve "$tmp/registry.yml"
defer systemctl stop e2e-registry80
mkdir -p /etc/containers/registries.conf.d
printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' $REG >/etc/containers/registries.conf.d/e2e80.conf
defer rm /etc/containers/registries.conf.d/e2e80.conf
export REGISTRY_AUTH_FILE=$tmp/auth.json
load_image
defer berth rmi -fa
wait_for 30 sh -c "curl -s http://$REG/v2/ | grep -q UNAUTHORIZED"

say "log in and push"
assert_match "without a password" "$(must_fail berth push -q $IMAGE $REG/busybox:1)" 'wants other credentials'
assert_match "wrong password" "$(echo wrong | must_fail berth login -u me --password-stdin $REG)" 'does not take this user and password'
echo secret | berth login -u me --password-stdin $REG >/dev/null
assert_eq "who" "$(berth login --get-login $REG)" me
berth push -q --digestfile "$tmp/digest" $IMAGE $REG/busybox:1
assert_eq "digest" "$(berth image remote-digest $REG/busybox:1)" "$(cat "$tmp/digest")"
assert_match "search" "$(berth search --list-tags $REG/busybox)" '1$'
head -c 100000 /dev/urandom >"$tmp/model.bin"
berth artifact add $REG/model:1 "$tmp/model.bin" >/dev/null
berth artifact push -q $REG/model:1
berth artifact rm $REG/model:1 >/dev/null

say "image and artifact units"
quadlet e2e80.image <<F
[Image]
Image=$REG/busybox:1
AuthFile=$tmp/auth.json
Retry=2
F
quadlet e2e80.artifact <<F
[Artifact]
Artifact=$REG/model:1
AuthFile=$tmp/auth.json
F
quadlet e2e80.container <<F
[Container]
Image=e2e80.image
Network=none
Exec=sh -c '$IDLE'
F
systemctl start e2e80 e2e80-artifact
assert_eq "image unit" "$(property e2e80-image ActiveState)" active
assert_init e2e80 "$(property e2e80 MainPID)"
berth artifact extract $REG/model:1 "$tmp/extracted"
cmp "$tmp/model.bin" "$tmp/extracted"
systemctl stop e2e80
berth artifact rm -a >/dev/null
berth rmi $REG/busybox:1 >/dev/null

say "save, import, history"
berth save -q --format oci-archive -o "$tmp/saved.tar" $IMAGE
berth rmi -f $IMAGE >/dev/null
berth load -q -i "$tmp/saved.tar" >/dev/null
assert_match "history" "$(berth history $IMAGE)" 'CREATED BY'
head -c 20000000 /dev/urandom >"$tmp/big"
tar -C "$tmp" -cf "$tmp/big.tar" big
berth import -q "$tmp/big.tar" localhost/big:1 >/dev/null
berth push -q localhost/big:1 $REG/big:1
berth rmi localhost/big:1 >/dev/null

say "a killed pull goes on"
part=$(podman info --format '{{.Store.GraphRoot}}')/berth-partial
berth pull -q $REG/big:1 >/dev/null 2>&1 &
pull=$!
wait_for 60 sh -c "ls $part/* 2>/dev/null || ! kill -0 $pull"
kill -KILL $pull 2>/dev/null || true
wait $pull 2>/dev/null || true
berth pull -q $REG/big:1 >/dev/null
test ! -e "$part"
assert_eq "the file" "$(berth run --rm --network none -v "$tmp:/t:ro" -v "$(berth image mount $REG/big:1):/big:ro" $IMAGE cmp /t/big /big/big && echo same)" same
berth image unmount $REG/big:1 >/dev/null
berth rmi $REG/big:1 >/dev/null

say "podman at the same time"
both() {
	for _ in 1 2 3; do
		"$1" pull -q "$2" && "$1" tag "$2" "$3" && "$1" rmi "$3" "$2" || return 1
	done >/dev/null
}
both podman $REG/busybox:1 localhost/podmans:1 &
podmans=$!
both berth $REG/big:1 localhost/berths:1
wait $podmans
berth pull -q $REG/big:1 >/dev/null
assert_match "podman sees it" "$(podman images)" "$REG/big"
podman rmi $REG/big:1 >/dev/null
assert_eq "berth sees that it is gone" "$(exit_code berth image exists $REG/big:1)" 1
berth logout $REG >/dev/null
assert_match "logged out" "$(must_fail berth pull -q $REG/busybox:1)" 'wants other credentials'
