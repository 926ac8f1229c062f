package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func registry(t *testing.T, routes ...string) Registry {
	t.Helper()
	var used []netip.Prefix
	for _, p := range routes {
		used = append(used, netip.MustParsePrefix(p))
	}
	return Registry{
		Dirs: []string{filepath.Join(t.TempDir(), "networks")},
		Used: func() ([]netip.Prefix, error) { return used, nil },
		Now:  func() time.Time { return time.Unix(0, 0) },
	}
}

func TestCreate(t *testing.T) {
	r := registry(t, "0.0.0.0/0", "10.89.0.0/24")
	first, err := r.Create(Spec{Name: "first", Labels: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	if s := first.Subnets; len(s) != 1 || s[0].Subnet != "10.89.1.0/24" || s[0].Gateway != "10.89.1.1" {
		t.Errorf("subnets %+v: 10.89.0.0/24 is the host's", s)
	}
	if !first.DNSEnabled || first.Internal || len(first.ID) != 64 || first.NetworkInterface == "podman0" {
		t.Errorf("%+v", first)
	}
	second, err := r.Create(Spec{Name: "second", IPv6: true, NoDNS: true})
	if err != nil {
		t.Fatal(err)
	}
	if second.Subnets[0].Subnet != "10.89.2.0/24" || second.NetworkInterface == first.NetworkInterface || second.DNSEnabled {
		t.Errorf("%+v", second)
	}
	if len(second.Subnets) != 2 || !strings.HasPrefix(second.Subnets[1].Subnet, "fd") {
		t.Errorf("no IPv6 subnet: %+v", second.Subnets)
	}
	if again, err := r.Create(Spec{Name: "first"}); !errors.Is(err, ErrExists) || again.ID != first.ID {
		t.Errorf("again: %+v, %v", again, err)
	}
	list, err := r.List()
	if err != nil || len(list) != 3 {
		t.Fatalf("%d networks, %v", len(list), err)
	}
	if found, err := (Adapter{Configs: r.Dirs}).definition("first"); err != nil || found.ID != first.ID {
		t.Errorf("a container finds %+v, %v", found, err)
	}
	if err := r.Remove("first", nobody); err != nil {
		t.Error(err)
	}
	if err := r.Remove("first", nobody); !errors.Is(err, ErrNone) {
		t.Errorf("removed twice: %v", err)
	}
	if err := r.Remove(defaultNetwork, nobody); err == nil {
		t.Error("the default network was removed")
	}
}

// What a file asks for by now, and its network does not have, is named; what was left open when it was made is no difference.
func TestDiffers(t *testing.T) {
	r := registry(t)
	made := Spec{Name: "n", Subnets: []string{"10.77.0.0/24"}, Labels: map[string]string{"a": "1"}, Options: map[string]string{"mtu": "1400"}, DNS: []string{"192.0.2.1"}, Routes: []string{"10.1.0.0/24,10.77.0.9,5"}}
	n, err := r.Create(made)
	if err != nil {
		t.Fatal(err)
	}
	r.Used = func() ([]netip.Prefix, error) { return []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24")}, nil } // it is up
	with := func(change func(*Spec)) Spec {
		s := made
		change(&s)
		return s
	}
	for _, tt := range []struct {
		asked Spec
		want  string
	}{
		{made, ""},
		{with(func(s *Spec) { s.Subnets, s.Labels, s.Options = nil, nil, nil }), ""},
		{with(func(s *Spec) { s.Gateways, s.Driver, s.Interface = []string{"10.77.0.1"}, "bridge", n.NetworkInterface }), ""},
		{with(func(s *Spec) { s.Gateways = []string{"10.77.0.7"} }), "subnets"},
		{with(func(s *Spec) { s.Ranges = []string{"10.77.0.8/29"} }), "subnets"},
		{with(func(s *Spec) { s.Subnets = []string{"10.78.0.0/24"} }), "subnets"},
		{with(func(s *Spec) { s.Subnets = append(s.Subnets, "fd00:1::/64") }), "subnets"},
		{with(func(s *Spec) { s.Labels = map[string]string{"a": "2"} }), "labels"},
		{with(func(s *Spec) { s.Options, s.DNS = map[string]string{"mtu": "1300"}, nil }), "DNS servers options"},
		{with(func(s *Spec) { s.Internal, s.NoDNS, s.Routes = true, true, []string{"10.1.0.0/24,10.77.0.9"} }), "routes DNS internal"},
		{with(func(s *Spec) { s.IPv6, s.Interface = true, "other0" }), "interface IPv6"},
	} {
		got, err := r.Differs(n, tt.asked)
		if err != nil || strings.Join(got, " ") != tt.want {
			t.Errorf("%+v: %q, %v; want %q", tt.asked, got, err, tt.want)
		}
	}
	if _, err := r.Differs(n, with(func(s *Spec) { s.Subnets = []string{"nonsense"} })); err == nil {
		t.Error("a subnet that is none is no error")
	}
}

func nobody(Network) error { return nil }

// A network goes before a container that is being started reads it, or that container is seen.
func TestRemoveBesideAStart(t *testing.T) {
	r := registry(t)
	if _, err := r.Create(Spec{Name: "n"}); err != nil {
		t.Fatal(err)
	}
	errUsed := errors.New("used")
	if err := r.Remove("n", func(Network) error { return errUsed }); !errors.Is(err, errUsed) {
		t.Errorf("one that is used: %v", err)
	}
	found := make(chan error, 1)
	err := r.Remove("n", func(Network) error { // nobody is on it yet
		go func() {
			_, err := (Adapter{Configs: r.Dirs}).definition("n")
			found <- err
		}()
		for len(found) == 0 && !waiting(t) {
			runtime.Gosched()
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := <-found; err == nil {
		t.Error("a container has found a network that is being removed")
	}
}

// waiting tells whether a thread of this process waits for a lock.
func waiting(t *testing.T) bool {
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(fmt.Sprintf(`-> FLOCK .* %d `, os.Getpid())).Match(locks)
}

func TestCreateSubnets(t *testing.T) {
	r := registry(t, "172.20.0.0/16")
	n, err := r.Create(Spec{
		Name: "own", Subnets: []string{"192.168.7.9/24", "fd01::/64"}, Gateways: []string{"192.168.7.254"}, Ranges: []string{"192.168.7.16-192.168.7.31"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if s := n.Subnets[0]; s.Subnet != "192.168.7.0/24" || s.Gateway != "192.168.7.254" || s.LeaseRange.StartIP != "192.168.7.16" || s.LeaseRange.EndIP != "192.168.7.31" {
		t.Errorf("%+v, range %+v", s, s.LeaseRange)
	}
	if !n.IPv6Enabled || n.Subnets[1].Gateway != "fd01::1" {
		t.Errorf("%+v", n)
	}
	for want, s := range map[string]Spec{
		`network "own" has`: {Subnets: []string{"192.168.7.128/25"}},
		"route to 172.20":   {Subnets: []string{"172.20.3.0/24"}},
		"not ADDRESS/BITS":  {Subnets: []string{"x"}},
		"no address of":     {Subnets: []string{"10.1.0.0/24"}, Gateways: []string{"10.2.0.1"}},
		"not FIRST-LAST":    {Subnets: []string{"10.1.0.0/24"}, Ranges: []string{"10.1.0.9-10.1.0.3"}},
		"more gateways":     {Gateways: []string{"10.2.0.1"}},
		"itself has":        {Subnets: []string{"10.1.0.0/24", "10.1.0.0/25"}},
		`driver "x"`:        {Driver: "x"},
		"needs a --subnet":  {Driver: "ipvlan"},
		"is for macvlan":    {IPAM: "dhcp"},
		"does not work":     {IPAM: "dhcp", Driver: "ipvlan"},
		`IPAM driver "x"`:   {IPAM: "x"},
		"no meaning":        {IPAM: "none", Subnets: []string{"10.1.0.0/24"}},
		"at most 15":        {Interface: "a-name-that-is-long"},
		"is that of":        {Interface: "podman0"},
		"it has 1 parts":    {Routes: []string{"10.9.0.0/16"}},
		`destination "x"`:   {Routes: []string{"x,10.1.0.1"}},
		`gateway "y"`:       {Routes: []string{"10.9.0.0/16,y"}},
		"different kinds":   {Routes: []string{"10.9.0.0/16,fd00::1"}},
		`metric "z"`:        {Routes: []string{"10.9.0.0/16,10.1.0.1,z"}},
		"name server":       {DNS: []string{"x"}},
		"mtu=x: want":       {Options: map[string]string{"mtu": "x"}},
		"vlan=4095":         {Options: map[string]string{"vlan": "4095"}},
		"isolate=x":         {Options: map[string]string{"isolate": "x"}},
		"mode=l2":           {Options: map[string]string{"mode": "l2"}},
		`"parent" is not`:   {Options: map[string]string{"parent": "eth0"}},
		`"x" is not one of`: {Options: map[string]string{"x": "y"}},
	} {
		s.Name = "wrong"
		if _, err := r.Create(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(r.Dirs[0], "wrong.json")); err == nil {
		t.Error("a refused network has left its file")
	}
	for _, name := range []string{"", "../x", "a b"} {
		if _, err := r.Create(Spec{Name: name}); err == nil {
			t.Errorf("the name %q is taken", name)
		}
	}
}

func TestHostRoute(t *testing.T) {
	line := "podman0\t0000580A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0"
	if p, ok := hostRoute(strings.Fields(line)); !ok || p.String() != "10.88.0.0/16" {
		t.Errorf("%v, %v", p, ok)
	}
	if _, ok := hostRoute([]string{"short"}); ok {
		t.Error("a short line was read")
	}
}

func TestCreateDrivers(t *testing.T) {
	r := registry(t)
	n, err := r.Create(Spec{Name: "lan", Driver: "macvlan", Options: map[string]string{"parent": "eth7", "mode": "private"}})
	if err != nil || n.NetworkInterface != "eth7" || n.ipam() != "dhcp" || n.DNSEnabled || len(n.Subnets) > 0 || n.Options["parent"] != "" || n.Options["mode"] != "private" {
		t.Errorf("%+v, %v", n, err)
	}
	n, err = r.Create(Spec{Name: "lan2", Driver: "ipvlan", Subnets: []string{"192.0.2.0/24"}, Interface: "eth7", Routes: []string{"10.9.1.2/16,192.0.2.7,5"}})
	if err != nil || n.NetworkInterface != "eth7" || n.ipam() != "host-local" || len(n.Routes) != 1 || n.Routes[0].Destination != "10.9.0.0/16" || *n.Routes[0].Metric != 5 {
		t.Errorf("%+v, %v", n, err)
	}
	n, err = r.Create(Spec{Name: "docker", Options: map[string]string{"com.docker.network.bridge.name": "br-x", "com.docker.network.driver.mtu": "1400", "isolate": "strict"}})
	if err != nil || n.NetworkInterface != "br-x" || n.Options["mtu"] != "1400" || len(n.Options) != 2 {
		t.Errorf("%+v, %v", n, err)
	}
	if n, err := r.Create(Spec{Name: "bare", IPAM: "none"}); err != nil || len(n.Subnets) > 0 {
		t.Errorf("%+v, %v", n, err)
	}
	for _, name := range reservedNames {
		if _, err := r.Create(Spec{Name: name}); err == nil || !strings.Contains(err.Error(), "means something else") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if found, err := r.Find(n.ID[:12]); err != nil || found.Name() != "docker" {
		t.Errorf("by ID: %+v, %v", found, err)
	}
}

// TestCreateAtOnce: networks that are made at the same time, as at boot, get different subnets and bridges.
func TestCreateAtOnce(t *testing.T) {
	r := registry(t)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if _, err := r.Create(Spec{Name: fmt.Sprint("n", i)}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	list, err := r.List()
	seen := map[string]bool{}
	for _, n := range list {
		seen[n.Subnets[0].Subnet], seen[n.NetworkInterface] = true, true
	}
	if err != nil || len(seen) != 42 {
		t.Errorf("%d subnets and bridges for 21 networks, %v", len(seen), err)
	}
}

func TestUpdate(t *testing.T) {
	r := registry(t)
	if _, err := r.Create(Spec{Name: "n", DNS: []string{"192.0.2.1"}}); err != nil {
		t.Fatal(err)
	}
	n, err := r.Update("n", []string{"192.0.2.2", "192.0.2.1"}, nil)
	if err != nil || fmt.Sprint(n.NetworkDNS) != "[192.0.2.1 192.0.2.2]" {
		t.Errorf("%v, %v", n.NetworkDNS, err)
	}
	if _, err := r.Update("n", nil, []string{"192.0.2.1"}); err != nil {
		t.Error(err)
	}
	if n, err := r.Find("n"); err != nil || fmt.Sprint(n.NetworkDNS) != "[192.0.2.2]" {
		t.Errorf("%v, %v", n.NetworkDNS, err)
	}
	if _, err := r.Update("n", []string{"x"}, nil); err == nil {
		t.Error("x was taken as a name server")
	}
	if _, err := r.Update("podman", []string{"192.0.2.1"}, nil); err == nil || !strings.Contains(err.Error(), "no name server of its own") {
		t.Errorf("the default network: %v", err)
	}
}

// TestUpdateAtOnce: of several updates of one network none is lost.
func TestUpdateAtOnce(t *testing.T) {
	r := registry(t)
	if _, err := r.Create(Spec{Name: "web"}); err != nil {
		t.Fatal(err)
	}
	const n = 16
	results := make(chan error)
	for i := range n {
		go func() {
			_, err := r.Update("web", []string{fmt.Sprint("192.0.2.", i+1)}, nil)
			results <- err
		}()
	}
	for range n {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if web, err := r.Find("web"); err != nil || len(web.NetworkDNS) != n {
		t.Errorf("%v, %v", web.NetworkDNS, err)
	}
}

// TestListWhileOneGoes: a file that vanishes between the look at its directory and its reading is not there.
func TestListWhileOneGoes(t *testing.T) {
	r := registry(t)
	if err := os.Mkdir(r.Dirs[0], 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("none", filepath.Join(r.Dirs[0], "gone.json")); err != nil { // is listed, and cannot be read
		t.Fatal(err)
	}
	if list, err := r.List(); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}

// TestConnected: a bridge with something on it is in use, by Podman where no container of ours is on it; one that berth does not manage
// always has something.
func TestConnected(t *testing.T) {
	requireRoot(t)
	n := Network{definition: definition{Name: "web", Driver: bridgeDriver, NetworkInterface: "berthtest8"}}
	check := func(when string, want bool) {
		if got, err := n.Connected(); err != nil || got != want {
			t.Errorf("%s: %v, %v", when, got, err)
		}
	}
	check("without its bridge", false)
	if err := addDevice("berthtest8"); err != nil {
		t.Fatal(err)
	}
	defer exec.Command("ip", "link", "delete", "berthtest8").Run()
	check("with nobody on it", false)
	port, err := holdBridge("berthtest8")
	if err != nil {
		t.Skipf("no port for a bridge: %v", err)
	}
	defer port.Close()
	check("with one", true)
	n.Options = map[string]string{"mode": "unmanaged"}
	check("unmanaged", false)
}
