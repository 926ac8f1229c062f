// Package network connects containers through netavark (as root, on bridges) and pasta (as a user). Network definitions
// are the files that Podman uses; addresses and ports are leased in the run directory, one file each, with no lock.
package network

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/engine/usernet"
)

// Adapter is an engine.Network.
type Adapter struct {
	Run      proc.Runner
	Netavark string   // path of the program
	Aardvark string   // path of aardvark-dns, or of the program that starts it
	Pasta    string   // path of pasta
	Configs  []string // directories with NAME.json, searched in order
	Leases   string   // directory of the leases
	Live     func(id string) bool
	// StateDir is netavark's own directory, shared with Podman so that one aardvark-dns serves both.
	StateDir string
	Rootless bool
	// Firewall is the driver of netavark's that makes the rules of root's bridges; "" lets netavark choose.
	Firewall string
	// DNSPort is where the name server of root's bridges listens; 0 for the usual port.
	DNSPort uint16
	// DeviceNames gives an interface in a container the name of the device that its network is on, where that is none of ours.
	DeviceNames bool
	// DefaultSubnet is that of the default network; "" for Podman's.
	DefaultSubnet string
	// PastaOptions are words of pasta's own for all containers; those of one of them come later.
	PastaOptions []string
	// Patience is how long netavark may take; setupPatience or patience when it is 0.
	Patience time.Duration
	// Machine tells this machine's containers from those of the same names elsewhere: hardware addresses come from it.
	Machine string
	// Place is where a user's bridges are; nil for root's, which are on the host.
	Place Place
	// StartDHCP starts netavark's DHCP client, which renews the leases of containers.
	StartDHCP func(ctx context.Context) error
}

// Place is a network namespace of a user's own, with a program that forwards ports to it.
type Place interface {
	// ID tells the namespace from all others; usernet.ErrNone when it is not there.
	ID(ctx context.Context) (string, error)
	// Do calls f in a thread that is in the namespace.
	Do(ctx context.Context, f func() error) error
	// Publish opens the ports of a container, in place of those that it had; Withdraw closes them.
	Publish(ctx context.Context, id string, list []usernet.Forward) error
	Withdraw(ctx context.Context, id string) error
}

// plan is what Plan decided, recorded beside the container's state before anything is set up.
type plan struct {
	Version   int              `json:"version"`
	Pasta     bool             `json:"pasta,omitempty"`
	Options   *netavarkOptions `json:"options,omitempty"`
	Order     []string         `json:"order,omitempty"`  // the networks, as they were named
	Begun     bool             `json:"begun,omitempty"`  // netavark was called
	Home      string           `json:"home,omitempty"`   // Place that it was called in
	Leases    []string         `json:"leases,omitempty"` // below Adapter.Leases
	PastaArgs []string         `json:"pastaArgs,omitempty"`
}

const planVersion = 1

// firewalls are the drivers that netavark has.
var firewalls = []string{"firewalld", "iptables", "nftables", "none"}

func planFile(dir string) string { return filepath.Join(dir, "network.json") }

// Plan picks addresses and ports and leases them.
func (a Adapter) Plan(ctx context.Context, r engine.NetworkRequest) (engine.NetworkStatus, error) {
	n, err := spec.ParseNetworks(r.Networks, r.IP, r.IP6, r.MAC, r.Aliases)
	switch {
	case err != nil:
		return engine.NetworkStatus{}, err
	case n.Mode == "pasta":
		return a.planPasta(r, n.Argument)
	case n.Mode != "":
		return engine.NetworkStatus{}, fmt.Errorf("network %s connects nothing", n.Mode)
	case a.Rootless && n.Default:
		return a.planPasta(r, "")
	}
	if err := a.checkPlace(ctx, r, n.Attach); err != nil {
		return engine.NetworkStatus{}, err
	}
	return a.planBridges(r, n.Attach)
}

func (a Adapter) planBridges(r engine.NetworkRequest, list []spec.Attachment) (engine.NetworkStatus, error) {
	if _, err := os.Stat(a.Netavark); err != nil {
		return engine.NetworkStatus{}, fmt.Errorf("netavark is not at %s; install the package netavark, or use Network=host or none", a.Netavark)
	}
	p := &plan{Version: planVersion, Options: newOptions(r)}
	if !a.Rootless { // in a user's own network there is no firewall but netavark's
		p.Options.DNSPort = a.DNSPort
		if p.Options.Firewall = a.Firewall; a.Firewall != "" && !slices.Contains(firewalls, a.Firewall) {
			return engine.NetworkStatus{}, fmt.Errorf("firewall_driver = %q in containers.conf: known are %s", a.Firewall, strings.Join(firewalls, ", "))
		}
	}
	for _, at := range list {
		if err := a.attach(r, p, at); err != nil {
			return engine.NetworkStatus{}, err
		}
	}
	var err error
	if p.Options.PortMappings, err = a.leasePorts(r, p); err != nil {
		return engine.NetworkStatus{}, err
	}
	status := a.status(p)
	status.Published = p.Options.PortMappings
	return status, a.record(r, p)
}

