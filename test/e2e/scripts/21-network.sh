# hosts: nspawn vm
# timeout: 4m
# Containers on a network of their own find each other by name; the network's unit makes it, and nothing of it is left.
. "$BERTH_E2E/berth.sh"

load_image
warm_up
cat >"$tmp/serve.sh" <<F
$SERVE
F
chmod 644 "$tmp/serve.sh"
# The first network with names leaves aardvark-dns's lock and folder.
berth network create e2e-warm >/dev/null
berth run --rm --network e2e-warm $IMAGE true
berth network rm e2e-warm >/dev/null
wait_for 20 no_scope
leak_snapshot
mkdir -p /etc/containers/systemd
cat >/etc/containers/systemd/e2e-net.network <<F
[Network]
NetworkName=e2e-net
Subnet=10.123.7.0/24
F
for name in server client; do
	cat >/etc/containers/systemd/e2e-$name.container <<F
[Container]
Image=$IMAGE
ContainerName=e2e-$name
Network=e2e-net.network
Volume=$tmp/serve.sh:/serve.sh:ro
Exec=sh /serve.sh
F
done
systemctl daemon-reload
systemctl start e2e-server e2e-client
assert_eq "the network's unit" "$(property e2e-net-network ActiveState)" active
assert_match "networks" "$(berth network ls)" 'e2e-net +bridge'
assert_match "address" "$(berth inspect e2e-server)" '"10\.123\.7\.'
ask() { nsenter -t "$(property e2e-client MainPID)" -a /bin/sh -c "wget -q -O - http://$1/"; }
wait_for 20 ask e2e-server
assert_eq "by name" "$(ask e2e-server)" it-works
assert_match "a name that is not there" "$(must_fail ask e2e-nobody)" 'bad address'
assert_match "in use" "$(must_fail berth network rm e2e-net)" 'used by e2e-server, e2e-client|used by e2e-client, e2e-server'

say "the server comes back, perhaps with another address"
systemctl restart e2e-server
wait_for 20 ask e2e-server

if [ "$BERTH_HOST" != vm ]; then
	say "a service that reaches no message bus"
	nobus=DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/e2e-none
	busctl >/dev/null
	must_fail env $nobus busctl >/dev/null # the control
	printf '[Service]\nEnvironment=%s\n' $nobus >>/etc/containers/systemd/e2e-server.container
	systemctl daemon-reload
	systemctl restart e2e-server
	assert_match "its environment" "$(property e2e-server Environment)" $nobus
	wait_for 20 ask e2e-server
fi

systemctl stop e2e-server e2e-client e2e-net-network
berth network rm -f e2e-net >/dev/null
rm -f /etc/containers/systemd/e2e-*
systemctl daemon-reload
leak_check

say "Podman sees our networks, and we see Podman's"
berth network create e2e-ours >/dev/null
assert_match "podman network ls" "$(podman network ls)" 'e2e-ours +bridge'
podman network create e2e-theirs >/dev/null
assert_match "berth network ls" "$(berth network ls)" 'e2e-theirs +bridge'
berth network rm e2e-ours e2e-theirs >/dev/null
