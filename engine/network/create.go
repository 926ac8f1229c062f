package network

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/spec"
)

// Spec is a network that is to be made.
type Spec struct {
	Name      string
	Driver    string // bridge, macvlan, ipvlan; "" for bridge
	IPAM      string // host-local, dhcp, none; "" for what suits the driver
	Interface string // of the host: the bridge, "" for the next free podmanN; or the device that macvlan and ipvlan sit on
	Subnets   []string
	Gateways  []string // one for each subnet, in order; missing ones are the first address
	Ranges    []string // of the addresses to lease, one for each subnet; FIRST-LAST or a prefix
	Routes    []string // DESTINATION,GATEWAY[,METRIC]
	DNS       []string // servers that the network's own one asks
	NoDNS     bool
	Internal  bool // no way out
	IPv6      bool
	Labels    map[string]string
	Options   map[string]string
}

// Network is a network as others may see it.
type Network struct {
	definition
	Path string // of its file; "" for the one that is always there
}

// Name returns the name of the network.
func (n Network) Name() string { return n.definition.Name }

// Driver returns the name of its driver.
func (n Network) Driver() string { return n.definition.Driver }

// Fields are Podman's fields of templates that JSON leaves out when they are empty, or names otherwise.
func (n Network) Fields() map[string]any {
	filled := func(m map[string]string) map[string]string {
		if m == nil {
			m = map[string]string{}
		}
		return m
	}
	return map[string]any{
		"Labels": filled(n.Labels), "Options": filled(n.Options), "IPAMOptions": filled(n.IPAMOptions), "Subnets": append([]subnet{}, n.Subnets...),
		"Routes": append([]route{}, n.Routes...), "NetworkDNSServers": append([]string{}, n.NetworkDNS...), "NetworkInterface": n.NetworkInterface,
	}
}

// Errors that are named after what they say.
var (
	ErrExists = errors.New("network exists")
	ErrNone   = errors.New("no such network")
)

// Registry looks after the files of networks, which are Podman's.
type Registry struct {
	Dirs []string // searched in order; new files go into the first
	// Used returns the prefixes that the host's own routes have.
	Used func() ([]netip.Prefix, error)
	Now  func() time.Time
	// Default is the subnet of the default network, Pools are where new networks get theirs from; "" and none for Podman's.
	Default string
	Pools   []Pool
}

// Pool is a subnet that is divided into others.
type Pool struct {
	Base string
	Size int // bits of each
}

// pools are Podman's, as default_subnet_pools of containers.conf(5).
var pools = []Pool{{"10.89.0.0/16", 24}, {"10.90.0.0/15", 24}, {"10.92.0.0/14", 24}, {"10.96.0.0/11", 24}, {"10.128.0.0/9", 24}}

// Create makes the network's file.
func (r Registry) Create(s Spec) (Network, error) {
	if err := spec.CheckName(s.Name); err != nil {
		return Network{}, fmt.Errorf("network: %w", err)
	}
	if slices.Contains(reservedNames, s.Name) {
		return Network{}, fmt.Errorf("network name %q means something else where containers name networks; choose another one", s.Name)
	}
	if err := os.MkdirAll(r.Dirs[0], 0o755); err != nil {
		return Network{}, err
	}
	lock, err := atomicfile.LockDir(r.Dirs[0]) // two that come at the same time must not choose the same subnet
	if err != nil {
		return Network{}, fmt.Errorf("wait for the turn to make a network: %w", err)
	}
	defer lock.Close()
	all, err := r.List()
	if err != nil {
		return Network{}, err
	}
	for _, n := range all {
		if n.Name() == s.Name {
			return n, fmt.Errorf("%w: %q", ErrExists, s.Name)
		}
	}
	d, err := r.define(s, all)
	if err != nil {
		return Network{}, fmt.Errorf("network %q: %w", s.Name, err)
	}
	return Network{d, r.path(s.Name)}, r.write(d)
}