// attach adds a network to the plan and leases the container's addresses on it.
func (a Adapter) attach(r engine.NetworkRequest, p *plan, at spec.Attachment) error {
	def, err := a.definition(at.Network)
	if err != nil {
		return err
	}
	per := perNetwork{Aliases: append(at.Aliases, r.ID[:min(12, len(r.ID))]), InterfaceName: at.Interface, StaticMAC: at.MAC}
	if per.InterfaceName == "" {
		per.InterfaceName = p.freeInterface(a.deviceName(def))
	}
	if per.StaticMAC == "" && def.Driver != "ipvlan" { // its interfaces share the host's
		per.StaticMAC = a.hardwareAddress(r.Name, def.Name)
	}
	if at.HostInterface != "" {
		per.Options = map[string]string{"host_interface_name": at.HostInterface}
	}
	if per.StaticIPs, err = a.leaseAddresses(r, p, def, at.IPs); err != nil {
		return err
	}
	p.Options.Networks[def.Name], p.Options.NetworkInfo[def.Name] = per, def
	p.Order = append(p.Order, def.Name)
	return nil
}

// deviceName is the name that is wanted for an interface on a network; "" for any.
func (a Adapter) deviceName(def definition) string {
	if !a.DeviceNames || def.Driver == bridgeDriver {
		return ""
	}
	return def.NetworkInterface
}

// freeInterface is the wanted name, or the first ethN, that the plan does not have.
func (p *plan) freeInterface(wanted string) string {
	used := map[string]bool{"": true}
	for _, n := range p.Options.Networks {
		used[n.InterfaceName] = true
	}
	if !used[wanted] {
		return wanted
	}
	for i := 0; ; i++ {
		if name := fmt.Sprint("eth", i); !used[name] {
			return name
		}
	}
}

// status tells what the plan comes to.
func (p *plan) status() engine.NetworkStatus {
	var s engine.NetworkStatus
	for _, name := range p.Order {
		per, def := p.Options.Networks[name], p.Options.NetworkInfo[name]
		at := engine.Attached{Network: name, NetworkID: def.ID, Interface: per.InterfaceName, MAC: per.StaticMAC, Aliases: per.Aliases}
		for _, ip := range per.StaticIPs {
			at.Addresses = append(at.Addresses, def.withPrefix(ip))
		}
		for _, subnet := range def.Subnets {
			if subnet.Gateway != "" {
				at.Gateways = append(at.Gateways, subnet.Gateway)
			}
		}
		s.Addresses, s.Host = append(s.Addresses, per.StaticIPs...), append(s.Host, at.Gateways...)
		if def.DNSEnabled && def.Driver == bridgeDriver {
			s.DNSServers, s.Search = append(s.DNSServers, at.Gateways...), []string{"dns.podman"}
		}
		s.Attached = append(s.Attached, at)
	}
	return s
}

// status is that of the plan. A user's bridge is not the machine's, which is behind his pasta.
func (a Adapter) status(p *plan) engine.NetworkStatus {
	s := p.status()
	if a.Place != nil {
		s.Host = nil
		for _, def := range p.Options.NetworkInfo {
			if !def.Internal {
				s.Host = []string{pastaHost}
			}
		}
	}
	return s
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
	if p.Options != nil && len(p.Order) == 0 { // of a berth that knew one network a container
		p.Order = spec.SortedKeys(p.Options.Networks)
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
	if err := a.readyForDHCP(ctx, p.Options); err != nil {
		return err
	}
	unlock, err := a.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := a.begin(ctx, r, p); err != nil {
		return err
	}
	if err := a.setUp(ctx, r.NetNS, p.Options); err != nil {
		return err
	}
	return a.publish(ctx, r, p)
}

// begin records that netavark is called, and where.
func (a Adapter) begin(ctx context.Context, r engine.NetworkRequest, p *plan) error {
	if a.Place != nil {
		home, err := a.Place.ID(ctx)
		if err != nil {
			return err
		}
		p.Home = home
	}
	p.Begun = true
	return a.record(r, p)
}

// Teardown undoes what Plan and Setup did. r.NetNS names the container's namespace, or is empty when that is gone.
func (a Adapter) Teardown(ctx context.Context, r engine.NetworkRequest) error {
	p, err := a.recorded(r)
	if err != nil || p == nil {
		return err
	}
	if p.Options != nil {
		unlock, err := a.lock()
		if err != nil {
			return err
		}
		defer unlock()
		if p, err = a.recorded(r); err != nil || p == nil { // somebody may have connected it to another network meanwhile
			return err
		}
		if a.Place != nil {
			if err := a.Place.Withdraw(ctx, r.ID); err != nil {
				return err
			}
		}
		home, err := a.home(ctx)
		if err != nil {
			return err
		}
		if p.Begun && len(p.Options.Networks) > 0 && p.Home == home {
			if err := a.readyForDHCP(ctx, p.Options); err != nil { // netavark gives the lease back through it
				return err
			}
			if err := a.teardownBridge(ctx, r, p.Options); err != nil {
				// The leases stay until the rules that use them are gone. A user's network may have gone meanwhile, with all rules.
				if now, homeErr := a.home(ctx); homeErr != nil || now == home {
					return err
				}
			}
			// Another removal of the same container may wait for the lock. It must not call netavark again: by then the
			// addresses, and the rules for them, may be somebody else's.
			p.Begun = false
			if err := a.record(r, p); err != nil {
				return err
			}
		}
	}
	var errs []error
	if p.Pasta {
		errs = append(errs, stopPasta(ctx, r))
	}
	for _, lease := range p.Leases {
		errs = append(errs, a.leases().Release(lease, r.ID))
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
