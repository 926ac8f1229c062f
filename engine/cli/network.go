package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine/config"
	"github.com/berth-pods/berth/engine/network"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/engine/store"
)

func networkVerb() Verb {
	return Verb{
		Name: "network", Usage: "COMMAND", Summary: "make, list and remove networks",
		Text: "Networks are bridges on the host, made by netavark when the first container joins. Their files are Podman's.",
		Sub:  []Verb{networkCreateVerb(), networkExistsVerb(), networkInspectVerb(), networkLsVerb(), networkRmVerb()},
		Run: func(context.Context, *Env, []string) error {
			return errors.New("name a command: `berth network --help` lists them")
		},
	}
}

// networks is the registry of the caller's networks.
func networks() (network.Registry, error) {
	conf, err := config.Load(os.Getenv("HOME"), rootlessMode())
	if err != nil {
		return network.Registry{}, err
	}
	root, err := (&store.Store{}).Root()
	if err != nil {
		return network.Registry{}, err
	}
	return network.Registry{Dirs: conf.NetworkDirs(root, rootlessMode()), Used: network.Routes, Now: time.Now}, nil
}

type networkCreateOptions struct {
	ignore     bool
	ipamDriver string
	labels     []string
	options    []string
	network.Spec
}

func (o *networkCreateOptions) flags(set *pflag.FlagSet) {
	set.BoolVar(&o.ignore, "ignore", false, "a network of that name is no error")
	set.StringVarP(&o.Driver, "driver", "d", "bridge", "`DRIVER` of the network; bridge is the only one yet")
	set.StringVar(&o.ipamDriver, "ipam-driver", "host-local", "`DRIVER` that hands addresses out; host-local is the only one yet")
	set.StringVar(&o.Interface, "interface-name", "", "`NAME` of the bridge on the host (default: the next free podmanN)")
	set.StringArrayVar(&o.Subnets, "subnet", nil, "`ADDRESS/BITS` of the network (default: a free one in 10.89.0.0/16 and above)")
	set.StringArrayVar(&o.Gateways, "gateway", nil, "`ADDRESS` of the host in the subnet (default: the first one)")
	set.StringArrayVar(&o.Ranges, "ip-range", nil, "addresses to hand out, `FIRST-LAST` or ADDRESS/BITS (default: all of the subnet)")
	set.StringArrayVar(&o.DNS, "dns", nil, "`ADDRESS` of a name server that the network's own one asks")
	set.BoolVar(&o.NoDNS, "disable-dns", false, "containers do not find each other by name")
	set.BoolVar(&o.Internal, "internal", false, "no way out of the network")
	set.BoolVar(&o.IPv6, "ipv6", false, "IPv6 addresses too")
	set.StringArrayVar(&o.labels, "label", nil, "add a label, `NAME=VALUE`")
	set.StringArrayVarP(&o.options, "opt", "o", nil, "`NAME=VALUE` for the driver, such as mtu=1400 or isolate=true")
}

func networkCreateVerb() Verb {
	var o networkCreateOptions
	return Verb{
		Name: "network create", Usage: "[OPTION…] NAME", Summary: "make a network",
		Text:  "Containers of a network find each other by name. What belongs together gets a network of its own.",
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
	if set.NArg() != 1 {
		return errors.New("name one network")
	}
	if o.ipamDriver != "host-local" && o.ipamDriver != "" {
		return fmt.Errorf("network %q: IPAM driver %q is not supported yet; host-local is", set.Arg(0), o.ipamDriver)
	}
	r, err := networks()
	if err != nil {
		return err
	}
	o.Spec.Name, o.Labels, o.Options = set.Arg(0), spec.Labels(o.labels), spec.Labels(o.options)
	for i, g := range o.Gateways {
		o.Gateways[i] = strings.TrimSpace(g)
	}
	n, err := r.Create(o.Spec)
	if err != nil && !(o.ignore && errors.Is(err, network.ErrExists)) {
		return err
	}
	_, err = fmt.Fprintln(env.Out, n.Name())
	return err
}

func networkExistsVerb() Verb {
	return Verb{
		Name: "network exists", Usage: "NAME", Summary: "end with 0 if there is such a network, else with 1",
		Run: func(_ context.Context, _ *Env, args []string) error {
			if len(args) != 1 {
				return errors.New("name one network")
			}
			r, err := networks()
			if err == nil {
				_, err = r.Find(args[0])
			}
			if errors.Is(err, network.ErrNone) {
				return &ExitError{Code: 1}
			}
			return err
		},
	}
}

func networkInspectVerb() Verb {
	return Verb{Name: "network inspect", Usage: "NAME…", Summary: "show what is known of networks, as JSON", Run: runNetworkInspect}
}

func runNetworkInspect(_ context.Context, env *Env, args []string) error {
	set := newFlagSet("inspect")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() == 0 {
		return errors.New("no network is named")
	}
	r, err := networks()
	if err != nil {
		return err
	}
	list := []network.Network{}
	var errs []error
	for _, name := range set.Args() {
		n, err := r.Find(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, n)
	}
	return errors.Join(append(errs, printJSON(env.Out, list))...)
}

func networkLsVerb() Verb {
	return Verb{
		Name: "network ls", Aliases: []string{"list"}, Usage: "[OPTION…]", Summary: "list networks",
		Flags: func(set *pflag.FlagSet) { set.BoolP("quiet", "q", false, "print names only") },
		Run:   runNetworkLs,
	}
}

func runNetworkLs(_ context.Context, env *Env, args []string) error {
	set := newFlagSet("ls")
	quiet := set.BoolP("quiet", "q", false, "")
	if err := set.Parse(args); err != nil {
		return err
	}
	r, err := networks()
	if err != nil {
		return err
	}
	list, err := r.List()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(env.Out, 0, 8, 2, ' ', 0)
	if !*quiet {
		fmt.Fprintln(table, "NETWORK ID\tNAME\tDRIVER")
	}
	for _, n := range list {
		if *quiet {
			fmt.Fprintln(table, n.Name())
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", shortID(n.ID, false), n.Name(), n.Driver())
	}
	return table.Flush()
}

func networkRmVerb() Verb {
	return Verb{
		Name: "network rm", Aliases: []string{"remove"}, Usage: "[OPTION…] NAME…", Summary: "remove networks",
		Text:  "A network that a container is on is not removed: take the container away first.",
		Flags: func(set *pflag.FlagSet) { set.BoolP("force", "f", false, "a network that is not there is no error") },
		Run:   runNetworkRm,
	}
}

func runNetworkRm(_ context.Context, env *Env, args []string) error {
	set := newFlagSet("rm")
	force := set.BoolP("force", "f", false, "")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() == 0 {
		return errors.New("no network is named")
	}
	var errs []error
	for _, name := range set.Args() {
		if err := removeNetwork(name); err != nil {
			if !(*force && errors.Is(err, network.ErrNone)) {
				errs = append(errs, err)
			}
			continue
		}
		fmt.Fprintln(env.Out, name)
	}
	return errors.Join(errs...)
}

// removeNetwork removes a network that no container is on.
func removeNetwork(name string) error {
	containers, err := runDirs().List()
	if err != nil {
		return err
	}
	var users []string
	for _, c := range containers {
		for _, n := range c.Network.Networks {
			if n == name || strings.HasPrefix(n, name+":") {
				users = append(users, c.Name)
			}
		}
	}
	if len(users) > 0 {
		return fmt.Errorf("network %q is used by %s; `berth rm` takes a container away", name, strings.Join(users, ", "))
	}
	r, err := networks()
	if err != nil {
		return err
	}
	return r.Remove(name)
}
