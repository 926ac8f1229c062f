package network

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/engine/usernet"
)

// Connect puts a running container on one more network. The published ports come along: they stay reachable when the
// container is taken off the network that had them.
func (a Adapter) Connect(ctx context.Context, r engine.NetworkRequest, at spec.Attachment) (engine.NetworkStatus, error) {
	p, unlock, err := a.change(r)
	if err != nil {
		return engine.NetworkStatus{}, err
	}
	defer unlock()
	if _, there := p.Options.Networks[at.Network]; there {
		return engine.NetworkStatus{}, fmt.Errorf("container %q is on network %q already", r.Name, at.Network)
	}
	leases := slices.Clone(p.Leases)
	undo := func(err error) (engine.NetworkStatus, error) {
		errs := []error{err}
		for _, lease := range p.Leases {
			if !slices.Contains(leases, lease) {
				errs = append(errs, a.leases().Release(lease, r.ID))
			}
		}
		p.drop(at.Network)
		p.Leases = leases
		return engine.NetworkStatus{}, errors.Join(append(errs, a.record(r, p))...)
	}
	if err := a.attach(r, p, at); err != nil {
		return undo(err)
	}
	options := p.Options.only(at.Network)
	if err := a.readyForDHCP(ctx, options); err != nil {
		return undo(err)
	}
	p.begin(a)
	if err := a.record(r, p); err != nil {
		return undo(err)
	}
	if err := a.setUp(ctx, r.NetNS, options); err != nil {
		return undo(err)
	}
	return a.status(p), a.publish(r, p)
}

// Disconnect takes a running container off a network.
func (a Adapter) Disconnect(ctx context.Context, r engine.NetworkRequest, network string) (engine.NetworkStatus, error) {
	p, unlock, err := a.change(r)
	if err != nil {
		return engine.NetworkStatus{}, err
	}
	defer unlock()
	per, there := p.Options.Networks[network]
	if !there {
		return engine.NetworkStatus{}, fmt.Errorf("container %q is not on network %q", r.Name, network)
	}
	if err := a.teardownBridge(ctx, r, p.Options.only(network)); err != nil {
		return engine.NetworkStatus{}, err
	}
	var errs []error
	for _, ip := range per.StaticIPs {
		lease := addressLease(network, ip)
		errs = append(errs, a.leases().Release(lease, r.ID))
		p.Leases = slices.DeleteFunc(p.Leases, func(l string) bool { return l == lease })
	}
	p.drop(network)
	return a.status(p), errors.Join(append(errs, a.record(r, p), a.publish(r, p))...)
}

// change takes netavark's turn and reads the plan of a container that is on bridges.
func (a Adapter) change(r engine.NetworkRequest) (*plan, func(), error) {
	unlock, err := a.lock()
	if err != nil {
		return nil, nil, err
	}
	p, err := a.recorded(r)
	if err == nil && (p == nil || p.Options == nil) {
		err = fmt.Errorf("container %q is on no bridge network: its networks cannot be changed while it runs", r.Name)
	}
	if err == nil && a.left(p) {
		err = fmt.Errorf("container %q was started in a network that is gone since %s was stopped; restart it", r.Name, usernet.HolderUnit)
	}
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return p, unlock, nil
}

func (p *plan) drop(network string) {
	delete(p.Options.Networks, network)
	delete(p.Options.NetworkInfo, network)
	p.Order = slices.DeleteFunc(p.Order, func(n string) bool { return n == network })
}

// readyForDHCP starts netavark's DHCP client when one of the networks needs it.
func (a Adapter) readyForDHCP(ctx context.Context, o *netavarkOptions) error {
	for _, name := range spec.SortedKeys(o.NetworkInfo) {
		if o.NetworkInfo[name].ipam() == ipamDHCP {
			if err := a.StartDHCP(ctx); err != nil {
				return fmt.Errorf("network %q: %w", name, err)
			}
			return nil
		}
	}
	return nil
}
