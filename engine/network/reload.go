package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/proc"
)

// Reload lets netavark make the rules and names of a running container anew, as after a reload of the firewall. netavark
// makes them together with the interface, so it is shown a stand-in for the container's namespace, with the same
// addresses: the container's own interface is not touched, and its connections go on.
func (a Adapter) Reload(ctx context.Context, r engine.NetworkRequest) error {
	unlock, err := a.lock()
	if err != nil {
		return err
	}
	defer unlock()
	p, err := a.recorded(r)
	if err != nil || p == nil || p.Options == nil || !p.Begun {
		return err
	}
	if home, err := a.home(ctx); err != nil || p.Home != home {
		return err
	}
	o := p.Options.bridges()
	if len(o.Networks) == 0 {
		return nil
	}
	// What is left of the rules goes first, or they would be there twice; that something is missing is no error here. The
	// container's interface is still on its bridge, so netavark sees that the bridge is in use.
	gone, err := standIn(o)
	if err != nil {
		return err
	}
	dropped := a.takeDown(ctx, namespacePath(gone), o)
	gone.Close()
	ns, err := emptyNamespace()
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := a.netavark(ctx, "setup", namespacePath(ns), o); err != nil {
		return errors.Join(fmt.Errorf("rules of container %q: %w", r.Name, err), dropped)
	}
	return nil
}

func namespacePath(f *os.File) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()) }

// bridges is the options for those of the networks that have rules.
func (o netavarkOptions) bridges() *netavarkOptions {
	networks, info := map[string]perNetwork{}, map[string]definition{}
	for name, d := range o.NetworkInfo {
		if d.Driver == bridgeDriver {
			networks[name], info[name] = o.Networks[name], d
		}
	}
	o.Networks, o.NetworkInfo = networks, info
	return &o
}

// Update tells the name server which servers a network asks, if a container is on the network now.
func (a Adapter) Update(ctx context.Context, n Network) error {
	if !a.hasNames(n.Name()) {
		return nil
	}
	unlock, err := a.lock()
	if err != nil {
		return err
	}
	defer unlock()
	args := append(a.flags(), "update", n.Name(), "--network-dns-servers", strings.Join(n.NetworkDNS, ","))
	err = a.inPlace(ctx, func() error {
		_, err := a.Run(ctx, proc.Command{Path: a.Netavark, Args: args, Env: a.environment(netavarkOptions{})})
		return err
	})
	var exit *proc.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("netavark update: %s", netavarkError(exit))
	}
	return err
}

// emptyNamespace makes a network namespace with nothing in it.
func emptyNamespace() (*os.File, error) {
	return inNewThread(func() (*os.File, error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return nil, proc.NoNamespace("net", err)
		}
		return os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
	})
}
