package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine/events"
	"github.com/berth-pods/berth/engine/network"
	"github.com/berth-pods/berth/engine/spec"
)

type networkCreateOptions struct {
	ignore  bool
	labels  []string
	options []string
	network.Spec
}

func (o *networkCreateOptions) flags(set *pflag.FlagSet) {
	set.BoolVar(&o.ignore, "ignore", false, "a network of that name is no error")
	set.StringVarP(&o.Driver, "driver", "d", "bridge", "`DRIVER` of the network: bridge, macvlan or ipvlan")
	set.StringVar(&o.IPAM, "ipam-driver", "", "`DRIVER` that hands addresses out: host-local, dhcp or none (default: dhcp for a macvlan without a subnet, else host-local)")
	set.StringVar(&o.Interface, "interface-name", "", "`NAME` of the bridge on the host (default: the next free podmanN), or of the device that macvlan and ipvlan sit on")
	set.StringArrayVar(&o.Subnets, "subnet", nil, "`ADDRESS/BITS` of the network (default: a free one in 10.89.0.0/16 and above); may be given again, for IPv6 too")
	set.StringArrayVar(&o.Gateways, "gateway", nil, "`ADDRESS` of the host in the subnet (default: the first one)")
	set.StringArrayVar(&o.Ranges, "ip-range", nil, "addresses to hand out, `FIRST-LAST` or ADDRESS/BITS (default: all of the subnet)")
	set.StringArrayVar(&o.Routes, "route", nil, "add a route to the containers: `DESTINATION,GATEWAY[,METRIC]`")
	set.StringArrayVar(&o.DNS, "dns", nil, "`ADDRESS` of a name server that the network's own one asks")
	set.BoolVar(&o.NoDNS, "disable-dns", false, "containers do not find each other by name")
	set.BoolVar(&o.Internal, "internal", false, "no way out of the network")
	set.BoolVar(&o.IPv6, "ipv6", false, "IPv6 addresses too")
	set.StringArrayVar(&o.labels, "label", nil, "add a label, `NAME=VALUE`")
	set.StringArrayVarP(&o.options, "opt", "o", nil, "`NAME=VALUE` for the driver: mtu, metric, mode, no_default_route; vlan, isolate and vrf of a bridge; parent of macvlan and ipvlan")
}

func networkCreateVerb() Verb {
	var o networkCreateOptions
	return Verb{
		Name: "network create", Usage: "[OPTION…] [NAME]", Summary: "make a network",
		Text: `Containers of a network find each other by name. What belongs together gets a network of its own. A macvlan or ipvlan
network puts the containers on a network that the host is on, with addresses of their own there.`,
		Flags: o.flags, Run: runNetworkCreate,
	}
}

func runNetworkCreate(_ context.Context, env *Env, args []string) error {
	var o networkCreateOptions
	set := newFlagSet("create")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 1 {
		return errors.New("name one network")
	}
	o.Spec.Name = set.Arg(0)
	if set.NArg() == 0 {
		id := make([]byte, 6)
		if _, err := rand.Read(id); err != nil {
			return err
		}
		o.Spec.Name = "berth-" + hex.EncodeToString(id)
	}
	for _, word := range o.options {
		if name, _, ok := strings.Cut(word, "="); !ok || name == "" {
			return fmt.Errorf("network %q: option %q is not NAME=VALUE", o.Spec.Name, word)
		}
	}
	r, err := networks()
	if err != nil {
		return err
	}
	o.Labels, o.Options = spec.Labels(o.labels), spec.Labels(o.options)
	o.DNS = apart(o.DNS)
	for i, g := range o.Gateways {
		o.Gateways[i] = strings.TrimSpace(g)
	}
	n, err := r.Create(o.Spec)
	if err == nil {
		events.Event{Type: "network", What: []string{"create"}, ID: n.ID, Name: n.Name(), Network: n.Name(), Attributes: n.Labels}.Send()
	}
	if o.ignore && errors.Is(err, network.ErrExists) {
		tellOther(env, r, n, o.Spec)
	} else if err != nil {
		return err
	}
	_, err = fmt.Fprintln(env.Out, n.Name())
	return err
}

// tellOther tells that a network that is there already is not as it was asked for, as after a change of its file.
func tellOther(env *Env, r network.Registry, n network.Network, asked network.Spec) {
	differs, err := r.Differs(n, asked)
	if err != nil {
		fmt.Fprintf(env.Err, "network %q is there and stays as it is; as it is asked for now it could not be made: %v\n", n.Name(), err)
	}
	if len(differs) > 0 {
		fmt.Fprintf(env.Err, "network %q is there with other settings (%s) and stays as it is; `berth network rm %[1]s`, when no container is on it, has it made anew\n", n.Name(), strings.Join(differs, ", "))
	}
}
