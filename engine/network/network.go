// Package network connects containers through netavark (as root, on bridges) and pasta (as a user). Network definitions
// are the files that Podman uses; addresses and ports are leased in the run directory, one file each, with no lock.
package network

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

// Adapter is an engine.Network.
type Adapter struct {
	Run      proc.Runner
	Netavark string   // path of the program
	Aardvark string   // path of aardvark-dns
	Pasta    string   // path of pasta
	Configs  []string // directories with NAME.json, searched in order
	Leases   string   // directory of the leases
	Live     func(id string) bool
	// StateDir is netavark's own directory, shared with Podman so that one aardvark-dns serves both.
	StateDir string
	Rootless bool
}

// plan is what Plan decided, recorded beside the container's state before anything is set up.
type plan struct {
	Version   int              `json:"version"`
	Pasta     bool             `json:"pasta,omitempty"`
	Options   *netavarkOptions `json:"options,omitempty"`
	Begun     bool             `json:"begun,omitempty"`  // netavark was called
	Leases    []string         `json:"leases,omitempty"` // below Adapter.Leases
	PastaArgs []string         `json:"pastaArgs,omitempty"`
}

const planVersion = 1

func planFile(dir string) string { return filepath.Join(dir, "network.json") }

// Plan picks addresses and ports and leases them.
func (a Adapter) Plan(_ context.Context, r engine.NetworkRequest) (engine.NetworkStatus, error) {
	mode, args := "bridge", ""
	if a.Rootless {
		mode = "pasta"
	}
	if len(r.Networks) > 1 {
		return engine.NetworkStatus{}, fmt.Errorf("%d networks for one container are not supported yet; give one", len(r.Networks))
	}
	if len(r.Networks) == 1 && r.Networks[0] != "" && r.Networks[0] != "private" {
		mode, args = cutOptions(r.Networks[0])
	}
	switch {
	case mode == "pasta":
		return a.planPasta(r, args)
	case a.Rootless:
		return engine.NetworkStatus{}, fmt.Errorf("network %q: without root a container has Network=none, host or pasta", mode)
	case mode == "bridge":
		mode = defaultNetwork
	}
	if args != "" {
		return engine.NetworkStatus{}, fmt.Errorf("network %s: options %q are not supported yet", mode, args)
	}
	return a.planBridge(r, mode)
}

func (a Adapter) planBridge(r engine.NetworkRequest, name string) (engine.NetworkStatus, error) {
	def, err := a.definition(name)
	if err != nil {
		return engine.NetworkStatus{}, err
	}
	if _, err := os.Stat(a.Netavark); err != nil {
		return engine.NetworkStatus{}, fmt.Errorf("netavark is not at %s; install the package netavark, or use Network=host or none", a.Netavark)
	}
	p := &plan{Version: planVersion, Options: newOptions(r, def)}
	status := engine.NetworkStatus{}
	for _, subnet := range def.Subnets {
		address, err := a.leaseAddress(r, p, def.Name, subnet)
		if err != nil {
			return status, err
		}
		status.Addresses = append(status.Addresses, address.String())
		if subnet.Gateway != "" {
			status.Gateways = append(status.Gateways, subnet.Gateway)
		}
	}
	p.Options.Networks[def.Name] = perNetwork{StaticIPs: status.Addresses, Aliases: r.Aliases, InterfaceName: "eth0"}
	if p.Options.PortMappings, err = a.leasePorts(r, p); err != nil {
		return status, err
	}
	if def.DNSEnabled && !def.Internal {
		status.DNSServers = status.Gateways
	}
	return status, a.record(r, p)
}

func (a Adapter) record(r engine.NetworkRequest, p *plan) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return atomicfile.Write(planFile(r.Dir), data, 0o600)
}

