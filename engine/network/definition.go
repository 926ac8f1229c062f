package network

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/spec"
)

// definition is a network as Podman writes it into NAME.json.
type definition struct {
	Name             string            `json:"name"`
	ID               string            `json:"id"`
	Driver           string            `json:"driver"`
	NetworkInterface string            `json:"network_interface,omitempty"`
	Created          string            `json:"created,omitempty"`
	Subnets          []subnet          `json:"subnets,omitempty"`
	Routes           []route           `json:"routes,omitempty"`
	IPv6Enabled      bool              `json:"ipv6_enabled"`
	Internal         bool              `json:"internal"`
	DNSEnabled       bool              `json:"dns_enabled"`
	NetworkDNS       []string          `json:"network_dns_servers,omitempty"`
	Labels           map[string]string `json:"labels,omitempty"`
	Options          map[string]string `json:"options,omitempty"`
	IPAMOptions      map[string]string `json:"ipam_options,omitempty"`
}

type subnet struct {
	Subnet     string      `json:"subnet"`
	Gateway    string      `json:"gateway,omitempty"`
	LeaseRange *leaseRange `json:"lease_range,omitempty"`
}

type leaseRange struct {
	StartIP string `json:"start_ip,omitempty"`
	EndIP   string `json:"end_ip,omitempty"`
}

type route struct {
	Destination string  `json:"destination"`
	Gateway     string  `json:"gateway"`
	Metric      *uint32 `json:"metric,omitempty"`
}

// The drivers of netavark.
const (
	bridgeDriver  = "bridge"
	macvlanDriver = "macvlan"
	ipvlanDriver  = "ipvlan"
)

// The ways to hand addresses out: by the leases here, by the network's DHCP server, or not at all.
const (
	ipamLocal = "host-local"
	ipamDHCP  = "dhcp"
	ipamNone  = "none"
)

// ipam is the way that the network's addresses are handed out.
func (d definition) ipam() string {
	if driver := d.IPAMOptions["driver"]; driver != "" {
		return driver
	}
	return ipamLocal
}

// withPrefix writes the address with the length of its subnet's prefix.
func (d definition) withPrefix(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	for _, s := range d.Subnets {
		if p, err := netip.ParsePrefix(s.Subnet); err == nil && p.Contains(a) {
			return fmt.Sprintf("%s/%d", ip, p.Bits())
		}
	}
	return ip
}

// defaultNetwork is the one that is always there, with Podman's ID, subnet and bridge, so that both use the same.
const defaultNetwork = spec.DefaultNetwork

// definition reads a network, which nobody removes meanwhile.
func (a Adapter) definition(name string) (definition, error) {
	if err := spec.CheckName(name); err != nil {
		return definition{}, fmt.Errorf("network: %w", err)
	}
	for _, dir := range a.Configs {
		path := filepath.Join(dir, name+".json")
		data, err := readLocked(dir, path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return definition{}, fmt.Errorf("network %q: %w", name, err)
		}
		var d definition
		if err := json.Unmarshal(data, &d); err != nil {
			return definition{}, fmt.Errorf("network %q: %s: %w", name, path, err)
		}
		return d, nil
	}
	if name != defaultNetwork {
		unit := strings.TrimPrefix(name, "systemd-") // whose name its file leaves to the generator
		return definition{}, fmt.Errorf("network %q is not there: no %[1]s.json in %[2]v; `berth network create %[1]s` makes it. That of a file %[3]s.network is Network=%[3]s.network, and a restart of %[3]s-network.service makes it anew",
			name, a.Configs, unit)
	}
	return builtin(a.DefaultSubnet)
}

// readLocked reads a file of a directory that nobody changes meanwhile.
func readLocked(dir, path string) ([]byte, error) {
	lock, err := atomicfile.LockDirShared(dir)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	return os.ReadFile(path)
}

// builtin is the default network, with the subnet that containers.conf(5) names.
func builtin(own string) (definition, error) {
	sub := subnet{Subnet: "10.88.0.0/16", Gateway: "10.88.0.1"}
	if own != "" {
		p, err := netip.ParsePrefix(own)
		if err != nil {
			return definition{}, fmt.Errorf("containers.conf: default_subnet=%q is not ADDRESS/BITS", own)
		}
		p = p.Masked()
		sub = subnet{Subnet: p.String(), Gateway: p.Addr().Next().String()}
	}
	return definition{
		Name: defaultNetwork, ID: "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9", Driver: bridgeDriver,
		NetworkInterface: "podman0", Created: "2000-01-01T00:00:00Z",
		Subnets:     []subnet{sub},
		IPAMOptions: map[string]string{"driver": ipamLocal},
	}, nil
}

// hosts are the first and last address that a container may ask for: all between network and broadcast. A subnet of one or two
// addresses has neither of these (RFC 3021).
func (s subnet) hosts() (first, last netip.Addr, err error) {
	prefix, err := netip.ParsePrefix(s.Subnet)
	if err != nil {
		return first, last, fmt.Errorf("subnet %q: %w", s.Subnet, err)
	}
	prefix = prefix.Masked()
	first, last = prefix.Addr(), lastAddress(prefix)
	if size := first.BitLen() - prefix.Bits(); size > 1 {
		first = first.Next()
		if first.Is4() {
			last = last.Prev()
		}
	}
	return first, last, nil
}

// bounds are the first and last address that may be handed out to whom asks for none: those of the lease range, else all that the subnet has.
func (s subnet) bounds() (first, last netip.Addr, err error) {
	lowest, highest, err := s.hosts()
	first, last = lowest, highest
	if err != nil || s.LeaseRange == nil {
		return first, last, err
	}
	if s.LeaseRange.StartIP != "" {
		if first, err = netip.ParseAddr(s.LeaseRange.StartIP); err != nil {
			return first, last, err
		}
	}
	if s.LeaseRange.EndIP != "" {
		if last, err = netip.ParseAddr(s.LeaseRange.EndIP); err != nil {
			return first, last, err
		}
	}
	asked := fmt.Sprintf("%s to %s", first, last)
	prefix := netip.MustParsePrefix(s.Subnet)
	inside := prefix.Contains(first) && prefix.Contains(last)
	if first.Less(lowest) { // the network's own address
		first = lowest
	}
	if highest.Less(last) { // the one for all of the network, as the upper half of a subnet has it
		last = highest
	}
	if !inside || last.Less(first) {
		return first, last, fmt.Errorf("subnet %q has no addresses from %s, as its lease range says", s.Subnet, asked)
	}
	return first, last, nil
}

func lastAddress(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// hardwareAddress makes a container's address on a network: the same one each time, so that a DHCP server and the
// neighbours know it again, but another one on another machine.
func (a Adapter) hardwareAddress(container, network string) string {
	sum := sha256.Sum256([]byte(a.Machine + "\x00" + network + "\x00" + container))
	if a.Machine == "" {
		rand.Read(sum[:6])
	}
	sum[0] = sum[0]&^1 | 2 // one device's (I/G bit), and locally chosen (U/L bit)
	return net.HardwareAddr(sum[:6]).String()
}
