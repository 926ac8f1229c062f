package units

// Network is [Network].
type Network struct {
	Shared

	DisableDNS          Bool
	DNS                 List
	Driver              String
	Gateway             List
	InterfaceName       String
	Internal            Bool
	IPAMDriver          String
	IPRange             List
	IPv6                Bool
	Label               Pairs
	NetworkDeleteOnStop Bool
	NetworkName         String
	Options             Pairs
	Subnet              List
}

func checkNetwork(u *Unit, n *Network) {
	switch {
	case len(n.Subnet) == 0 && len(n.Gateway) > 0:
		u.Errorf(n.Gateway[0].At, "cannot set gateway or range without subnet")
	case len(n.Subnet) == 0 && len(n.IPRange) > 0:
		u.Errorf(n.IPRange[0].At, "cannot set gateway or range without subnet")
	case len(n.Gateway) > len(n.Subnet):
		u.Errorf(n.Gateway[len(n.Subnet)].At, "cannot set more gateways than subnets")
	case len(n.IPRange) > len(n.Subnet):
		u.Errorf(n.IPRange[len(n.Subnet)].At, "cannot set more ranges than subnets")
	}
}
