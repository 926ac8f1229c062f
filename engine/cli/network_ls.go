package cli

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/format"
	"github.com/berth-pods/berth/engine/network"
)

type networkLsOptions struct {
	quiet, noTrunc, noHeading bool
	format                    string
	filters                   []string
}

func (o *networkLsOptions) flags(set *pflag.FlagSet) {
	set.BoolVarP(&o.quiet, "quiet", "q", false, "print names only")
	set.BoolVar(&o.noTrunc, "no-trunc", false, "print whole IDs")
	set.BoolVarP(&o.noHeading, "noheading", "n", false, "print no line of headings")
	set.StringVar(&o.format, "format", "table", "`FORM` of the output: table, json, or a template such as {{.Name}}")
	set.StringArrayVarP(&o.filters, "filter", "f", nil, "list some only, `KEY=VALUE`: name, id, driver, label, dangling, until")
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
	set := newFlagSet("ls")
	o.flags(set)
	if err := set.Parse(args); err != nil {
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
	switch {
	case o.quiet:
		for _, n := range list {
			fmt.Fprintln(env.Out, n.Name())
		}
		return nil
	case o.format == "json":
		return printJSON(env.Out, list)
	case o.format != "table":
		return format.Rows(env.Out, o.format, list)
	}
	table := tabwriter.NewWriter(env.Out, 0, 8, 2, ' ', 0)
	if !o.noHeading {
		fmt.Fprintln(table, "NETWORK ID\tNAME\tDRIVER")
	}
	for _, n := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\n", shortID(n.ID, o.noTrunc), n.Name(), n.Driver())
	}
	return table.Flush()
}

// filteredNetworks lists the networks that pass each kind of filter; of one kind, one must let them pass.
func filteredNetworks(r network.Registry, filters []string) ([]network.Network, error) {
	all, err := r.List()
	if err != nil {
		return nil, err
	}
	containers, err := runDirs().List()
	if err != nil {
		return nil, err
	}
	kinds := map[string][]string{}
	for _, f := range filters {
		key, value, ok := strings.Cut(f, "=")
		if !ok {
			return nil, fmt.Errorf("filter %q is not KEY=VALUE", f)
		}
		kinds[key] = append(kinds[key], value)
	}
	list := []network.Network{}
	for _, n := range all {
		passes := true
		for key, values := range kinds {
			one := false
			for _, v := range values {
				ok, err := networkPasses(n, key, v, containers)
				if err != nil {
					return nil, err
				}
				one = one || ok
			}
			passes = passes && one
		}
		if passes {
			list = append(list, n)
		}
	}
	return list, nil
}

func networkPasses(n network.Network, key, value string, containers []engine.State) (bool, error) {
	switch key {
	case "name":
		return strings.Contains(n.Name(), value), nil
	case "id":
		return strings.HasPrefix(n.ID, value), nil
	case "driver":
		return n.Driver() == value, nil
	case "label", "label!":
		name, want, hasValue := strings.Cut(value, "=")
		got, there := n.Labels[name]
		return (there && (!hasValue || got == want)) == (key == "label"), nil
	case "dangling":
		used := len(networkUsers(n.Name(), containers)) > 0
		return (value == "true") != used, nil
	case "until":
		limit, err := parseUntil(value)
		if err != nil {
			return false, err
		}
		made, err := time.Parse(time.RFC3339Nano, n.Created)
		return err == nil && made.Before(limit), nil
	}
	return false, fmt.Errorf("filter %q is not known; name, id, driver, label, dangling and until are", key)
}

// parseUntil reads a point in time, or how long ago it was.
func parseUntil(s string) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return time.Now().Add(-d), nil
	}
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.ParseInLocation(form, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("until=%s is neither a time such as 2026-11-25T12:00:00 nor how long ago, such as 24h", s)
}

// networkUsers names the containers, and the pods, that are on the network.
func networkUsers(name string, containers []engine.State) []string {
	users := networkPods(name)
	for _, c := range containers {
		for _, n := range networkNames(c) {
			if n == name {
				users = append(users, c.Name)
			}
		}
	}
	return users
}

func networkPods(name string) []string {
	var users []string
	pods, _ := runDirs().Pods()
	for _, p := range pods {
		for _, at := range p.Attached {
			if at.Network == name {
				users = append(users, "pod "+p.Name)
			}
		}
	}
	return users
}

// networkNames are the networks that a container is on, or the mode that it has instead.
func networkNames(s engine.State) []string {
	if len(s.Attached) == 0 || !s.Networked {
		return s.Network.Networks
	}
	names := make([]string, 0, len(s.Attached))
	for _, at := range s.Attached {
		names = append(names, at.Network)
	}
	return names
}
