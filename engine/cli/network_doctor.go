package cli

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/berth-pods/berth/engine"
)

func networkDoctorVerb() Verb {
	return Verb{
		Name: "network doctor", Summary: "compare the firewall's rules with those that containers need",
		Text: `Lists the rules that the containers and pods on bridge networks need and tells which of them the host's firewall lacks, as after
a reload of it. ` + "`berth network reload --all`" + ` puts them back.

Exit status: 1 when a rule is missing.`,
		Userns: needsUserns, Run: runNetworkDoctor,
	}
}

// wired is a container or a pod that is on bridge networks.
type wired struct {
	id, name string
	request  engine.NetworkRequest
	live     bool
}

// allWired are the containers and pods that are on networks, oldest first.
func allWired() ([]wired, error) {
	dirs := runDirs()
	containers, err := dirs.List()
	if err != nil {
		return nil, err
	}
	pods, err := dirs.Pods()
	if err != nil {
		return nil, err
	}
	var list []wired
	for _, s := range containers {
		if s.Networked {
			list = append(list, wired{s.ID, s.Name, s.Network, s.Running()})
		}
	}
	for _, p := range pods {
		if p.Networked {
			list = append(list, wired{p.ID, p.Name, p.Network, dirs.Live(p)})
		}
	}
	return list, nil
}

// connected are the requests of those containers and pods on networks that run.
func connected() ([]engine.NetworkRequest, error) {
	all, err := allWired()
	if err != nil {
		return nil, err
	}
	var list []engine.NetworkRequest
	for _, w := range all {
		if w.live {
			list = append(list, w.request)
		}
	}
	return list, nil
}

func runNetworkDoctor(ctx context.Context, env *Env, args []string) error {
	set := newFlagSet("doctor")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 0 {
		return errors.New("it looks at all containers; none is named")
	}
	list, err := connected()
	if err != nil {
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
	table := tabwriter.NewWriter(env.Out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "OF\tRULE\tSTATE")
	missing := 0
	for _, r := range rules {
		state := "present"
		if !r.Present {
			state = "missing"
			missing++
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", r.Owner, r.Text, state)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if missing > 0 {
		return &ExitError{Code: 1, Err: fmt.Errorf("%d of %d rules are missing; `berth network reload --all` puts them back", missing, len(rules))}
	}
	return nil
}
