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
printf secret | berth secret create e2e80 - >/dev/null
defer berth secret rm e2e80
berth login --secret e2e80 -u me --compat-auth-file "$tmp/docker.json" $REG >/dev/null
assert_eq "who, by a secret" "$(berth login --get-login --compat-auth-file "$tmp/docker.json" $REG)" me
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

say "encrypted layers"
for k in mine other; do
	openssl genrsa -aes256 -traditional -passout pass:sesame80 -out "$tmp/$k.pem" 2048 2>/dev/null
	openssl rsa -in "$tmp/$k.pem" -passin pass:sesame80 -pubout -out "$tmp/$k.pub" 2>/dev/null
done
berth push -q --encryption-key "jwe:$tmp/mine.pub" $IMAGE $REG/sealed:berth
podman push -q --encryption-key "jwe:$tmp/mine.pub" --encrypt-layer -1 $IMAGE $REG/sealed:podman
quadlet e2e80-sealed.image <<F
[Image]
Image=$REG/sealed:podman
AuthFile=$tmp/auth.json
DecryptionKey=$tmp/other.pem:sesame80
F
must_fail systemctl start e2e80-sealed-image >/dev/null
wait_journal 10 'no --decryption-key opens it' -u e2e80-sealed-image
sed -i "s/other.pem/mine.pem/" /etc/containers/systemd/e2e80-sealed.image
systemctl daemon-reload
systemctl start e2e80-sealed-image
berth rmi $REG/sealed:podman >/dev/null
assert_match "without a key" "$(must_fail berth run --rm --network none $REG/sealed:podman true)" 'give the key with --decryption-key'
assert_eq "podman's" "$(berth run --rm --network none --decryption-key "$tmp/mine.pem:sesame80" $REG/sealed:podman echo works)" works
podman pull -q --decryption-key "$tmp/mine.pem:sesame80" $REG/sealed:berth >/dev/null
berth run -d --name e2e80-words --network none -e A=sesame80 $IMAGE sleep 1000 >/dev/null
berth rm -f -t 0 e2e80-words >/dev/null
assert_eq "messages with the password" "$(journalctl -b -o export | grep -a '^MESSAGE=' | grep -ac sesame80)" 0
berth rmi $REG/sealed:berth $REG/sealed:podman >/dev/null

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

say "lists of images are Podman's too"
echo arm >"$tmp/arch"
tar -C "$tmp" -cf "$tmp/arm.tar" arch
berth import -q --arch arm64 "$tmp/arm.tar" localhost/arm:1 >/dev/null
berth load -q -i "$IMAGES/busybox.tar" >/dev/null
platforms() { jq -r '.manifests[].platform | "\(.os)/\(.architecture)/\(.variant)"' | sort | tr '\n' ' '; }
both="linux/amd64/null linux/arm64/v8 "
berth manifest create --annotation made=here localhost/ours:1 $IMAGE >/dev/null
podman manifest add --variant v8 localhost/ours:1 localhost/arm:1 >/dev/null
podman manifest create localhost/theirs:1 $IMAGE >/dev/null
berth manifest add --variant v8 --annotation a=b localhost/theirs:1 localhost/arm:1 >/dev/null
for list in ours theirs; do
	assert_eq "berth says of $list" "$(berth manifest inspect localhost/$list:1 | platforms)" "$both"
	assert_eq "and podman the same" "$(podman manifest inspect localhost/$list:1 | jq -cS .)" "$(berth manifest inspect localhost/$list:1 | jq -cS .)"
	assert_eq "berth runs $list" "$(berth run --rm --network none localhost/$list:1 echo works)" works
