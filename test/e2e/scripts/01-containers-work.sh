# hosts: nspawn vm
# timeout: 5m
# What every container manager needs of a machine, shown with Podman: overlay, bridge, published ports, user namespaces and
# pasta. When this fails, look at the machine and not at berth.
. "$BERTH_E2E/lib.sh"
needs podman tester outside

say "an overlay on /var"
dir=$(mktemp -d /var/tmp/overlay.XXXXXX)
defer rm -rf "$dir"
mkdir "$dir"/{lower,upper,work,merged}
unshare -m sh -ec 'mount -t overlay overlay -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" "$1/merged"; touch "$1/merged/file"' sh "$dir"
test -e "$dir/upper/file"

say "a user namespace that mounts its own /proc and /sys"
as_tester unshare --user --map-root-user --fork --mount --pid --net sh -ec 'mount -t proc proc /proc; mount -t sysfs sysfs /sys'

say "as root: load, no network, bridge and a published port"
podman load -q -i "$IMAGES/busybox.tar"
defer podman system reset -f
assert_eq "id" "$(podman run --rm --network=none localhost/busybox id -u)" 0
podman run -d --name web -p 8080:80 localhost/busybox httpd -f -p 80 -h /var/www
wait_for 10 curl -sf http://127.0.0.1:8080/
assert_eq "page from outside" "$(from_outside curl -sf http://192.0.2.2:8080/)" "hello from busybox"
podman rm -f -t 0 web

say "as a user: host network, pasta and a published port"
as_tester podman load -q -i "$IMAGES/busybox.oci.tar"
defer as_tester podman system reset -f
assert_eq "id" "$(as_tester podman run --rm --network=host localhost/busybox id -u)" 0
as_tester podman run -d --name web -p 8081:80 localhost/busybox httpd -f -p 80 -h /var/www
wait_for 20 curl -sf http://127.0.0.1:8081/
assert_eq "page from outside" "$(from_outside curl -sf http://192.0.2.2:8081/)" "hello from busybox"
as_tester podman rm -f -t 0 web
