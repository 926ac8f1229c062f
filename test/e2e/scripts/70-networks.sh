# hosts: nspawn vm
# timeout: 10m
# Several networks for one container, by units: names, both kinds of addresses, chosen ones; changed while the container
# runs; the name server and the rules come back when they are lost; and nothing is left.
. "$BERTH_E2E/berth.sh"

load_image
warm_up
# What the first network of both kinds leaves on the host stays: forwarding is on.
berth network create --ipv6 e2e-warm >/dev/null
berth run --rm --network e2e-warm $IMAGE true
berth network rm e2e-warm >/dev/null
wait_for 20 no_scope
no_name_server() { [ "$(property berth-dns ActiveState)" = inactive ] && ! pgrep -x aardvark-dns; }
wait_for 20 no_name_server
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
leak_snapshot

mkdir -p /etc/containers/systemd
cat >/etc/containers/systemd/e2e-front.network <<F
[Network]
NetworkName=e2e-front
Subnet=10.123.1.0/24
Subnet=fd12:3::/64
IPv6=true
Options=mtu=1400
F
cat >/etc/containers/systemd/e2e-back.network <<F
[Network]
NetworkName=e2e-back
Subnet=10.123.2.0/29
Internal=true
F
cat >/etc/containers/systemd/e2e-server.container <<F
[Container]
Image=$IMAGE
ContainerName=e2e-server
Network=e2e-front.network:ip=10.123.1.77,ip6=fd12:3::77,mac=02:00:00:00:00:77,alias=www
Network=e2e-back.network:interface_name=inside
PublishPort=18080:80
PublishPort=18053:53/udp
PublishPort=[::1]:18081:80
PublishPort=127.0.0.1:18082:80
Volume=$tmp/serve.sh:/serve.sh:ro
Exec=sh /serve.sh
F
cat >/etc/containers/systemd/e2e-client.container <<F
[Container]
Image=$IMAGE
ContainerName=e2e-client
Network=e2e-back.network
Exec=sh -c '$IDLE'
F
systemctl daemon-reload
systemctl start e2e-server e2e-client
in_server() { nsenter -t "$(property e2e-server MainPID)" -a /bin/sh -c "$1"; }
in_client() { nsenter -t "$(property e2e-client MainPID)" -a /bin/sh -c "$1"; }
device() { nsenter -t "$(property e2e-server MainPID)" -n ip addr show dev "$1"; }

say "addresses that were asked for, on interfaces in the order of the networks"
assert_match "eth0" "$(device eth0)" 'mtu 1400'
assert_match "eth0" "$(device eth0)" '02:00:00:00:00:77'
assert_match "eth0" "$(device eth0)" 'inet 10\.123\.1\.77/24'
assert_match "eth0" "$(device eth0)" 'inet6 fd12:3::77/64'
assert_match "inside" "$(device inside)" 'inet 10\.123\.2\.'
assert_eq "networks in Podman's form" "$(berth network inspect e2e-front | jq -r '.[0].containers[].interfaces.eth0.mac_address')" 02:00:00:00:00:77

say "published, and the server sees the client's own address"
# A server of both kinds of addresses sees an IPv4 one as [::ffff:A.B.C.D].
who() { "$@" | grep -Eq "^client (\\[::ffff:)?$want]?\$"; }
want=10.123.1.1 && wait_for 20 who curl -fsS http://10.123.1.77/cgi-bin/who
if ip netns list | grep -q outside; then
	want=192.0.2.1
	wait_for 20 who from_outside curl -fsS http://192.0.2.2:18080/cgi-bin/who
	want=10.123.1.1 && wait_for 20 who curl -fsS http://127.0.0.1:18082/cgi-bin/who
	want=192.0.2.1
	must_fail from_outside curl -fsS --max-time 5 http://192.0.2.2:18082/ >/dev/null
	# perl is in each Debian; the image has nothing that answers UDP.
	nsenter -t "$(property e2e-server MainPID)" -n perl -MIO::Socket::INET -e '
		$s = IO::Socket::INET->new(Proto => "udp", LocalPort => 53) or die;
		while ($s->recv($_, 99)) { $s->send("client " . $s->peerhost . "\n") }' &
	ask_udp() {
		timeout 5 ip netns exec outside perl -MIO::Socket::INET -e '
			$s = IO::Socket::INET->new(Proto => "udp", PeerAddr => "192.0.2.2:18053") or die;
			$s->send("x"); $s->recv($_, 99); print'
	}
	wait_for 20 who ask_udp
	kill $!
