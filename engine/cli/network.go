package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/network"
	"github.com/berth-pods/berth/engine/store"
)

func networkVerb() Verb {
	return Verb{
		Name: "network", Usage: "COMMAND", Summary: "make, list and remove networks, and put containers on them",
		Text: "Networks are bridges on the host, made by netavark when the first container joins. Their files are Podman's.",
		Sub: []Verb{
			networkConnectVerb(), networkCreateVerb(), networkDisconnectVerb(), networkDoctorVerb(), networkExistsVerb(), networkInspectVerb(), networkLsVerb(),
			networkPruneVerb(), networkReloadVerb(), networkRmVerb(), networkUpdateVerb(), networkWatchVerb(),
		},
	}
}

// networks is the registry of the caller's networks.
func networks() (network.Registry, error) {
	conf, err := loadConfig()
	if err != nil {
		return network.Registry{}, err
	}
	root, err := (&store.Store{}).Root()
	if err != nil {
		return network.Registry{}, err
	}
	r := network.Registry{Dirs: conf.NetworkDirs(root, rootlessMode()), Used: network.Routes, Now: time.Now, Default: conf.Network.DefaultSubnet}
	for _, p := range conf.Network.Pools {
		r.Pools = append(r.Pools, network.Pool(p))
	}
	return r, nil
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
	return Verb{
		Name: "network inspect", Usage: "[OPTION…] NAME…", Summary: "show what is known of networks, as JSON",
		Flags: networkInspectFlags, Run: runNetworkInspect,
	}
}

func networkInspectFlags(set *pflag.FlagSet) {
	set.StringP("format", "f", "json", "`FORM` of the output: json, or a template such as {{.Name}}")
}

// inspectedOn is a network with the containers that are on it, as Podman shows it.
type inspectedOn struct {
	network.Network
	Containers map[string]inspectedMember `json:"containers"`
}

// MarshalJSON writes the network's own fields beside the containers.
func (n inspectedOn) MarshalJSON() ([]byte, error) {
	own, err := json.Marshal(n.Network)
	if err != nil {
		return nil, err
	}
	members, err := json.Marshal(n.Containers)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(bytes.TrimSuffix(own, []byte("}")), `,"containers":%s}`, members), nil
}

type inspectedMember struct {
	Name       string                        `json:"name"`
	Interfaces map[string]inspectedInterface `json:"interfaces"`
}

type inspectedInterface struct {
	Subnets []inspectedAddress `json:"subnets,omitempty"`
	MAC     string             `json:"mac_address"`
}

type inspectedAddress struct {
	Net     string `json:"ipnet"`
	Gateway string `json:"gateway,omitempty"`
}

// members are the containers that are on the network.
func members(name string, containers []engine.State) map[string]inspectedMember {
	found := map[string]inspectedMember{}
	for _, c := range containers {
		for _, at := range c.Attached {
			if at.Network != name || !c.Networked {
				continue
			}
			i := inspectedInterface{MAC: at.MAC}
			for n, address := range at.Addresses {
				one := inspectedAddress{Net: address}
				if n < len(at.Gateways) {
					one.Gateway = at.Gateways[n]
				}
				i.Subnets = append(i.Subnets, one)
			}
			found[c.ID] = inspectedMember{Name: c.Name, Interfaces: map[string]inspectedInterface{at.Interface: i}}
		}
	}
	return found
}

func runNetworkInspect(_ context.Context, env *Env, args []string) error {
	set := newFlagSet("inspect")
	networkInspectFlags(set)
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
	containers, err := runDirs().List()
	if err != nil {
		return err
	}
	list := []inspectedOn{}
	var errs []error
	for _, name := range set.Args() {
		n, err := r.Find(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, inspectedOn{n, members(n.Name(), containers)})
	}
	return errors.Join(append(errs, printInspected(env.Out, set.Lookup("format").Value.String(), list))...)
}
