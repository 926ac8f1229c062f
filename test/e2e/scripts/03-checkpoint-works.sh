# hosts: vm
# timeout: 4m
# CRIU does its work in this machine, shown with Podman: a counter goes on where it was.
. "$BERTH_E2E/lib.sh"
needs podman criu controllers

criu check
podman load -q -i "$IMAGES/busybox.tar"
defer podman system reset -f
podman run -d --name counter --network=none localhost/busybox \
	sh -c 'n=0; while :; do n=$((n+1)); echo $n >/n.new; mv /n.new /n; sleep 0.1; done'
wait_for 20 podman exec counter test -e /n
podman container checkpoint counter
before=$(podman export counter | tar -xO n)
podman container restore counter
counted() { [ "$(podman exec counter cat /n)" -gt "$before" ]; }
wait_for 20 counted
