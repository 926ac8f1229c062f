package network

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/lease"
	"github.com/berth-pods/berth/engine/spec"
)

func (a Adapter) leases() lease.Dir { return lease.Dir{Path: a.Leases, Live: a.Live} }

// try records the lease in the plan before it is taken, so that a killed berth leaves none that nobody knows of.
func (a Adapter) try(r engine.NetworkRequest, p *plan, name string) (bool, error) {
	if a.leases().Holder(name) != "" {
		return false, nil // nothing to record: most tries in a full network end here
	}
	p.Leases = append(p.Leases, name)
	if err := a.record(r, p); err != nil {
		return false, err
	}
	ok, err := a.leases().Take(name, r.ID)
	if !ok {
		p.Leases = p.Leases[:len(p.Leases)-1]
	}
	return ok, err
}

// leaseAddresses leases an address of each subnet: the one that was asked for, if it is of that subnet, else a free one.
func (a Adapter) leaseAddresses(r engine.NetworkRequest, p *plan, d definition, asked []string) ([]string, error) {
	if d.ipam() != ipamLocal {
		if len(asked) > 0 {
			return nil, fmt.Errorf("network %q: addresses cannot be chosen: its IPAM driver is %s", d.Name, d.ipam())
		}
		return nil, nil
	}
	var list []string
	left := slices.Clone(asked)
	for _, s := range d.Subnets {
		prefix, err := netip.ParsePrefix(s.Subnet)
		if err != nil {
			return nil, fmt.Errorf("network %q: subnet %q: %w", d.Name, s.Subnet, err)
		}
		r.IP = ""
		if i := slices.IndexFunc(left, func(ip string) bool { a, err := netip.ParseAddr(ip); return err == nil && prefix.Contains(a) }); i >= 0 {
			r.IP = left[i]
			left = slices.Delete(left, i, i+1)
		}
		ip, err := a.leaseAddress(r, p, d.Name, s)
		if err != nil {
			return nil, err
		}
		list = append(list, ip.String())
	}
	if len(left) > 0 {
		return nil, fmt.Errorf("address %s is in no subnet of network %q, which has %s", left[0], d.Name, subnets(d))
	}
	return list, nil
}

func subnets(d definition) string {
	var words []string
	for _, s := range d.Subnets {
		words = append(words, s.Subnet)
	}
	return strings.Join(words, ", ")
}

// leaseAddress leases the address that was asked for, or a free one. The search begins at a place that the container's
// name decides, so that a container gets the same address again whenever it can.
func (a Adapter) leaseAddress(r engine.NetworkRequest, p *plan, network string, s subnet) (netip.Addr, error) {
	name := func(ip netip.Addr) string { return addressLease(network, ip.String()) }
	if r.IP != "" {
		first, last, err := s.hosts()
		if err != nil {
			return netip.Addr{}, fmt.Errorf("network %q: %w", network, err)
		}
		ip, err := netip.ParseAddr(r.IP)
		if err != nil || ip.Less(first) || last.Less(ip) {
			return netip.Addr{}, fmt.Errorf("address %q is none of network %q, which has %s to %s", r.IP, network, first, last)
		}
		ok, err := a.try(r, p, name(ip))
		if err == nil && !ok {
			err = &engine.HeldError{Holder: a.leases().Holder(name(ip)), Reason: fmt.Sprintf("address %s of network %q is in use by another container", ip, network)}
		}
		return ip, err
	}
	first, last, err := s.bounds()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("network %q: %w", network, err)
	}
	size := distance(first, last) + 1
	start := spread(r.Name, size)
	for i := range min(size, maxTries) {
		ip := nth(first, (start+i)%size)
		if ip.String() == s.Gateway {
			continue
		}
		if ok, err := a.try(r, p, name(ip)); ok || err != nil {
			return ip, err
		}
	}
	return netip.Addr{}, fmt.Errorf("network %q has no free address left between %s and %s; remove containers or widen its subnet %s", network, first, last, s.Subnet)
}

// maxTries bounds the search in a large subnet: with so many taken in a row something else is wrong.
const maxTries = 1 << 17

// spread gives a name its place. Podman hands addresses out from the bottom, so the upper half comes first.
func spread(name string, size uint64) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	half := size / 2
	return half + h.Sum64()%max(size-half, 1)
}

func distance(first, last netip.Addr) uint64 {
	var d, f big.Int
	d.SetBytes(last.AsSlice())
	f.SetBytes(first.AsSlice())
	d.Sub(&d, &f)
	if !d.IsUint64() {
		return 1 << 40
	}
	return min(d.Uint64(), 1<<40)
}

func nth(first netip.Addr, n uint64) netip.Addr {
	var v big.Int
	v.SetBytes(first.AsSlice())
	v.Add(&v, new(big.Int).SetUint64(n))
	a, _ := netip.AddrFromSlice(v.FillBytes(make([]byte, len(first.AsSlice()))))
	return a
}

// leasePorts leases the host ports that are to be published and chooses those left open.
func (a Adapter) leasePorts(r engine.NetworkRequest, p *plan) ([]spec.PortMapping, error) {
	var list []spec.PortMapping
	for _, m := range r.Publish {
		if m.HostPort != 0 {
			for i := range m.Range {
				if err := a.leasePort(r, p, m, m.HostPort+i); err != nil {
					return nil, err
				}
			}
			list = append(list, m)
			continue
		}
		for i := range m.Range {
			port, err := a.anyPort(r, p, m)
			if err != nil {
				return nil, err
			}
			list = append(list, spec.PortMapping{HostIP: m.HostIP, HostPort: port, ContainerPort: m.ContainerPort + i, Range: 1, Protocol: m.Protocol})
		}
	}
	return list, nil
}

