package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/engine/usernet"
)

// checkPlace refuses bridges that a user cannot have.
func (a Adapter) checkPlace(ctx context.Context, r engine.NetworkRequest, list []spec.Attachment) error {
	if !a.Rootless {
		return nil
	}
	if home, err := a.home(ctx); err != nil {
		return err
	} else if home == "" {
		return fmt.Errorf("network %q: the bridges of a user are looked after by the user's service manager (systemd --user), and %s does not run: "+
			"`systemctl --user start %[2]s` tells why; Network=pasta needs no manager", list[0].Network, usernet.PastaUnit)
	}
	for _, at := range list {
		def, err := a.definition(at.Network)
		if err != nil {
			return err
		}
		if def.Driver != bridgeDriver {
			return fmt.Errorf("network %q: its driver %s puts containers on a device of the host, which is root's to do; a user's networks are bridges", at.Network, def.Driver)
		}
	}
	for _, m := range r.Publish {
		if m.Protocol == "sctp" {
			return fmt.Errorf("port %d/sctp cannot be published without root: tcp and udp can", m.ContainerPort)
		}
	}
	return nil
}

// inPlace calls f in a thread that is where the bridges are.
func (a Adapter) inPlace(ctx context.Context, f func() error) error {
	if a.Place == nil {
		return f()
	}
	return a.Place.Do(ctx, f)
}

// home is the ID of the place where the bridges are; "" when it is not there, and for the host's. When a plan has another one, all
// that was made for it has gone with its place.
func (a Adapter) home(ctx context.Context) (string, error) {
	if a.Place == nil {
		return "", nil
	}
	id, err := a.Place.ID(ctx)
	if errors.Is(err, usernet.ErrNone) {
		return "", nil
	}
	return id, err
}

// publish opens the ports of a user's container. The rules of root's are made by netavark.
func (a Adapter) publish(ctx context.Context, r engine.NetworkRequest, p *plan) error {
	if a.Place == nil {
		return nil
	}
	return a.Place.Publish(ctx, r.ID, p.forwards())
}

// forwards are the published ports, one by one, to the container's addresses on the first networks that have them.
func (p *plan) forwards() []usernet.Forward {
	var to []netip.Addr
	var near []string
	for _, name := range p.Order {
		d := p.Options.NetworkInfo[name]
		for _, s := range d.Subnets {
			near = append(near, s.Subnet)
		}
		if d.Internal { // nothing is published there
			continue
		}
		for _, ip := range p.Options.Networks[name].StaticIPs {
			address, err := netip.ParseAddr(ip)
			other := func(a netip.Addr) bool { return a.Is4() == address.Is4() }
			if err == nil && !slices.ContainsFunc(to, other) {
				to = append(to, address)
			}
		}
	}
	var list []usernet.Forward
	if len(to) == 0 {
		return nil
	}
	for _, m := range p.Options.PortMappings {
		for i := range max(m.Range, 1) {
			list = append(list, usernet.Forward{
				Protocol: strings.ToLower(m.Protocol), HostIP: m.HostIP, HostPort: m.HostPort + i, Port: m.ContainerPort + i, To: to, Near: near,
			})
		}
	}
	return list
}