// reservedNames are the words that mean something else after --network.
var reservedNames = []string{"none", "host", "bridge", "private", "default", "container", "ns", "pasta", "slirp4netns", "pod"}

func (r Registry) path(name string) string { return filepath.Join(r.Dirs[0], name+".json") }

func (r Registry) write(d definition) error {
	data, err := json.MarshalIndent(d, "", "     ")
	if err != nil {
		return err
	}
	return atomicfile.Write(r.path(d.Name), append(data, '\n'), 0o644)
}

// define works out what was not said.
func (r Registry) define(s Spec, all []Network) (definition, error) {
	id := make([]byte, 32)
	if _, err := rand.Read(id); err != nil {
		return definition{}, err
	}
	d := definition{
		Name: s.Name, ID: hex.EncodeToString(id), Driver: cmp.Or(s.Driver, bridgeDriver), Created: r.Now().UTC().Format(time.RFC3339Nano),
		NetworkInterface: s.Interface, Internal: s.Internal, IPv6Enabled: s.IPv6, NetworkDNS: s.DNS, Labels: s.Labels,
	}
	d.DNSEnabled = !s.NoDNS && d.Driver == bridgeDriver
	if err := d.setOptions(s.Options); err != nil {
		return d, err
	}
	if err := d.chooseIPAM(s); err != nil {
		return d, err
	}
	if err := d.chooseInterface(all); err != nil {
		return d, err
	}
	for _, dns := range s.DNS {
		if _, err := netip.ParseAddr(dns); err != nil {
			return d, fmt.Errorf("name server %q is not an IP address", dns)
		}
	}
	var err error
	if d.Routes, err = parseRoutes(s.Routes); err != nil {
		return d, err
	}
	if d.ipam() != ipamLocal {
		return d, nil
	}
	return d, r.chooseSubnets(&d, s, all)
}

// chooseIPAM decides who hands addresses out. A macvlan without a subnet is part of a network that has a DHCP server.
func (d *definition) chooseIPAM(s Spec) error {
	driver := s.IPAM
	if driver == "" {
		driver = ipamLocal
		if d.Driver == macvlanDriver && len(s.Subnets) == 0 {
			driver = ipamDHCP
		}
	}
	switch {
	case driver != ipamLocal && driver != ipamDHCP && driver != ipamNone:
		return fmt.Errorf("IPAM driver %q is not known; host-local, dhcp and none are", driver)
	case driver == ipamDHCP && d.Driver == ipvlanDriver:
		return errors.New("IPAM driver dhcp does not work with ipvlan: all its interfaces have one hardware address")
	case driver == ipamDHCP && d.Driver == bridgeDriver && d.Options["mode"] != "unmanaged":
		return errors.New("IPAM driver dhcp is for macvlan, and for a bridge that berth does not manage (--opt mode=unmanaged)")
	case driver != ipamLocal && len(s.Subnets) > 0:
		return fmt.Errorf("a subnet has no meaning with IPAM driver %s", driver)
	case driver == ipamLocal && d.Driver == ipvlanDriver && len(s.Subnets) == 0:
		return errors.New("an ipvlan network needs a --subnet, or --ipam-driver none")
	}
	d.IPAMOptions = map[string]string{"driver": driver}
	return nil
}

// chooseInterface names the bridge; the other drivers sit on a device of the host, "" for the one of the default route.
func (d *definition) chooseInterface(all []Network) error {
	if d.NetworkInterface != "" {
		if err := spec.CheckInterface(d.NetworkInterface); err != nil {
			return err
		}
	}
	if d.Driver != bridgeDriver {
		return nil
	}
	if d.NetworkInterface == "" {
		d.NetworkInterface = freeInterface(all)
		return nil
	}
	for _, n := range all {
		if n.NetworkInterface == d.NetworkInterface && n.Driver() == bridgeDriver && d.Options["mode"] != "unmanaged" {
			return fmt.Errorf("bridge %s is that of network %q", d.NetworkInterface, n.Name())
		}
	}
	return nil
}

