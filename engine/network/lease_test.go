package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/spec"
)

// fastDir is a directory in memory, where syncing a file costs nothing.
func fastDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "berth-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// leases is an adapter of which only the leases are used; all containers are there, but those whose ID begins with dead.
func leasing(t *testing.T) Adapter {
	return Adapter{Leases: filepath.Join(fastDir(t), "leases"), Live: func(id string) bool { return !strings.HasPrefix(id, "dead") }}
}

// request makes a container with a place for its plan.
func request(t *testing.T, a Adapter, id string) engine.NetworkRequest {
	t.Helper()
	r := engine.NetworkRequest{ID: id, Name: "name-" + id, Dir: filepath.Join(filepath.Dir(a.Leases), id)}
	if err := os.MkdirAll(r.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestThousandAtOnce(t *testing.T) {
	a := leasing(t)
	s := subnet{Subnet: "10.9.0.0/22", Gateway: "10.9.0.1"}
	var all sync.WaitGroup
	addresses := make([]netip.Addr, 1000)
	for i := range addresses {
		r := request(t, a, fmt.Sprint("c", i))
		all.Go(func() {
			var err error
			if addresses[i], err = a.leaseAddress(r, &plan{}, "net", s); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	seen := map[netip.Addr]int{}
	inside := netip.MustParsePrefix(s.Subnet)
	for i, ip := range addresses {
		if other, ok := seen[ip]; ok {
			t.Errorf("containers %d and %d both have %s", i, other, ip)
		}
		seen[ip] = i
		if !inside.Contains(ip) || ip.String() == s.Gateway || ip == inside.Addr() || ip == lastAddress(inside) {
			t.Errorf("container %d has %s", i, ip)
		}
		if holder, err := os.Readlink(filepath.Join(a.Leases, "net/net", ip.String())); err != nil || holder != fmt.Sprint("c", i) {
			t.Errorf("%s is leased to %q, %v; it is container %d's", ip, holder, err, i)
		}
	}
	for i, ip := range addresses {
		if err := a.leases().Release("net/net/"+ip.String(), fmt.Sprint("c", i)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(a.Leases); !os.IsNotExist(err) {
		t.Errorf("directories are left: %v", err)
	}
}

func TestFullNetwork(t *testing.T) {
	a := leasing(t)
	s := subnet{Subnet: "10.9.0.0/29", Gateway: "10.9.0.1"}
	for i := range 5 { // .2 to .6
		if ip, err := a.leaseAddress(request(t, a, fmt.Sprint("c", i)), &plan{}, "small", s); err != nil {
			t.Fatalf("%d: %s, %v", i, ip, err)
		}
	}
	ip, err := a.leaseAddress(request(t, a, "one-too-many"), &plan{}, "small", s)
	if err == nil || !strings.Contains(err.Error(), `network "small" has no free address left between 10.9.0.1 and 10.9.0.6`) {
		t.Errorf("%s, %v", ip, err)
	}
	if err := a.leases().Release("net/small/10.9.0.4", "c0"); err != nil { // whoever it is, c0 has one at most
		t.Fatal(err)
	}
}

func TestSameAddressAgain(t *testing.T) {
	a := leasing(t)
	s := subnet{Subnet: "10.9.0.0/16"}
	r := request(t, a, "c1")
	first, err := a.leaseAddress(r, &plan{}, "n", s)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.leases().Release("net/n/"+first.String(), "c1"); err != nil {
		t.Fatal(err)
	}
	r.ID = "c2" // another container of the same name
	if again, err := a.leaseAddress(r, &plan{}, "n", s); err != nil || again != first {
		t.Errorf("%s, %v; it was %s", again, err, first)
	}
}

func TestAskedForAddress(t *testing.T) {
	a := leasing(t)
	s := subnet{Subnet: "10.9.0.0/24", LeaseRange: &leaseRange{StartIP: "10.9.0.10", EndIP: "10.9.0.20"}}
	r := request(t, a, "c1")
	for ip, want := range map[string]string{
		"10.9.0.15": "", "10.9.0.9": "", "10.9.0.254": "", // what is not handed out can be asked for
		"10.9.0.0": "which has 10.9.0.1 to 10.9.0.254", "10.9.0.255": "is none of network", "10.9.1.1": "is none of", "x": "is none of", "::1": "is none of",
	} {
		r.IP = ip
		got, err := a.leaseAddress(r, &plan{}, "n", s)
		if want == "" && (err != nil || got.String() != ip) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %s, %v", ip, got, err)
		}
	}
	r2 := request(t, a, "c2")
	r2.IP = "10.9.0.15"
	var held *engine.HeldError
	if _, err := a.leaseAddress(r2, &plan{}, "n", s); !errors.As(err, &held) || held.Holder != "c1" || !strings.Contains(err.Error(), "in use by another container") {
		t.Errorf("in use: %v", err)
	}
}

func TestBounds(t *testing.T) {
	tests := []struct{ subnet, start, end, want string }{
		{"10.88.0.0/16", "", "", "10.88.0.1 10.88.255.254"},
		{"10.88.7.9/24", "", "", "10.88.7.1 10.88.7.254"},
		{"10.0.0.0/30", "", "", "10.0.0.1 10.0.0.2"},
		{"fd00::/64", "", "", "fd00::1 fd00::ffff:ffff:ffff:ffff"},
		{"10.0.0.0/24", "10.0.0.5", "", "10.0.0.5 10.0.0.254"},
		{"10.0.0.0/24", "", "10.0.0.9", "10.0.0.1 10.0.0.9"},
		{"10.0.0.0/24", "10.0.0.129", "10.0.0.255", "10.0.0.129 10.0.0.254"}, {"10.0.0.0/24", "10.0.0.0", "10.0.0.9", "10.0.0.1 10.0.0.9"},
		{"10.0.0.0/24", "10.0.0.255", "10.0.0.255", ""}, {"fd00::/64", "fd00::", "fd00::9", "fd00::1 fd00::9"},
		{"10.0.0.8/31", "", "", "10.0.0.8 10.0.0.9"}, {"10.0.0.8/32", "", "", "10.0.0.8 10.0.0.8"}, {"fd00::2/127", "", "", "fd00::2 fd00::3"}, {"fd00::2/128", "", "", "fd00::2 fd00::2"},
		{"10.0.0.0/24", "10.0.0.9", "10.0.0.5", ""}, {"10.0.0.0/24", "10.0.1.5", "", ""}, {"10.0.0.0/24", "", "fd00::1", ""}, {"0.0.0.0/0", "", "", "0.0.0.1 255.255.255.254"},
		{"10.0.0.0/24", "x", "", ""}, {"10.0.0.0/24", "", "x", ""}, {"x", "", "", ""}, {"10.0.0.0/33", "", "", ""},
	}
	for _, tt := range tests {
		first, last, err := subnet{Subnet: tt.subnet, LeaseRange: &leaseRange{tt.start, tt.end}}.bounds()
		got := ""
		if err == nil {
			got = first.String() + " " + last.String()
		}
		if got != tt.want {
			t.Errorf("%+v: got %q, %v", tt, got, err)
		}
	}
}

func TestLargeNetworks(t *testing.T) {
	for _, cidr := range []string{"fd00::/64", "fd00::/8", "10.0.0.0/8", "fd00::/127"} {
		a := leasing(t)
		if ip, err := a.leaseAddress(request(t, a, "c1"), &plan{}, "n", subnet{Subnet: cidr}); err != nil || !netip.MustParsePrefix(cidr).Contains(ip) {
			t.Errorf("%s: %s, %v", cidr, ip, err)
		}
	}
}

func TestOverlap(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"any", "any", true}, {"any", "127.0.0.1", true}, {"::1", "any", true}, {"127.0.0.1", "127.0.0.1", true}, {"0.0.0.0", "127.0.0.1", true}, {"::", "::1", true},
		{"127.0.0.1", "127.0.0.2", false}, {"0.0.0.0", "::1", false}, {"::", "127.0.0.1", false}, {"::1", "127.0.0.1", false}, {"x", "y", false},
	} {
		if overlap(tt.a, tt.b) != tt.want || overlap(tt.b, tt.a) != tt.want {
			t.Errorf("%s and %s: want %v", tt.a, tt.b, tt.want)
		}
	}
}

// freePort is a port that nobody listens on, so far as one can tell.
func freePort(t *testing.T) uint16 {
	t.Helper()
	port, err := kernelsChoice(spec.PortMapping{HostIP: "127.0.0.1", Protocol: "tcp"})
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestPorts(t *testing.T) {
	a := leasing(t)
	port := freePort(t)
	publish := func(id, ip, protocol string, port, count uint16) ([]spec.PortMapping, error) {
		r := request(t, a, id)
		r.Publish = []spec.PortMapping{{HostIP: ip, HostPort: port, ContainerPort: 80, Range: count, Protocol: protocol}}
		return a.leasePorts(r, &plan{})
	}
	if _, err := publish("c1", "127.0.0.1", "tcp", port, 1); err != nil {
		t.Fatal(err)
	}
	for _, ip := range []string{"127.0.0.1", "0.0.0.0", ""} {
		var held *engine.HeldError
		if _, err := publish("c2", ip, "tcp", port, 1); !errors.As(err, &held) || held.Holder != "c1" || !strings.Contains(err.Error(), fmt.Sprintf("port %d/tcp is published by another container (c1)", port)) {
			t.Errorf("on %q: %v", ip, err)
		}
	}
	if _, err := publish("c1", "127.0.0.1", "tcp", port, 1); err == nil || !strings.Contains(err.Error(), "published twice") {
		t.Errorf("by the same one: %v", err)
	}
	if _, err := publish("c3", "127.0.0.1", "udp", port, 1); err != nil {
		t.Errorf("another protocol: %v", err)
	}
	for _, protocol := range []string{"tcp", "udp", "sctp"} {
		list, err := publish("c4", "127.0.0.1", protocol, 0, 3)
		if err != nil || len(list) != 3 {
			t.Fatalf("any port of %s: %v, %v", protocol, list, err)
		}
		for i, m := range list {
			if m.HostPort == 0 || m.ContainerPort != uint16(80+i) || m.Range != 1 || m.Protocol != protocol {
				t.Errorf("%+v", m)
			}
		}
	}
	// A dead container's ports are free.
	other := freePort(t)
	if _, err := publish("dead", "", "tcp", other, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := publish("c5", "127.0.0.1", "tcp", other, 1); err != nil {
		t.Errorf("of a dead container: %v", err)
	}
}

func TestPortOfTheHost(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, text, _ := net.SplitHostPort(l.Addr().String())
	port, _ := strconv.Atoi(text)
	a := leasing(t)
	r := request(t, a, "c1")
	r.Publish = []spec.PortMapping{{HostIP: "127.0.0.1", HostPort: uint16(port), ContainerPort: 80, Range: 1, Protocol: "tcp"}}
	p := &plan{}
	if _, err := a.leasePorts(r, p); err == nil || err.Error() != fmt.Sprintf("port %d/tcp: address already in use; `ss -lnp` shows who has it", port) {
		t.Errorf("got %v", err)
	}
	if len(p.Leases) != 1 {
		t.Errorf("the lease is not in the plan, nobody would give it back: %v", p.Leases)
	}
}

// FuzzDefinition: any file of a network gives addresses of its subnets, or an error.
func FuzzDefinition(f *testing.F) {
	for _, s := range []string{
		`{"subnets":[{"subnet":"10.9.0.0/29","gateway":"10.9.0.1"}]}`, `{"subnets":[{"subnet":"10.9.0.0/32"}]}`, `{"subnets":[{"subnet":"255.255.255.254/31"}]}`, `{"subnets":[{"subnet":"fd00::/64"}]}`,
		`{"subnets":[{"subnet":"::/0"}]}`, `{"subnets":[{"subnet":"fd00::1/128"}]}`, `{"subnets":[{"subnet":"10.9.0.0/24","lease_range":{"start_ip":"10.9.0.9","end_ip":"10.9.0.2"}}]}`,
		`{"subnets":[{"subnet":"10.9.0.0/24","lease_range":{"start_ip":"10.9.0.9","end_ip":"fd00::"}}]}`, `{"subnets":[{"subnet":"10.9.0.0/24","lease_range":{"start_ip":"10.10.0.9"}}]}`,
		`{"subnets":[{"subnet":"::ffff:10.9.0.0/120"}]}`, `{"ipam_options":{"driver":"dhcp"}}`, `{"subnets":null}`, `[]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a := leasing(t)
		a.Configs = []string{t.TempDir()}
		if err := os.WriteFile(filepath.Join(a.Configs[0], "n.json"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := a.definition("n")
		if err != nil || len(d.Subnets) > 4 {
			return
		}
		list, err := a.leaseAddresses(request(t, a, "c1"), &plan{}, d, nil)
		if err != nil || len(list) == 0 {
			return
		}
		for i, s := range d.Subnets {
			ip, err := netip.ParseAddr(list[i])
			if p, err2 := netip.ParsePrefix(s.Subnet); err != nil || err2 != nil || !p.Contains(ip) || list[i] == s.Gateway {
				t.Errorf("%s gives %s", data, list[i])
			}
		}
	})
}
