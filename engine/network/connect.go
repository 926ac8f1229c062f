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
	p, unlock, err := a.change(ctx, r)
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
	if err := a.begin(ctx, r, p); err != nil {
		return undo(err)
	}
	if err := a.setUp(ctx, r.NetNS, options); err != nil {
		return undo(err)
	}
	if err := a.publish(ctx, r, p); err != nil {
		if downErr := a.teardownBridge(ctx, r, options); downErr != nil { // it goes with the container's end
			return engine.NetworkStatus{}, errors.Join(err, downErr)
		}
		_, err = undo(err)
		_ = a.publish(ctx, r, p) // as it was; if that fails too it has been told
		return engine.NetworkStatus{}, err
	}
	return a.status(p), nil
}

// Disconnect takes a running container off a network.
func (a Adapter) Disconnect(ctx context.Context, r engine.NetworkRequest, network string) (engine.NetworkStatus, error) {
	p, unlock, err := a.change(ctx, r)
	if err != nil {
		return engine.NetworkStatus{}, err
	}
	defer unlock()
	per, there := p.Options.Networks[network]
	if !there {
		return engine.NetworkStatus{}, fmt.Errorf("container %q is not on network %q", r.Name, network)
	}
	if err := a.record(r, p); err != nil { // as it is: where there is no room for that, there is none for the change
		return engine.NetworkStatus{}, err
	}
	options, order := p.Options.only(network), slices.Clone(p.Order)
	p.drop(network)
	err = a.publish(ctx, r, p) // first, since it can be taken back
	if err == nil {
		err = a.teardownBridge(ctx, r, options)
	}
	if err != nil {
		p.Options.Networks[network], p.Options.NetworkInfo[network], p.Order = per, options.NetworkInfo[network], order
		_ = a.publish(ctx, r, p) // as it was; if that fails too it has been told
		return engine.NetworkStatus{}, err
	}
	if err := a.record(r, p); err != nil {
		return engine.NetworkStatus{}, err
	}
	p.Leases = slices.DeleteFunc(p.Leases, func(lease string) bool { // one that stays goes with the container's end
		of := func(ip string) bool { return lease == addressLease(network, ip) }
		return slices.ContainsFunc(per.StaticIPs, of) && a.leases().Release(lease, r.ID) == nil
	})
	_ = a.record(r, p) // what was given back is not this container's any more, whatever is written
	return a.status(p), nil
}

// change takes netavark's turn and reads the plan of a container that is on bridges.
func (a Adapter) change(ctx context.Context, r engine.NetworkRequest) (*plan, func(), error) {
	unlock, err := a.lock()
	if err != nil {
		return nil, nil, err
	}
	p, err := a.recorded(r)
	if err == nil && (p == nil || p.Options == nil) {
		err = fmt.Errorf("container %q is on no bridge network: its networks cannot be changed while it runs", r.Name)
	}
	home := ""
	if err == nil {
		home, err = a.home(ctx)
	}
	if err == nil && p.Home != home {
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