// chooseSubnets takes the subnets that were asked for, or finds free ones.
func (r Registry) chooseSubnets(d *definition, s Spec, all []Network) error {
	if len(s.Gateways) > len(s.Subnets) || len(s.Ranges) > len(s.Subnets) {
		return errors.New("there are more gateways or ranges than subnets")
	}
	taken, err := r.taken(all)
	if err != nil {
		return err
	}
	for i, text := range s.Subnets {
		sub, err := parseSubnet(text, at(s.Gateways, i), at(s.Ranges, i))
		if err != nil {
			return err
		}
		prefix := netip.MustParsePrefix(sub.Subnet)
		if other, overlaps := overlapping(prefix, taken); overlaps && d.Driver == bridgeDriver { // the others share a network of the world
			return fmt.Errorf("subnet %s is used already: %s", sub.Subnet, other)
		}
		taken[prefix] = "the network itself has " + sub.Subnet
		d.Subnets = append(d.Subnets, sub)
		d.IPv6Enabled = d.IPv6Enabled || strings.Contains(sub.Subnet, ":")
	}
	if len(d.Subnets) == 0 {
		if d.Driver != bridgeDriver {
			return fmt.Errorf("a %s network with IPAM driver host-local needs a --subnet", d.Driver)
		}
		sub, err := r.freeSubnet(taken)
		if err != nil {
			return err
		}
		d.Subnets = append(d.Subnets, sub)
	}
	if s.IPv6 && !hasIPv6(d.Subnets) {
		id, err := hex.DecodeString(d.ID)
		if err != nil {
			return err
		}
		d.Subnets = append(d.Subnets, uniqueLocal(id))
	}
	return nil
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

func hasIPv6(list []subnet) bool {
	for _, s := range list {
		if strings.Contains(s.Subnet, ":") {
			return true
		}
	}
	return false
}

// uniqueLocal is an IPv6 subnet that is very likely nobody else's (RFC 4193): its number comes from the network's ID.
func uniqueLocal(id []byte) subnet {
	var a [16]byte
	a[0] = 0xfd
	copy(a[1:8], id)
	prefix := netip.PrefixFrom(netip.AddrFrom16(a), 64)
	return subnet{Subnet: prefix.String(), Gateway: prefix.Addr().Next().String()}
}

// freeInterface is the first podmanN that no network has; podman0 is the default network's.
func freeInterface(all []Network) string {
	used := map[string]bool{}
	for _, n := range all {
		used[n.NetworkInterface] = true
	}
	for i := 1; ; i++ {
		name := "podman" + strconv.Itoa(i)
		if _, err := os.Stat(filepath.Join("/sys/class/net", name)); !used[name] && errors.Is(err, fs.ErrNotExist) {
			return name
		}
	}
}

// taken are the prefixes that a new subnet must not overlap: those of the networks, and of the host's routes.
func (r Registry) taken(all []Network) (map[netip.Prefix]string, error) {
	taken := map[netip.Prefix]string{}
	routes, err := r.Used()
	if err != nil {
		return nil, err
	}
	for _, p := range routes {
		taken[p.Masked()] = "the host has a route to " + p.String()
	}
	for _, n := range all {
		for _, s := range n.Subnets {
			if p, err := netip.ParsePrefix(s.Subnet); err == nil {
				taken[p.Masked()] = fmt.Sprintf("network %q has %s", n.Name(), p)
			}
		}
	}
	return taken, nil
}

func overlapping(p netip.Prefix, taken map[netip.Prefix]string) (string, bool) {
	var found []string
	for other, text := range taken {
		if other.Overlaps(p) && other.Bits() > 0 { // a default route takes nothing
			found = append(found, text)
		}
	}
	sort.Strings(found)
	return strings.Join(found, ", "), len(found) > 0
}

// freeSubnet is the first one of the pools that nobody has.
func (r Registry) freeSubnet(taken map[netip.Prefix]string) (subnet, error) {
	from := r.Pools
	if len(from) == 0 {
		from = pools
	}
	for _, pool := range from {
		base, err := netip.ParsePrefix(pool.Base)
		if err != nil || !base.Addr().Is4() || pool.Size < base.Bits() || pool.Size > 30 {
			return subnet{}, fmt.Errorf("containers.conf: default_subnet_pools: base=%q, size=%d is no subnet ADDRESS/BITS of IPv4 with the bits, up to 30, of its parts", pool.Base, pool.Size)
		}
		for a := base.Masked().Addr(); base.Contains(a); {
			p := netip.PrefixFrom(a, pool.Size)
			if _, used := overlapping(p, taken); !used {
				return subnet{Subnet: p.String(), Gateway: p.Addr().Next().String()}, nil
			}
			if a = lastAddress(p).Next(); !a.IsValid() {
				break
			}
		}
	}
	return subnet{}, fmt.Errorf("no free subnet is left in %s to %s; name one with --subnet", from[0].Base, from[len(from)-1].Base)
}

func parseSubnet(text, gateway, leases string) (subnet, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return subnet{}, fmt.Errorf("subnet %q is not ADDRESS/BITS", text)
	}
	p = p.Masked()
	s := subnet{Subnet: p.String(), Gateway: p.Addr().Next().String()}
	if gateway != "" {
		g, err := netip.ParseAddr(gateway)
		if err != nil || !p.Contains(g) {
			return subnet{}, fmt.Errorf("gateway %q is no address of %s", gateway, p)
		}
		s.Gateway = g.String()
	}
	if leases == "" {
		return s, nil
	}
	first, last, ok := strings.Cut(leases, "-")
	if r, err := netip.ParsePrefix(leases); err == nil {
		first, last, ok = r.Masked().Addr().Next().String(), lastAddress(r.Masked()).String(), true
	}
	a, err1 := netip.ParseAddr(first)
	b, err2 := netip.ParseAddr(last)
	if !ok || err1 != nil || err2 != nil || !p.Contains(a) || !p.Contains(b) || b.Less(a) {
		return subnet{}, fmt.Errorf("range %q is not FIRST-LAST or ADDRESS/BITS within %s", leases, p)
	}
	s.LeaseRange = &leaseRange{StartIP: a.String(), EndIP: b.String()}
	return s, nil
}