done
assert_eq "podman runs ours" "$(podman run --rm --network none localhost/ours:1 echo works)" works
podman manifest push -q localhost/theirs:1 docker://$REG/theirs:1
assert_eq "berth reads podman's" "$(berth manifest inspect $REG/theirs:1 | platforms)" "$both"
berth manifest push -q --digestfile "$tmp/digest" localhost/ours:1 $REG/list:1
assert_eq "the registry's" "$(berth image remote-digest $REG/list:1)" "$(cat "$tmp/digest")"
assert_eq "podman reads it there" "$(podman manifest inspect $REG/list:1 | platforms)" "$both"
podman pull -q --platform linux/arm64/v8 $REG/list:1 >/dev/null
assert_eq "podman's image of it" "$(podman image inspect --format '{{.Architecture}}' $REG/list:1)" arm64
podman rmi $REG/list:1 >/dev/null
berth manifest add --all localhost/ours:1 $REG/theirs:1 >/dev/null
berth manifest push -q --all --rm localhost/ours:1 $REG/again:1
assert_eq "gone after --rm" "$(exit_code berth manifest exists localhost/ours:1)" 1
berth manifest annotate --os-features f --os-version 5 localhost/theirs:1 localhost/arm:1 >/dev/null
berth manifest annotate --index --annotation of=all localhost/theirs:1 >/dev/null
assert_eq "annotated" "$(podman manifest inspect localhost/theirs:1 | jq -c '[.annotations.of, (.manifests[] | select(.annotations.a == "b") | .platform["os.version"])]')" '["all","5"]'
berth manifest remove localhost/theirs:1 localhost/arm:1 >/dev/null
assert_eq "taken out" "$(podman manifest inspect localhost/theirs:1 | platforms)" "linux/amd64/null "
assert_match "an image is no list" "$(must_fail berth manifest rm $IMAGE)" 'not a list of images'
assert_match "an image that is nowhere" "$(must_fail berth manifest create localhost/no:1 $REG/nothing:1)" 'no image of this name'
assert_eq "makes no list" "$(exit_code berth manifest exists localhost/no:1)" 1
echo hello >"$tmp/a.txt"
echo '{}' >"$tmp/a.json"
file=(--artifact --artifact-type text/x --artifact-layer-type text/y --artifact-config "$tmp/a.json" --artifact-config-type text/z --annotation k=v)
berth manifest create localhost/ours:1 >/dev/null
berth manifest add "${file[@]}" localhost/ours:1 "$tmp/a.txt" "$tmp/arch" >/dev/null
berth manifest add --artifact --artifact-exclude-titles localhost/ours:1 "$tmp/a.txt" >/dev/null
berth manifest annotate --index --subject $IMAGE localhost/ours:1 >/dev/null
podman manifest add "${file[@]}" localhost/theirs:1 "$tmp/a.txt" "$tmp/arch" >/dev/null
podman manifest add --artifact --artifact-exclude-titles localhost/theirs:1 "$tmp/a.txt" >/dev/null
podman manifest annotate --index --subject $IMAGE localhost/theirs:1 >/dev/null
sorted() { jq -cS '(.. | objects | select(has("files")).files) |= sort'; } # podman lists them in any order
artifacts() { jq '[.subject, (.manifests[] | select(.artifactType))]' | sorted; }
assert_eq "the same artifacts" "$(berth manifest inspect localhost/ours:1 | artifacts)" "$(podman manifest inspect localhost/theirs:1 | artifacts)"
for list in ours theirs; do
	assert_eq "artifacts in $list" "$(podman manifest inspect localhost/$list:1 | sorted)" "$(berth manifest inspect localhost/$list:1 | sorted)"
done
podman manifest push -q localhost/ours:1 docker://$REG/files:1
berth manifest push -q localhost/theirs:1 $REG/files:2
assert_eq "pushed by the other" "$(berth manifest inspect $REG/files:1 | artifacts)" "$(berth manifest inspect $REG/files:2 | artifacts)"
berth manifest add --artifact --artifact-subject $REG/busybox:1 localhost/ours:1 "$tmp/arch" >/dev/null
podman manifest push -q localhost/ours:1 "dir:$tmp/files"
assert_match "an artifact's subject" "$(cat "$tmp"/files/*.manifest.json)" '"subject":.*'"$(berth image remote-digest $REG/busybox:1)"
berth manifest annotate --annotation a=c localhost/theirs:1 "$tmp/arch" >/dev/null
berth manifest remove localhost/theirs:1 "$tmp/arch" >/dev/null
podman manifest push -q localhost/theirs:1 "dir:$tmp/fewer"
assert_match "what is for artifacts" "$(must_fail berth manifest add --artifact-type x localhost/ours:1 $IMAGE)" '--artifact-type is about files that are added with --artifact'
assert_match "no list's subject" "$(must_fail berth manifest annotate --subject $IMAGE localhost/ours:1)" 'give --index'
berth manifest rm localhost/ours:1 localhost/theirs:1 >/dev/null
assert_eq "rm of one that is gone" "$(exit_code berth manifest rm localhost/theirs:1) $(exit_code berth manifest rm -i localhost/theirs:1)" "1 0"
podman rmi localhost/arm:1 >/dev/null
berth logout $REG >/dev/null
assert_match "logged out" "$(must_fail berth pull -q $REG/busybox:1)" 'wants other credentials'