fi

say "names, on the network that both are on"
ask() { in_client "wget -q -O - http://$1/cgi-bin/who"; }
wait_for 20 ask e2e-server
assert_match "an alias on another network" "$(must_fail ask www)" 'bad address'

say "the name server is a unit of its own, and is back at once"
assert_eq "its unit" "$(property berth-dns ActiveState)" active
pids="$(property e2e-server MainPID) $(property e2e-client MainPID)"
kill -9 "$(property berth-dns MainPID)"
# A second is promised; an emulated machine gets more.
wait_for "$([ "$BERTH_HOST" = vm ] && echo 20 || echo 1)" ask e2e-server
outlives property berth-dns ask e2e-server
spoken=0
speaks() {
	spoken=$((spoken + 1))
	in_server "echo word-$spoken >/proc/1/fd/1" && wait_journal 20 "^word-$spoken\$" -u e2e-server
}
outlives property berth-keeper speaks
assert_eq "the containers" "$(property e2e-server MainPID) $(property e2e-client MainPID)" "$pids"

if [ "$BERTH_HOST" != vm ] && ip netns list | grep -q outside; then
	say "a server outside that knows every name does not win over containers in the host's search domain (CVE-2025-8283)"
	cp /etc/resolv.conf "$tmp/resolv.conf"
	defer cp "$tmp/resolv.conf" /etc/resolv.conf
	# It says 203.0.113.66 of each name: the question comes back with an answer behind it (RFC 1035).
	ip netns exec outside perl -MIO::Socket::INET -e '
		alarm 120; $s = IO::Socket::INET->new(Proto => "udp", LocalAddr => "192.0.2.1", LocalPort => 53) or die;
		while ($s->recv($q, 512)) {
			$n = substr($q, 12, index($q, "\0", 12) - 7);
			$a = unpack("n", substr($n, -4)) == 1 ? 1 : 0;
			$s->send(substr($q, 0, 2) . pack("n5", 0x8180, 1, $a, 0, 0) . $n . ($a ? pack("n3NnC4", 0xc00c, 1, 1, 60, 4, 203, 0, 113, 66) : ""));
		}' &
	liar=$!
	printf 'search liar.example\nnameserver 192.0.2.1\n' >/etc/resolv.conf
	old=$(property berth-dns MainPID)
	kill -9 "$old" # it reads its servers when it starts
	wait_for 20 another_main property berth-dns "$old"
	out=$(berth run --rm --network e2e-front $IMAGE sh -c '
		n=0; until nslookup nobody | grep -F 203.0.113.66 || [ $n = 200 ]; do n=$((n + 1)); sleep 0.1; done
		wget -T 5 -q -O - http://www/cgi-bin/who' 2>&1)
	assert_match "the control: nobody's name" "$out" '203\.0\.113\.66'
	assert_match "a container's name" "$out" '^client '
	assert_no_match "nobody's name, where the network is internal" "$(in_client "nslookup nobody" || true)" '203\.0\.113\.66'
	echo outside >"$tmp/index.html"
	ip netns exec outside busybox httpd -f -p 18099 -h "$tmp" &
	web=$!
	wait_for 20 in_server "wget -T 5 -q -O - http://192.0.2.1:18099/"
	must_fail in_client "wget -T 5 -q -O - http://192.0.2.1:18099/" >/dev/null
	kill $web
	rm "$tmp/index.html"
	cp "$tmp/resolv.conf" /etc/resolv.conf
	kill $liar

	say "who sends half of a question, or keeps quiet, does not occupy the name server (CVE-2024-8418, 2026-35406)"
	nsenter -t "$(property e2e-client MainPID)" -n perl -MIO::Socket::INET -MSocket -e '
		alarm 120; $| = 1; $SIG{PIPE} = "IGNORE";
		sub server { IO::Socket::INET->new(PeerAddr => "10.123.2.1:53", Timeout => 20) or die "connect: $!" }
		push @quiet, server() for 1 .. 100;
		for (1 .. 1000) {
			$s = server(); syswrite $s, pack("n", 40) . "xy"; setsockopt $s, SOL_SOCKET, SO_LINGER, pack("ii", 1, 0); close $s;
		}
		print "done\n"; sleep 120' >"$tmp/occupied" &
	occupier=$!
	wait_for 60 grep -q done "$tmp/occupied"
	ticks() { awk '{ print $14 + $15 }' "/proc/$(property berth-dns MainPID)/stat"; }
	used=$(ticks) begin=$EPOCHREALTIME
	for i in 1 2 3 4 5; do ask e2e-server >/dev/null; done
	used=$((($(ticks) - used) * 1000 / $(getconf CLK_TCK))) passed=$(took "$begin")
	[ "$used" -lt $((passed / 2 + 100)) ] || die "the name server was busy for $used of $passed ms"
	kill $occupier
	rm "$tmp/occupied" "$tmp/resolv.conf"
	deferred=("${deferred[@]:0:${#deferred[@]}-1}")
fi

say "connect and disconnect"
berth network connect --alias later e2e-front e2e-client
wait_for 20 ask www
assert_match "hosts" "$(in_client "cat /etc/hosts")" '10\.123\.1\.[0-9]+.*e2e-client'
wait_for 20 in_server "nslookup later"
assert_match "twice" "$(must_fail berth network connect e2e-front e2e-client)" 'already'
berth network disconnect e2e-front e2e-client
assert_match "off" "$(must_fail ask www)" 'bad address'
ask e2e-server >/dev/null

say "the rules come back"
berth network doctor >/dev/null
nft flush ruleset
assert_match "doctor" "$(must_fail berth network doctor)" 'e2e-server +port 18080/tcp to 10\.123\.1\.77:80 +missing'
[ "$(exit_code curl -sS --max-time 2 http://127.0.0.1:18080/cgi-bin/who)" != 0 ] || die "published without rules"
berth network reload --all >/dev/null
berth network doctor >/dev/null
wait_for 20 curl -fsS --max-time 2 http://127.0.0.1:18080/cgi-bin/who
wait_for 20 ask e2e-server
assert_eq "the containers" "$(property e2e-server MainPID) $(property e2e-client MainPID)" "$pids"

say "another container's network"
berth run --rm --network container:e2e-server $IMAGE wget -q -O - http://127.0.0.1/cgi-bin/who >/dev/null
assert_match "of one that is not there" "$(must_fail berth run --rm --network container:e2e-none $IMAGE true)" 'no such container'

say "the same by flags of run"
out=$(berth run --rm --network e2e-front --ip 10.123.1.42 --ip6 fd12:3::42 --mac-address 02:00:00:00:00:42 --network-alias other $IMAGE sh -c '
	ip addr show dev eth0
	n=0; until nslookup other >/dev/null 2>&1 || [ $n = 200 ]; do n=$((n + 1)); sleep 0.1; done; nslookup other')
for want in 'inet 10\.123\.1\.42/24' 'inet6 fd12:3::42/64' 'ether 02:00:00:00:00:42' 'Address: +10\.123\.1\.42'; do
	assert_match "in a container run by hand" "$out" "$want"
done
berth run -d --rm --name e2e-all --publish-all --expose 80 $IMAGE sh -c "$SERVE" >/dev/null
defer berth rm -f -i e2e-all
port=$(berth inspect e2e-all | jq -r '.[0].NetworkSettings.Ports | to_entries[0].value[0].HostPort')
wait_for 20 curl -fsS --max-time 2 "http://127.0.0.1:$port/"
berth rm -f e2e-all >/dev/null

say "full, and in use"
for name in a b c; do
	berth run -d --rm --name e2e-$name --network e2e-back $IMAGE sh -c "$IDLE"
done
assert_match "full" "$(must_fail berth run --rm --network e2e-back $IMAGE true)" 'network "e2e-back" has no free address left between 10\.123\.2\.1 and 10\.123\.2\.6'
systemctl stop e2e-a e2e-b e2e-c
assert_eq "exit status of a network in use" "$(exit_code berth network rm e2e-back)" 2

say "removed twice at once, and when netavark's directory has been cleared"
berth network create e2e-alone >/dev/null
defer berth network rm -f e2e-alone
alone() { berth run -d --rm --name e2e-gone --network e2e-alone $IMAGE sh -c "$IDLE" >/dev/null; }
alone
berth rm -f e2e-gone >/dev/null &
berth rm -f e2e-gone >/dev/null
wait $!
alone
rm /run/containers/networks/aardvark-dns/e2e-alone
berth rm -f e2e-gone >/dev/null
berth network rm e2e-alone >/dev/null

systemctl stop e2e-server e2e-client e2e-front-network e2e-back-network
berth network rm -f e2e-front e2e-back >/dev/null
assert_eq "exit status of a network that is not there" "$(exit_code berth network rm e2e-front)" 1
rm -f /etc/containers/systemd/e2e-*
systemctl daemon-reload
wait_for 20 no_name_server
leak_check
