package network

import (
	"net/netip"
	"slices"
)

// Differs names the settings that were asked for and that the network, which is there already, has otherwise. What was left to chance when
// it was made is no difference. An error is that of a Spec of which no network could be made.
func (r Registry) Differs(n Network, s Spec) ([]string, error) {
	r.Used = func() ([]netip.Prefix, error) { return nil, nil } // the network itself uses what it has
	d, err := r.define(s, nil)
	if err != nil {
		return nil, err
	}
	asked := d.Subnets[:min(len(s.Subnets), len(d.Subnets))] // one more is found for IPv6
	var found []string
	for _, setting := range []struct {
		name    string
		asked   bool
		differs bool
	}{
		{"driver", true, d.Driver != n.Driver()},
		{"IPAM driver", s.IPAM != "", d.ipam() != n.ipam()},
		{"interface", s.Interface != "", d.NetworkInterface != n.NetworkInterface},
		{"subnets", len(s.Subnets) > 0, !slices.EqualFunc(asked, n.Subnets[:min(len(asked), len(n.Subnets))], s.same)},
		{"routes", true, !slices.EqualFunc(d.Routes, n.Routes, sameRoute)},
		{"DNS servers", true, !slices.Equal(d.NetworkDNS, n.NetworkDNS)},
		{"DNS", d.Driver == bridgeDriver, d.DNSEnabled != n.DNSEnabled},
		{"internal", true, d.Internal != n.Internal},
		{"IPv6", s.IPv6, !n.IPv6Enabled},
		{"labels", true, !has(n.Labels, d.Labels)},
		{"options", true, !has(n.Options, d.Options)},
	} {
		if setting.asked && setting.differs {
			found = append(found, setting.name)
		}
	}
	return found, nil
}

// same tells whether a subnet is as it was asked for.
func (s Spec) same(asked, there subnet) bool {
	return asked.Subnet == there.Subnet && (len(s.Gateways) == 0 || asked.Gateway == there.Gateway) &&
		(len(s.Ranges) == 0 || asked.leased() == there.leased())
}

func (s subnet) leased() leaseRange {
	if s.LeaseRange == nil {
		return leaseRange{}
	}
	return *s.LeaseRange
}

func sameRoute(a, b route) bool {
	return a.Destination == b.Destination && a.Gateway == b.Gateway && (a.Metric == nil) == (b.Metric == nil) && (a.Metric == nil || *a.Metric == *b.Metric)
}

// has tells whether all of these are among the others.
func has(there, asked map[string]string) bool {
	for name, value := range asked {
		if got, ok := there[name]; !ok || got != value {
			return false
		}
	}
	return true
}
