# hosts: nspawn vm
# timeout: 6m
# Images come from a docker-archive, an OCI archive, an OCI layout and a registry, and are Podman's too.
. "$BERTH_E2E/berth.sh"

works() { assert_eq "$1" "$(berth run --rm --network none "$2" echo works)" works; }
forget() { berth rmi "$1" >/dev/null; }

say "docker-archive"
berth load -q -i "$IMAGES/busybox.tar" >/dev/null
works docker-archive $IMAGE
forget $IMAGE
assert_match "gone" "$(must_fail berth run --pull=never $IMAGE true)" 'not in the store'

say "OCI archive"
berth load -q -i "$IMAGES/busybox.oci.tar" >/dev/null
works oci-archive $IMAGE
forget $IMAGE

say "OCI layout"
mkdir "$tmp/layout"
tar -xf "$IMAGES/busybox.oci.tar" -C "$tmp/layout"
berth load -q -i "$tmp/layout" >/dev/null
works layout $IMAGE

say "a registry"
cat >"$tmp/registry.yml" <<F
version: 0.1
storage: {filesystem: {rootdirectory: $tmp/registry}}
http: {addr: 127.0.0.1:15000}
F
systemd-run --quiet --unit=e2e-registry --service-type=exec docker-registry serve "$tmp/registry.yml"
defer systemctl stop e2e-registry
wait_for 30 curl -fsS http://127.0.0.1:15000/v2/
podman push -q --tls-verify=false $IMAGE 127.0.0.1:15000/busybox:1
berth pull -q --tls-verify=false 127.0.0.1:15000/busybox:1 >/dev/null
works registry 127.0.0.1:15000/busybox:1
forget 127.0.0.1:15000/busybox:1

say "a start fetches what is missing"
mkdir -p /etc/containers/registries.conf.d
printf '[[registry]]\nlocation = "127.0.0.1:15000"\ninsecure = true\n' >/etc/containers/registries.conf.d/e2e.conf
defer rm /etc/containers/registries.conf.d/e2e.conf
quadlet e2e-fetch.container <<F
[Container]
Image=127.0.0.1:15000/busybox:1
Network=none
Exec=sh -c '$IDLE'
F
systemctl start e2e-fetch
assert_init e2e-fetch "$(property e2e-fetch MainPID)"
assert_alone
systemctl stop e2e-fetch

say "one store for both"
assert_match "podman sees it" "$(podman images)" '127.0.0.1:15000/busybox'
podman tag $IMAGE localhost/from-podman:latest
works "made by podman" localhost/from-podman
assert_eq "podman runs it" "$(podman run --rm --network none localhost/from-podman echo works)" works
assert_eq "containers left" "$(podman ps -aq)$(berth ps -aq)" ""
