package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/network"
	"github.com/berth-pods/berth/engine/spec"
)

type networkLsOptions struct{ listing }

func (o *networkLsOptions) flags(set *pflag.FlagSet) {
	o.listing.flags(set, "names", "name, id, driver, label, dangling, until")
	set.BoolVar(&o.noTrunc, "no-trunc", false, "print whole IDs")
	set.BoolVarP(&o.noHeading, "noheading", "n", false, "print no line of headings")
}

func networkLsVerb() Verb {
	var o networkLsOptions
	return Verb{
		Name: "network ls", Aliases: []string{"list"}, Usage: "[OPTION…]", Summary: "list networks",
		Flags: o.flags, Run: runNetworkLs,
	}
}

func runNetworkLs(_ context.Context, env *Env, args []string) error {
	var o networkLsOptions
	set := newFlagSet("network ls")
	o.flags(set)
	if err := parseAlone(set, args); err != nil {
		return err
	}
	r, err := networks()
	if err != nil {
		return err
	}
	list, err := filteredNetworks(r, o.filters)
	if err != nil {
		return err
	}
	rows := make([]networkRow, 0, len(list))
	for _, n := range list {
		rows = append(rows, networkRow{n, o.noTrunc})
	}
	return printList(env.Out, o.listing, rows, table[networkRow]{
		key: networkRow.Name, headings: []string{"NETWORK ID", "NAME", "DRIVER"}, names: map[string]string{"ID": "NETWORK ID"},
		cells: func(n networkRow) []string { return []string{shortID(n.ID, o.noTrunc), n.Name(), n.Driver()} },
	})
}

// networkRow is a network as it is listed.
type networkRow struct {
	network.Network
	whole bool // the ID is shown whole
}

// Fields are Podman's fields of templates: IDs are short ones, and labels a text.
func (r networkRow) Fields() map[string]any {
	fields := r.Network.Fields()
	labels := []string{}
	for _, name := range spec.SortedKeys(r.Labels) {
		labels = append(labels, name+"="+r.Labels[name])
	}
	fields["ID"], fields["Labels"] = shortID(r.ID, r.whole), strings.Join(labels, ",")
	return fields
}

// filteredNetworks lists the networks that pass the filters.
func filteredNetworks(r network.Registry, words []string) ([]network.Network, error) {
	all, err := r.List()
	if err != nil {
		return nil, err
	}
	return filtered(all, words, append([]filter[*network.Network]{
		nameFilter((*network.Network).Name),
		textFilter("id", strings.HasPrefix, func(n *network.Network) string { return n.ID }),
		textFilter("driver", same, (*network.Network).Driver),
		{key: "dangling", read: dangling},
		untilFilter(func(n *network.Network) time.Time { return networkMade(*n) }),
	}, labelFilters(func(n *network.Network) map[string]string { return n.Labels })...))
}

// dangling picks the networks that no container is on.
func dangling(value string) (func(*network.Network) bool, error) {
	containers, pods, err := allOnNetworks()
	if err != nil {
		return nil, fmt.Errorf("which networks have containers: %w", err)
	}
	free := func(n *network.Network) bool {
		return len(networkContainers(n.Name(), containers)) == 0 && len(networkPods(n.Name(), pods)) == 0
	}
	return boolFilter("dangling", free).read(value)
}

// allOnNetworks are those that may be on a network. It is an error if one cannot be read.
func allOnNetworks() ([]engine.State, []engine.Pod, error) {
	dirs := runDirs()
	containers, err := dirs.AllSurely()
	pods, podErr := dirs.PodsSurely()
	return containers, pods, errors.Join(err, podErr)
}

// networkMade is when a network was made; a network that does not say is never older than anything.
func networkMade(n network.Network) time.Time {
	made, err := time.Parse(time.RFC3339Nano, n.Created)
	if err != nil {
		return time.Now()
	}
	return made
}

// networkContainers names the containers that are on the network, or are to be at their next start.
func networkContainers(name string, containers []engine.State) (users []string) {
	for _, c := range containers {
		if slices.Contains(shownNetworks(c), name) {
			users = append(users, c.Name)
		}
	}
	return users
}

// networkPods names the pods that are on the network, or are being started.
func networkPods(name string, pods []engine.Pod) (users []string) {
	for _, p := range pods {
		on, _ := networksOf(engine.State{Networked: p.Networked, Attached: p.Attached, Network: p.Network})
		if p.Networked && slices.Contains(on, name) {
			users = append(users, "pod "+p.Name)
		}
	}
	return users
}
