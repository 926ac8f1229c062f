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
	"github.com/berth-pods/berth/engine/events"
	"github.com/berth-pods/berth/engine/network"
	"github.com/berth-pods/berth/engine/rootless"
)

// isForce reports whether a word has --force, without which no container is removed.
func isForce(word string) bool {
	return strings.HasPrefix(word, "--force") || len(word) > 1 && word[0] == '-' && word[1] != '-' && strings.Contains(word, "f")
}

type networkRmOptions struct {
	force bool
	time  int
}

func (o *networkRmOptions) flags(set *pflag.FlagSet) {
	set.BoolVarP(&o.force, "force", "f", false, "remove the containers that are on it first; a network that is not there is no error")
	set.IntVarP(&o.time, "time", "t", -1, "with --force: `SECONDS` that a container may take to end (default: the container's own)")
}

func networkRmVerb() Verb {
	var o networkRmOptions
	return Verb{
		Name: "network rm", Aliases: []string{"remove"}, Usage: "[OPTION…] NAME…", Summary: "remove networks",
		Text: `A network that a container is on, or is to be on at its next start, is not removed: take the container away first.

Exit status: 1 when there is no such network, 2 when a container is on it.`,
		Removes: true,
		Flags:   o.flags, Run: runNetworkRm,
		Userns: func(args []string) bool { return rootless.Needed() && slices.ContainsFunc(args, isForce) },
	}
}

func runNetworkRm(ctx context.Context, env *Env, args []string) error {
	var o networkRmOptions
	set := newFlagSet("rm")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() == 0 {
		return errors.New("no network is named")
	}
	var errs []error
	for _, name := range set.Args() {
		err := removeNetwork(ctx, env, name, o)
		switch {
		case err == nil:
			fmt.Fprintln(env.Out, name)
		case errors.Is(err, network.ErrNone) && o.force:
		default:
			errs = append(errs, err)
		}
	}
	return removed(errs...)
}

// removeNetwork removes a network that no container is on.
func removeNetwork(ctx context.Context, env *Env, word string, o networkRmOptions) error {
	r, err := networks()
	if err != nil {
		return err
	}
	n, err := r.Find(word)
	if err != nil {
		return err
	}
	if o.force {
		containers, pods, err := onNetwork(n)
		if err == nil && len(pods) == 0 {
			err = removeUsers(ctx, env, containers, o)
		}
		if err != nil {
			return err
		}
	}
	return deleteNetwork(r, n)
}

// onNetwork names those that are on a network, or are to be at their next start.
func onNetwork(n network.Network) (containers, pods []string, err error) {
	all, allPods, err := allOnNetworks()
	if err != nil {
		return nil, nil, fmt.Errorf("which containers are on the network %q: %w", n.Name(), err)
	}
	return networkContainers(n.Name(), all), networkPods(n.Name(), allPods), nil
}

// unused refuses a network that somebody is on.
func unused(n network.Network) error {
	containers, pods, err := onNetwork(n)
	if users := append(pods, containers...); len(users) > 0 {
		err = fmt.Errorf("network %q %w by %s; `berth rm` takes a container away", n.Name(), errNetworkUsed, strings.Join(users, ", "))
	}
	if err != nil || rootlessMode() { // the bridges of users are in a namespace of their own, Podman's in another one
		return err
	}
	connected, err := n.Connected()
	if connected {
		err = fmt.Errorf("network %q %w: a container of Podman's is on it", n.Name(), errNetworkUsed)
	}
	return err
}

func deleteNetwork(r network.Registry, n network.Network) error {
	err := r.Remove(n.Name(), unused)
	if err == nil {
		events.Event{Type: "network", What: []string{"remove"}, ID: n.ID, Name: n.Name(), Network: n.Name(), Attributes: n.Labels}.Send()
	}
	return err
}

func removeUsers(ctx context.Context, env *Env, users []string, o networkRmOptions) error {
	if len(users) == 0 {
		return nil
	}
	e, err := newEngine(env)
	if err != nil {
		return err
	}
	options := engine.RemoveOptions{Force: true, Ignore: true}
	if o.time >= 0 {
		timeout := time.Duration(o.time) * time.Second
		options.Timeout = &timeout
	}
	for _, name := range users {
		if err := e.Remove(ctx, name, options); err != nil {
			return err
		}
	}
	return nil
}

type networkPruneOptions struct {
	force   bool
	filters []string
}

func (o *networkPruneOptions) flags(set *pflag.FlagSet) {
	set.BoolVarP(&o.force, "force", "f", false, "do not ask")
	set.StringArrayVar(&o.filters, "filter", nil, "remove some only, `KEY=VALUE`: label, until")
}

func networkPruneVerb() Verb {
	var o networkPruneOptions
	return Verb{
		Name: "network prune", Usage: "[OPTION…]", Summary: "remove the networks that no container is on",
		Removes: true,
		Flags:   o.flags, Run: runNetworkPrune,
	}
}

func runNetworkPrune(_ context.Context, env *Env, args []string) error {
	var o networkPruneOptions
	set := newFlagSet("network prune")
	o.flags(set)
	if err := parseAlone(set, args); err != nil {
		return err
	}
	if err := checkPruneFilters(o.filters); err != nil {
		return err
	}
	if !o.force && !confirmed(env, "This removes all networks that no container is on.") {
		return nil
	}
	p, err := pruneNetworks(o.filters)
	for _, name := range p.names {
		fmt.Fprintln(env.Out, name)
	}
	return err
}