// List returns all networks, sorted by name; the default one is among them. A file that cannot be read is an error.
func (r Registry) List() ([]Network, error) {
	found := map[string]Network{}
	for _, dir := range r.Dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.json"))
		if err != nil {
			return nil, err
		}
		for _, path := range files {
			data, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				continue // removed meanwhile
			}
			if err != nil {
				return nil, err
			}
			var d definition
			if err := json.Unmarshal(data, &d); err != nil {
				return nil, fmt.Errorf("network file %s: %w", path, err)
			}
			if _, ok := found[d.Name]; !ok {
				found[d.Name] = Network{d, path}
			}
		}
	}
	if _, ok := found[defaultNetwork]; !ok {
		d, err := builtin(r.Default)
		if err != nil {
			return nil, err
		}
		found[defaultNetwork] = Network{definition: d}
	}
	list := make([]Network, 0, len(found))
	for _, name := range spec.SortedKeys(found) {
		list = append(list, found[name])
	}
	return list, nil
}

// Find returns the network of that name, or whose ID begins with it; ErrNone when there is none.
func (r Registry) Find(name string) (Network, error) {
	list, err := r.List()
	if err != nil {
		return Network{}, err
	}
	var byID []Network
	for _, n := range list {
		if n.Name() == name {
			return n, nil
		}
		if len(name) >= 3 && strings.HasPrefix(n.ID, name) {
			byID = append(byID, n)
		}
	}
	switch len(byID) {
	case 0:
		return Network{}, fmt.Errorf("%w: %q", ErrNone, name)
	case 1:
		return byID[0], nil
	}
	return Network{}, fmt.Errorf("%q is the beginning of %d network IDs; give more digits", name, len(byID))
}

