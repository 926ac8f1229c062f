package network

import (
	"net/netip"
	"strings"
	"testing"
)

func TestFreeSubnetOfPools(t *testing.T) {
	taken := map[netip.Prefix]string{}
	for _, s := range []string{"10.89.0.0/24", "10.89.1.0/25", "172.20.0.0/30", "0.0.0.0/0"} {
		taken[netip.MustParsePrefix(s)] = "x"
	}
	for _, test := range []struct {
		pools []Pool
		want  string
	}{
		{nil, "10.89.2.0/24 10.89.2.1"},
		{[]Pool{{"172.20.0.0/16", 29}}, "172.20.0.8/29 172.20.0.9"},
		{[]Pool{{"172.20.0.0/30", 30}, {"192.168.4.0/23", 24}}, "192.168.4.0/24 192.168.4.1"},
		{[]Pool{{"255.255.255.0/24", 24}}, "255.255.255.0/24 255.255.255.1"},
		{[]Pool{{"172.20.0.0/30", 30}}, "no free subnet is left in 172.20.0.0/30"},
		{[]Pool{{"172.20.0.0/16", 8}}, "default_subnet_pools"},
		{[]Pool{{"172.20.0.0", 24}}, "default_subnet_pools"},
		{[]Pool{{"fd00::/64", 80}}, "default_subnet_pools"},
	} {
		s, err := Registry{Pools: test.pools}.freeSubnet(taken)
		got := s.Subnet + " " + s.Gateway
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, test.want) {
			t.Errorf("%v: %s, want %s", test.pools, got, test.want)
		}
	}
	full := map[netip.Prefix]string{netip.MustParsePrefix("255.255.255.0/24"): "x"}
	if _, err := (Registry{Pools: []Pool{{"255.255.255.0/24", 26}}}).freeSubnet(full); err == nil {
		t.Error("the last addresses of all: a subnet is found after them")
	}
}

func TestDefaultSubnet(t *testing.T) {
	for own, want := range map[string]string{"": "10.88.0.0/16 10.88.0.1", "172.21.3.4/20": "172.21.0.0/20 172.21.0.1", "x": "default_subnet"} {
		d, err := builtin(own)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = d.Subnets[0].Subnet + " " + d.Subnets[0].Gateway
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %s", own, got, want)
		}
	}
}