func (a Adapter) recorded(r engine.NetworkRequest) (*plan, error) {
	data, err := os.ReadFile(planFile(r.Dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p := &plan{}
	if err := json.Unmarshal(data, p); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", planFile(r.Dir), err)
	}
	if p.Version > planVersion {
		return nil, fmt.Errorf("%s has version %d, this berth knows up to %d", planFile(r.Dir), p.Version, planVersion)
	}
	return p, nil
}

// Setup connects the network namespace.
func (a Adapter) Setup(ctx context.Context, r engine.NetworkRequest) error {
	p, err := a.recorded(r)
	switch {
	case err != nil:
		return err
	case p == nil:
		return errors.New("network was not planned")
	case p.Pasta:
		return a.startPasta(ctx, r, p)
	}
	unlock, err := a.lock()
	if err != nil {
		return err
	}
	defer unlock()
	p.Begun = true
	if err := a.record(r, p); err != nil {
		return err
	}
	return a.netavark(ctx, "setup", r.NetNS, p.Options)
}

// Teardown undoes what Plan and Setup did. r.NetNS names the container's namespace, or is empty when that is gone.
func (a Adapter) Teardown(ctx context.Context, r engine.NetworkRequest) error {
	p, err := a.recorded(r)
	if err != nil || p == nil {
		return err
	}
	if p.Options != nil && p.Begun {
		unlock, err := a.lock()
		if err != nil {
			return err
		}
		defer unlock()
		if err := a.teardownBridge(ctx, r, p.Options); err != nil {
			return err // the leases stay until the rules that use them are gone
		}
	}
	var errs []error
	if p.Pasta {
		errs = append(errs, stopPasta(r))
	}
	for _, lease := range p.Leases {
		errs = append(errs, a.release(lease, r.ID))
	}
	return errors.Join(errs...)
}

// lock keeps other berths from calling netavark meanwhile: it looks at the bridge and the rules, and changes them then. The
// kernel gives the lock back when its holder ends, however that happens.
func (a Adapter) lock() (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(a.Leases), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(filepath.Dir(a.Leases), "netavark.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := atomicfile.Lock(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("wait for netavark's turn: %w", err)
	}
	return func() { f.Close() }, nil
}

// definition is a network as Podman writes it into NAME.json.
type definition struct {
	Name             string            `json:"name"`
	ID               string            `json:"id"`
	Driver           string            `json:"driver"`
	NetworkInterface string            `json:"network_interface,omitempty"`
	Created          string            `json:"created,omitempty"`
	Subnets          []subnet          `json:"subnets,omitempty"`
	Routes           json.RawMessage   `json:"routes,omitempty"`
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

// defaultNetwork is the one that is always there, with Podman's ID, subnet and bridge, so that both use the same.
const defaultNetwork = "podman"

func (a Adapter) definition(name string) (definition, error) {
	if err := spec.CheckName(name); err != nil {
		return definition{}, fmt.Errorf("network: %w", err)
	}
	for _, dir := range a.Configs {
		path := filepath.Join(dir, name+".json")
		data, err := os.ReadFile(path)
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
		return definition{}, fmt.Errorf("network %q is not there: no %s.json in %v", name, name, a.Configs)
	}
	return builtin(), nil
}

// builtin is the default network.
func builtin() definition {
	return definition{
		Name: defaultNetwork, ID: "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9", Driver: "bridge",
		NetworkInterface: "podman0", Created: "2000-01-01T00:00:00Z",
		Subnets:     []subnet{{Subnet: "10.88.0.0/16", Gateway: "10.88.0.1"}},
		IPAMOptions: map[string]string{"driver": "host-local"},
	}
}

// bounds are the first and last address that may be leased: the lease range, else all between network and broadcast.
func (s subnet) bounds() (first, last netip.Addr, err error) {
	prefix, err := netip.ParsePrefix(s.Subnet)
	if err != nil {
		return first, last, fmt.Errorf("subnet %q: %w", s.Subnet, err)
	}
	prefix = prefix.Masked()
	first, last = prefix.Addr().Next(), lastAddress(prefix)
	if prefix.Addr().Is4() {
		last = last.Prev()
	}
	if s.LeaseRange == nil {
		return first, last, nil
	}
	if s.LeaseRange.StartIP != "" {
		if first, err = netip.ParseAddr(s.LeaseRange.StartIP); err != nil {
			return first, last, err
		}
	}
	if s.LeaseRange.EndIP != "" {
		last, err = netip.ParseAddr(s.LeaseRange.EndIP)
	}
	return first, last, err
}

func lastAddress(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
