package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

type networkUpdateOptions struct{ add, drop []string }

func (o *networkUpdateOptions) flags(set *pflag.FlagSet) {
	set.StringArrayVar(&o.add, "dns-add", nil, "add the `ADDRESS` of a name server that the network's own one asks")
	set.StringArrayVar(&o.drop, "dns-drop", nil, "take the `ADDRESS` of such a name server away")
}

func networkUpdateVerb() Verb {
	var o networkUpdateOptions
	return Verb{
		Name: "network update", Usage: "[OPTION…] NAME", Summary: "change the name servers that a network asks",
		Text:  "Containers that run ask the new ones at once.",
		Flags: o.flags, Userns: needsUserns, Run: runNetworkUpdate,
	}
}

func runNetworkUpdate(ctx context.Context, env *Env, args []string) error {
	var o networkUpdateOptions
	set := newFlagSet("update")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() != 1 {
		return errors.New("name one network")
	}
	o.add, o.drop = apart(o.add), apart(o.drop)
	if len(o.add)+len(o.drop) == 0 {
		return errors.New("nothing to change: --dns-add and --dns-drop say what")
	}
	r, err := networks()
	if err != nil {
		return err
	}
	n, err := r.Update(set.Arg(0), o.add, o.drop)
	if err != nil {
		return err
	}
	e, err := newNetwork(env)
	if err != nil {
		return err
	}
	if err := e.Update(ctx, n); err != nil {
		return err
	}
	_, err = fmt.Fprintln(env.Out, n.Name())
	return err
}

func networkReloadVerb() Verb {
	return Verb{
		Name: "network reload", Usage: "[OPTION…] [CONTAINER|POD…]", Summary: "put the firewall rules of containers back",
		Text: `Puts back what a reload of the firewall has taken away: the rules of published ports and of the networks, and the names
that the networks' name server knows. The containers and their connections are left alone.`,
		Flags: networkReloadFlags, Userns: needsUserns, Run: runNetworkReload,
	}
}

func networkReloadFlags(set *pflag.FlagSet) {
	set.BoolP("all", "a", false, "of all containers")
	set.BoolP("latest", "l", false, "of the container that was made last")
}

func runNetworkReload(ctx context.Context, env *Env, args []string) error {
	set := newFlagSet("reload")
	networkReloadFlags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	all, _ := set.GetBool("all")
	latest, _ := set.GetBool("latest")
	names := set.Args()
	switch {
	case latest && (all || len(names) > 0), all == (len(names) > 0) && !latest:
		return errors.New("name containers, or all of them with --all, or the latest with --latest")
	case latest:
		s, err := latestContainer()
		if err != nil {
			return err
		}
		names = []string{s.ID}
	}
	list, err := toReload(names)
	if err != nil {
		return err
	}
	a, err := newNetwork(env)
	if err != nil {
		return err
	}
	var errs []error
	for _, w := range list {
		if err := a.Reload(ctx, w.request); err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintln(env.Out, w.id)
	}
	return errors.Join(errs...)
}

// toReload are the containers and pods of these names, or all that run.
func toReload(names []string) ([]wired, error) {
	all, err := allWired()
	if err != nil {
		return nil, err
	}
	var list []wired
	for _, w := range all {
		if len(names) == 0 && w.live {
			list = append(list, w)
		}
	}
	var errs []error
	for _, name := range names {
		i := slices.IndexFunc(all, func(w wired) bool {
			return w.live && (w.name == name || len(name) > 2 && strings.HasPrefix(w.id, name))
		})
		if i < 0 {
			errs = append(errs, fmt.Errorf("no container and no pod named %q is on a network now", name))
			continue
		}
		list = append(list, all[i])
	}
	return list, errors.Join(errs...)
}
