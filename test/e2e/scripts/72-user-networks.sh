# hosts: nspawn
# torture-hosts: vm
# timeout: 15m
# Bridges of a user: names, both kinds of addresses, chosen ones, published ports with the client's own address; networks and
# pods by units; what holds it all together comes back when it is killed, and nothing is left when it is stopped.
. "$BERTH_E2E/berth.sh"

load_user_image
warm_up_user
me() { as_tester berth "$@"; }
sc() { as_tester systemctl --user "$@"; }
# The first bridge leaves the lock that netavark's callers take.
me run --rm --network bridge $IMAGE true
sc stop berth-net
units=/home/tester/.config/containers/systemd
as_tester mkdir -p $units
# It tells each client the client's address.
cat >"$tmp/serve.sh" <<'F'
trap "exit 0" TERM
mkdir -p /www/cgi-bin
printf '#!/bin/sh\necho; echo "client $REMOTE_ADDR"\n' >/www/cgi-bin/who
chmod 755 /www/cgi-bin/who
httpd -f -p 80 -h /www &
echo serving
wait $!
F
chmod 644 "$tmp/serve.sh"
install -d -o tester "$tmp/none"
if ip netns list | grep -q outside; then
	echo outside >"$tmp/index.html"
	ip netns exec outside busybox httpd -f -p 18099 -h "$tmp" &
	defer kill $!
	wait_for 20 from_outside curl -fsS http://192.0.2.1:18099/
fi
leak_snapshot

cat >$units/e2e-front.network <<F
[Network]
NetworkName=e2e-front
Subnet=10.124.1.0/24
Subnet=fd12:4::/64
IPv6=true
F
cat >$units/e2e-server.container <<F
[Container]
Image=$IMAGE
ContainerName=e2e-server
Network=e2e-front.network:ip=10.124.1.77,ip6=fd12:4::77,alias=www
PublishPort=18090:80
PublishPort=18053:53/udp
PublishPort=127.0.0.1:18091:80
Volume=$tmp/serve.sh:/serve.sh:ro
Exec=sh /serve.sh
F
cat >$units/e2e-client.container <<F
[Container]
Image=$IMAGE
ContainerName=e2e-client
Network=e2e-front.network
Exec=sh -c '$IDLE'
F
cat >$units/e2e.pod <<F
[Pod]
PodName=e2e-stack
Network=e2e-front.network
PublishPort=18092:80
F
cat >$units/e2e-web.container <<F
[Container]
Image=$IMAGE
ContainerName=e2e-web
Pod=e2e.pod
Exec=sh -c '$SERVE'
F
chown -R tester: $units
defer rm -f $units/e2e-front.network $units/e2e-server.container $units/e2e-client.container $units/e2e.pod $units/e2e-web.container
sc daemon-reload
sc start e2e-server e2e-client
in_client() { nsenter -t "$(user_property e2e-client MainPID)" -a /bin/sh -c "$1"; }
ask() { in_client "wget -T 5 -q -O - http://$1/cgi-bin/who"; }
who() { "$@" | grep -Eq "^client (\\[::ffff:|\\[)?$want]?\$"; }
on_server() { nsenter -t "$(user_property e2e-server MainPID)" -n "$@"; }
pids() { echo "$(user_property e2e-server MainPID) $(user_property e2e-client MainPID)"; }

say "addresses that were asked for, and names"
assert_match "addresses" "$(on_server ip addr show dev eth0)" 'inet 10\.124\.1\.77/24'
assert_match "addresses" "$(on_server ip addr show dev eth0)" 'inet6 fd12:4::77/64'
assert_eq "router advertisements" "$(on_server cat /proc/sys/net/ipv6/conf/eth0/accept_ra)" 0
wait_for 20 ask e2e-server
wait_for 20 ask www
assert_match "inspect" "$(me network inspect e2e-front)" '10\.124\.1\.77/24'
assert_no_match "the host" "$(ip addr)" '10\.124\.1'