// anyAddress stands in a lease for a port of all addresses.
const anyAddress = "any"

// portLease names the lease of a port: ports/PROTOCOL-PORT-ADDRESS.
func portLease(m spec.PortMapping, port uint16) string {
	ip := m.HostIP
	if ip == "" {
		ip = anyAddress
	}
	return filepath.Join("ports", portPrefix(m, port)+ip)
}

func portPrefix(m spec.PortMapping, port uint16) string {
	return fmt.Sprintf("%s-%d-", m.Protocol, port)
}

// rival returns another container that publishes the same port on an address that overlaps with m's, or "". Each container
// looks after it has its own lease, so that of two that come at the same time at least one sees the other.
func (a Adapter) rival(id string, m spec.PortMapping, port uint16) string {
	own := portLease(m, port)
	_, address, _ := strings.Cut(own, portPrefix(m, port))
	list, _ := os.ReadDir(filepath.Join(a.Leases, "ports"))
	for _, e := range list {
		other, ok := strings.CutPrefix(e.Name(), portPrefix(m, port))
		if !ok || other == address || !overlap(address, other) {
			continue
		}
		if holder := a.leases().Holder(filepath.Join("ports", e.Name())); holder != "" && holder != id {
			return holder
		}
	}
	return ""
}

// overlap reports whether a packet can be for both addresses: one of them is the other, or all of its kind.
func overlap(a, b string) bool {
	if a == b || a == anyAddress || b == anyAddress {
		return true
	}
	x, err1 := netip.ParseAddr(a)
	y, err2 := netip.ParseAddr(b)
	if err1 != nil || err2 != nil {
		return false
	}
	return x == y || x.Is4() == y.Is4() && (x.IsUnspecified() || y.IsUnspecified())
}

func (a Adapter) leasePort(r engine.NetworkRequest, p *plan, m spec.PortMapping, port uint16) error {
	ok, err := a.try(r, p, portLease(m, port))
	if err != nil {
		return err
	}
	holder := a.rival(r.ID, m, port)
	if !ok {
		holder, _ = os.Readlink(filepath.Join(a.Leases, portLease(m, port)))
	}
	if holder == r.ID {
		return fmt.Errorf("port %d/%s is published twice; leave one of the two out", port, m.Protocol)
	}
	if holder != "" || !ok {
		return &engine.HeldError{Holder: holder, Reason: fmt.Sprintf("port %d/%s is published by another container (%.12s); choose another one", port, m.Protocol, holder)}
	}
	if err := free(m, port); err != nil {
		if errors.Is(err, unix.EACCES) {
			return fmt.Errorf("port %d/%s: ports below %s are root's: choose a higher one, or let an administrator lower net.ipv4.ip_unprivileged_port_start", port, m.Protocol, firstFreePort())
		}
		return fmt.Errorf("port %d/%s: %w; `ss -lnp` shows who has it", port, m.Protocol, err)
	}
	return nil
}

// firstFreePort is the lowest port that a user may have (ip(7), ip_unprivileged_port_start).
func firstFreePort() string {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil {
		return "1024"
	}
	return strings.TrimSpace(string(text))
}

// free reports an error when a program of the host listens on the port. netavark's rules would take its traffic away
// without a word.
func free(m spec.PortMapping, port uint16) error {
	address := net.JoinHostPort(m.HostIP, strconv.Itoa(int(port)))
	switch m.Protocol {
	case "tcp":
		l, err := net.Listen("tcp", address)
		if err != nil {
			return inUse(err)
		}
		return l.Close()
	case "udp":
		l, err := net.ListenPacket("udp", address)
		if err != nil {
			return inUse(err)
		}
		return l.Close()
	}
	return nil
}

// kernelsChoice is a port that is free at this moment. There is no listener for sctp here; a port free for tcp will do.
func kernelsChoice(m spec.PortMapping) (uint16, error) {
	address := net.JoinHostPort(m.HostIP, "0")
	if m.Protocol == "udp" {
		l, err := net.ListenPacket("udp", address)
		if err != nil {
			return 0, err
		}
		return uint16(l.LocalAddr().(*net.UDPAddr).Port), l.Close()
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return 0, err
	}
	return uint16(l.Addr().(*net.TCPAddr).Port), l.Close()
}

// inUse takes the system's reason out of the library's sentence.
func inUse(err error) error {
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		return sys.Err
	}
	return err
}

// anyPort lets the kernel choose a free port.
func (a Adapter) anyPort(r engine.NetworkRequest, p *plan, m spec.PortMapping) (uint16, error) {
	for range 100 {
		port, err := kernelsChoice(m)
		if err != nil {
			return 0, inUse(err)
		}
		ok, err := a.try(r, p, portLease(m, port))
		if err != nil || ok && a.rival(r.ID, m, port) == "" {
			return port, err
		}
	}
	return 0, errors.New("no free port was found for a published port without a number")
}

// addressLease names the lease of an address: net/NETWORK/ADDRESS.
func addressLease(network, ip string) string { return filepath.Join("net", network, ip) }