// take finds a network and keeps others from changing it until the lock is closed. The one that has no file needs no lock.
func (r Registry) take(name string) (n Network, lock *os.File, err error) {
	if n, err = r.Find(name); err != nil || n.Path == "" {
		return n, nil, err
	}
	if lock, err = atomicfile.LockDir(filepath.Dir(n.Path)); err != nil {
		return n, nil, fmt.Errorf("wait for the turn to change network %q: %w", name, err)
	}
	if n, err = r.Find(name); err != nil { // as it is now
		lock.Close()
		return n, nil, err
	}
	return n, lock, nil
}

// Update changes the servers that a network's own name server asks, and returns the network as it is then.
func (r Registry) Update(name string, add, drop []string) (Network, error) {
	n, lock, err := r.take(name)
	if err != nil {
		return n, err
	}
	defer lock.Close()
	if n.Driver() != bridgeDriver || !n.DNSEnabled {
		return n, fmt.Errorf("network %q has no name server of its own", name)
	}
	for _, ip := range append(slices.Clone(add), drop...) {
		if _, err := netip.ParseAddr(ip); err != nil {
			return n, fmt.Errorf("name server %q is not an IP address", ip)
		}
	}
	var servers []string
	for _, ip := range append(slices.Clone(n.NetworkDNS), add...) {
		if !slices.Contains(drop, ip) && !slices.Contains(servers, ip) {
			servers = append(servers, ip)
		}
	}
	n.NetworkDNS = servers
	data, err := json.MarshalIndent(n.definition, "", "     ")
	if err != nil {
		return n, err
	}
	return n, atomicfile.Write(n.Path, append(data, '\n'), 0o644)
}

// Remove deletes the network's file, unless unused says why it must not. Nobody reads the network meanwhile (see definition): who is
// known to be on it before he does so is seen by unused, or does not find it.
func (r Registry) Remove(name string, unused func(Network) error) error {
	n, lock, err := r.take(name)
	if err != nil {
		return err
	}
	defer lock.Close()
	if n.Path == "" {
		return fmt.Errorf("network %q is always there and cannot be removed", name)
	}
	if err := unused(n); err != nil {
		return err
	}
	if err := os.Remove(n.Path); err != nil {
		return fmt.Errorf("remove network %q: %w", name, err)
	}
	return atomicfile.SyncDir(filepath.Dir(n.Path))
}

// Connected reports whether something is on the network's own bridge. Where no container of ours is, it is one of Podman's.
func (n Network) Connected() (bool, error) {
	if n.Driver() != bridgeDriver || n.Options["mode"] == "unmanaged" {
		return false, nil
	}
	_, ports, err := bridgePorts(n.NetworkInterface)
	return ports > 0, err
}

// Routes reads the prefixes of the host's routes (proc_net(5), route and ipv6_route).
func Routes() ([]netip.Prefix, error) {
	text, err := os.ReadFile("/proc/self/net/route")
	if err != nil {
		return nil, err
	}
	var list []netip.Prefix
	for _, line := range strings.Split(string(text), "\n")[1:] {
		if p, ok := hostRoute(strings.Fields(line)); ok {
			list = append(list, p)
		}
	}
	return list, nil
}

// hostRoute reads a line's second and eighth field: address and mask, as hexadecimal numbers in the host's byte order.
func hostRoute(fields []string) (netip.Prefix, bool) {
	if len(fields) < 8 {
		return netip.Prefix{}, false
	}
	address, err1 := strconv.ParseUint(fields[1], 16, 32)
	mask, err2 := strconv.ParseUint(fields[7], 16, 32)
	if err1 != nil || err2 != nil {
		return netip.Prefix{}, false
	}
	bits := 0
	for ; mask != 0; mask &= mask - 1 {
		bits++
	}
	a := netip.AddrFrom4([4]byte{byte(address), byte(address >> 8), byte(address >> 16), byte(address >> 24)})
	return netip.PrefixFrom(a, bits), true
}
