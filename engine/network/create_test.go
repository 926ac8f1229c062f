package network

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
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
	if err := r.Remove("first"); err != nil {
		t.Error(err)
	}
	if err := r.Remove("first"); !errors.Is(err, ErrNone) {
		t.Errorf("removed twice: %v", err)
	}
	if err := r.Remove(defaultNetwork); err == nil {
		t.Error("the default network was removed")
	}
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
		"macvlan":           {Driver: "macvlan"},
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

func TestParseRoute(t *testing.T) {
	line := "podman0\t0000580A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0"
	if p, ok := parseRoute(strings.Fields(line)); !ok || p.String() != "10.88.0.0/16" {
		t.Errorf("%v, %v", p, ok)
	}
	if _, ok := parseRoute([]string{"short"}); ok {
		t.Error("a short line was read")
	}
}
