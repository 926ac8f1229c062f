# hosts: nspawn vm
# timeout: 5m
# Containers on a device of the host: macvlan with an address by DHCP, and ipvlan. The neighbour is a network namespace with
# a DHCP server in it.
. "$BERTH_E2E/berth.sh"

needs busybox ip
busybox --list | grep -qx udhcpd || skip "busybox has no udhcpd"
load_image
warm_up
ip netns add e2e-lan
defer ip netns del e2e-lan
ip link add e2e-lan0 type veth peer name lan1 netns e2e-lan || skip "no veth devices"
defer ip link del e2e-lan0
ip link set e2e-lan0 up
ip -n e2e-lan addr add 10.125.0.1/24 dev lan1
ip -n e2e-lan link set lan1 up
ip -n e2e-lan link set lo up
cat >"$tmp/udhcpd.conf" <<F
interface lan1
start 10.125.0.100
end 10.125.0.110
lease_file $tmp/leases
pidfile $tmp/udhcpd.pid
option subnet 255.255.255.0
option router 10.125.0.1
F
ip netns exec e2e-lan busybox udhcpd -f "$tmp/udhcpd.conf" >"$tmp/udhcpd.log" 2>&1 &
defer kill $!
pings() { ip netns exec e2e-lan ping -c 1 -W 1 "$1"; }
address() { nsenter -t "$(property "$1" MainPID)" -n ip -4 -o addr show dev eth0 | sed -n 's/.*inet \([0-9.]*\).*/\1/p'; }

say "macvlan, with an address of the network's own DHCP server"
berth network create --driver macvlan -o parent=e2e-lan0 --ipam-driver dhcp e2e-mv >/dev/null
defer berth network rm -f e2e-mv
# lose_socket takes netavark's socket away behind systemd's back, as `podman system reset` does.
lose_socket() { rm -f /run/podman/nv-proxy.sock; }
systemctl start netavark-dhcp-proxy.socket 2>/dev/null && lose_socket
berth run -d --rm --name e2e-dhcp --network e2e-mv $IMAGE sh -c "$IDLE" >/dev/null
defer berth rm -f -i e2e-dhcp
ip=$(address e2e-dhcp)
assert_match "leased" "$ip" '^10\.125\.0\.1(0[0-9]|10)$'
wait_for 20 pings "$ip"
lose_socket
berth rm -f e2e-dhcp >/dev/null

if ip link add e2e-try link e2e-lan0 type ipvlan 2>/dev/null; then
	ip link del e2e-try
	say "ipvlan"
	berth network create --driver ipvlan -o parent=e2e-lan0 --subnet 10.125.0.0/24 --ip-range 10.125.0.32/28 e2e-iv >/dev/null
	defer berth network rm -f e2e-iv
	berth run -d --rm --name e2e-ipvlan --network e2e-iv $IMAGE sh -c "$IDLE" >/dev/null
	defer berth rm -f -i e2e-ipvlan
	ip=$(address e2e-ipvlan)
	assert_match "leased" "$ip" '^10\.125\.0\.(3[2-9]|4[0-7])$'
	wait_for 20 pings "$ip"
	berth rm -f e2e-ipvlan >/dev/null
else
	say "this kernel has no ipvlan"
fi

say "a port of sctp has its rules"
berth run -d --rm --name e2e-sctp -p 18097:80/sctp $IMAGE sh -c "$IDLE" >/dev/null
defer berth rm -f -i e2e-sctp
assert_match "rules" "$(nft list ruleset)" 'sctp dport 18097 .*dnat'
berth network doctor >/dev/null
berth rm -f e2e-sctp >/dev/null
assert_no_match "rules of nobody" "$(nft list ruleset)" 'sctp dport 18097'
systemctl stop netavark-dhcp-proxy.socket netavark-dhcp-proxy.service 2>/dev/null || true
