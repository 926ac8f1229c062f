package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/berth-pods/berth/engine/network"
	"github.com/berth-pods/berth/engine/sd"
)

func networkWatchVerb() Verb {
	return Verb{
		Name: "network watch", Summary: "put the firewall rules of containers back whenever they are lost",
		Text: `Stays, and looks at the rules each time that tables of the host's firewall are deleted, as by a reload of it or by
` + "`nft flush ruleset`" + `. What containers and pods that run need and lack is put back within a moment; their connections are left alone.
berth-firewall.service runs it beside firewalld.service and nftables.service.`,
		Run: runNetworkWatch,
	}
}

func runNetworkWatch(ctx context.Context, env *Env, args []string) error {
	set := newFlagSet("watch")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 0 {
		return errors.New("it looks at all containers; none is named")
	}
	if rootlessMode() {
		return errors.New("a user's containers have no rules in the host's firewall")
	}
	ready := false
	return network.WatchTables(ctx, func() error {
		failed := putBack(ctx, env)
		if failed != nil && ctx.Err() == nil {
			fmt.Fprintln(env.Err, "Error:", failed)
		}
		if !ready {
			ready = true
			if err := (sd.Manager{}).Notify("READY=1"); err != nil {
				fmt.Fprintln(env.Err, "Error:", err)
			}
		}
		return failed
	})
}

// putBack makes the rules anew of those containers and pods that lack some.
func putBack(ctx context.Context, env *Env) error {
	list, err := connected()
	if err != nil || len(list) == 0 {
		return err
	}
	a, err := newNetwork(env)
	if err != nil {
		return err
	}
	rules, err := a.Rules(ctx, list)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range list {
		if slices.ContainsFunc(rules, func(rule network.Rule) bool { return rule.Owner == r.Name && !rule.Present }) {
			fmt.Fprintf(env.Err, "the firewall has lost rules of %s: they are put back\n", r.Name)
			errs = append(errs, a.Reload(ctx, r))
		}
	}
	return errors.Join(errs...)
}
