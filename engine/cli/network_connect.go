package cli

import (
	"context"
	"errors"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/spec"
)

type networkConnectOptions struct {
	aliases      []string
	ip, ip6, mac string
}

func (o *networkConnectOptions) flags(set *pflag.FlagSet) {
	set.StringArrayVar(&o.aliases, "alias", nil, "add a `NAME` on the network")
	set.StringVar(&o.ip, "ip", "", "use this IPv4 `ADDRESS` of the network")
	set.StringVar(&o.ip6, "ip6", "", "use this IPv6 `ADDRESS` of the network")
	set.StringVar(&o.mac, "mac-address", "", "use this hardware `ADDRESS` on the network")
}

func networkConnectVerb() Verb {
	var o networkConnectOptions
	return Verb{
		Name: "network connect", Usage: "[OPTION…] NETWORK CONTAINER", Summary: "put a container on a network",
		Text: "A container that runs gets one more interface at once. One that outlives its end has the network at its next starts, too; what a\n" +
			"container of a unit file is to have then stands in that file.",
		Flags: o.flags, Userns: needsUserns, Run: runNetworkConnect,
	}
}

func runNetworkConnect(ctx context.Context, env *Env, args []string) error {
	var o networkConnectOptions
	set := newFlagSet("connect")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	name, e, err := networkAndContainer(env, set)
	if err != nil {
		return err
	}
	n, err := spec.ParseNetworks([]string{name}, o.ip, o.ip6, o.mac, o.aliases)
	if err != nil {
		return err
	}
	if n.Mode != "" {
		return errors.New("a container is put on a network by its name; " + n.Mode + " is none")
	}
	return e.Connect(ctx, set.Arg(1), n.Attach[0])
}

// networkAndContainer checks the two words and returns the network's name.
func networkAndContainer(env *Env, set *pflag.FlagSet) (string, *engine.Engine, error) {
	if set.NArg() != 2 {
		return "", nil, errors.New("name a network and a container")
	}
	r, err := networks()
	if err != nil {
		return "", nil, err
	}
	n, err := r.Find(set.Arg(0))
	if err != nil {
		return "", nil, err
	}
	e, err := newEngine(env)
	return n.Name(), e, err
}

func networkDisconnectVerb() Verb {
	return Verb{
		Name: "network disconnect", Usage: "[OPTION…] NETWORK CONTAINER", Summary: "take a container off a network",
		Removes: true,
		Flags:   networkDisconnectFlags, Userns: needsUserns, Run: runNetworkDisconnect,
	}
}

func networkDisconnectFlags(set *pflag.FlagSet) {
	set.BoolP("force", "f", false, "no effect: a container that runs is taken off anyway")
}

func runNetworkDisconnect(ctx context.Context, env *Env, args []string) error {
	set := newFlagSet("disconnect")
	networkDisconnectFlags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	name, e, err := networkAndContainer(env, set)
	if err != nil {
		return err
	}
	return e.Disconnect(ctx, set.Arg(1), name)
}