say "published, and the server sees the client's own address"
# The host itself is seen by the bridge's address: 127.0.0.1 would be the container.
want=10.124.1.1 && wait_for 20 who curl -fsS http://127.0.0.1:18090/cgi-bin/who
wait_for 20 curl -fsS http://127.0.0.1:18091/cgi-bin/who
if ip netns list | grep -q outside; then
	want=192.0.2.1 && wait_for 20 who from_outside curl -fsS http://192.0.2.2:18090/cgi-bin/who
	want=2001:db8::1 && wait_for 20 who from_outside curl -fsS "http://[2001:db8::2]:18090/cgi-bin/who"
	must_fail from_outside curl -fsS --max-time 5 http://192.0.2.2:18091/ >/dev/null
	# perl is in each Debian; the image has nothing that answers UDP.
	nsenter -t "$(user_property e2e-server MainPID)" -n perl -MIO::Socket::INET -e '
		alarm 60; $s = IO::Socket::INET->new(Proto => "udp", LocalPort => 53) or die;
		while ($s->recv($_, 99)) { $s->send("client " . $s->peerhost . "\n") }' &
	udp=$!
	ask_udp() {
		timeout 5 ip netns exec outside perl -MIO::Socket::INET -e '
			$s = IO::Socket::INET->new(Proto => "udp", PeerAddr => "192.0.2.2:18053") or die;
			$s->send("x"); $s->recv($_, 99); print'
	}
	want=192.0.2.1 && wait_for 20 who ask_udp
	kill $udp
	say "the way out"
	wait_for 20 in_client "wget -T 5 -q -O - http://192.0.2.1:18099/"
	busybox httpd -f -p 18098 -h "$tmp" &
	machine=$!
	wait_for 20 in_client "wget -T 5 -q -O - http://host.containers.internal:18098/"
	kill $machine
fi

say "what is killed is back, and no container notices"
before=$(pids)
again() { new=$(user_property $unit MainPID) && [ "$new" != "$old" ] && [ "$new" -gt 1 ]; }
for unit in berth-dns berth-pasta berth-net; do
	old=$(user_property $unit MainPID)
	assert_match "the group of $unit" "$(cat "/proc/$old/cgroup")" "/$unit.service"
	kill -9 "$old"
	wait_for 20 again
	wait_for 20 ask e2e-server
	want=10.124.1.1 && wait_for 20 who curl -fsS http://127.0.0.1:18090/cgi-bin/who
done
outlives user_property berth-dns ask e2e-server
outlives user_property berth-pasta curl -fsS --max-time 5 http://127.0.0.1:18090/cgi-bin/who
outlives user_property berth-net curl -fsS --max-time 5 http://127.0.0.1:18090/cgi-bin/who
assert_eq "the containers" "$(pids)" "$before"
if ip netns list | grep -q outside; then
	want=192.0.2.1 && wait_for 20 who from_outside curl -fsS http://192.0.2.2:18090/cgi-bin/who
	wait_for 20 in_client "wget -T 5 -q -O - http://192.0.2.1:18099/"
fi

say "several networks, changed while the container runs; the rules"
me network create --internal e2e-back >/dev/null
me network connect --alias later e2e-back e2e-server
me network connect e2e-back e2e-client
wait_for 20 ask later
me network disconnect e2e-front e2e-server
must_fail curl -fsS --max-time 5 http://127.0.0.1:18090/cgi-bin/who >/dev/null
me network connect --ip 10.124.1.78 e2e-front e2e-server
me network doctor >/dev/null
me network reload --all >/dev/null
me network doctor >/dev/null
wait_for 20 ask e2e-server
wait_for 20 curl -fsS http://127.0.0.1:18090/cgi-bin/who
out=$(me run --rm --network e2e-front --ip 10.124.1.42 $IMAGE ip addr show dev eth0)
assert_match "in the foreground" "$out" 'inet 10\.124\.1\.42/24'
assert_match "the one that is always there" "$(me run --rm --network bridge $IMAGE ip addr show dev eth0)" 'inet 10\.88\.'

say "a pod on a bridge"
sc start e2e-pod
wait_for 60 curl -fsS http://127.0.0.1:18092/
wait_for 20 in_client "wget -T 5 -q -O - http://e2e-stack/"
sc stop e2e-pod
must_fail curl -fsS --max-time 5 http://127.0.0.1:18092/ >/dev/null

say "what is refused"
assert_match "low port" "$(must_fail me run --rm --network e2e-front -p 80:80 $IMAGE true)" "port 80/tcp: ports below 1024 are root's"
assert_match "port twice" "$(must_fail me run --rm --network e2e-front -p 18090:80 $IMAGE true)" 'is published by another container'
assert_match "address twice" "$(must_fail me run --rm --network e2e-front --ip 10.124.1.78 $IMAGE true)" 'is in use by another container'
assert_match "no manager" "$(must_fail as_tester env XDG_RUNTIME_DIR="$tmp/none" berth run --rm --network podman $IMAGE true)" "looked after by the user's service manager"

say "a container whose network was stopped is removed all the same"
sc stop berth-net
sc stop e2e-server
sc start e2e-server
wait_for 20 curl -fsS http://127.0.0.1:18090/cgi-bin/who
sc stop e2e-server e2e-client e2e-front-network
must_fail curl -fsS --max-time 5 http://127.0.0.1:18090/ >/dev/null
me network rm -f e2e-back e2e-front >/dev/null
sc stop berth-net
rm -f $units/e2e-* $units/e2e.pod
sc daemon-reload
[ ! -e /run/user/1000/berth/net ] || die "the network has left files"
leak_check
