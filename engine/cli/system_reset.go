package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/sd"
	"github.com/berth-pods/berth/engine/store"
)

type systemResetOptions struct{ force bool }

func (o *systemResetOptions) flags(set *pflag.FlagSet) {
	set.BoolVarP(&o.force, "force", "f", false, "do not ask, and stop the containers of units too")
}

func systemResetVerb() Verb {
	var o systemResetOptions
	return Verb{
		Name: "system reset", Usage: "[OPTION…]", Summary: "remove everything: containers, pods, images, volumes, networks and secrets",
		Text: `Leaves the store as it was before the first container. Podman's images, volumes, networks and secrets go too, for they are the same;
while Podman has containers nothing is removed. Unit files, configuration files, and what lies in the store's directory under names that
are not the store's, stay. Containers of units that have a file are only stopped with --force.`,
		Flags: o.flags, Before: beforeSystemReset, Userns: namespaceNeeded, Run: runSystemReset,
	}
}

func parseSystemReset(args []string) (systemResetOptions, error) {
	var o systemResetOptions
	set := newFlagSet("reset")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if set.NArg() > 0 {
		return o, errors.New("system reset takes no names")
	}
	return o, nil
}

// beforeSystemReset asks, and removes what runs: outside of the user's namespace, where the service manager can be asked.
func beforeSystemReset(ctx context.Context, env *Env, args []string) error {
	o, err := parseSystemReset(args)
	if err != nil || rootless.Inside() {
		return err
	}
	others, err := (&store.Store{}).Strangers()
	if err != nil {
		return err
	}
	if len(others) > 0 {
		return fmt.Errorf("containers of Podman's are in the store: %s; `podman rm` removes them", strings.Join(others, ", "))
	}
	if !o.force {
		if err := refuseUnits(ctx, env); err != nil {
			return err
		}
		if !confirmed(env, "This removes all containers, pods, networks, images, secrets and volumes, with all that is in them, "+
			"those of Podman too.") {
			return &ExitError{}
		}
	}
	for _, words := range [][]string{{"rm", "--all", "--force", "--volumes"}, {"pod", "rm", "--all", "--force"}} {
		c := itself(words...)
		c.Stderr = env.Err
		if _, err := env.Run(ctx, c); err != nil {
			return &ExitError{Code: statusFailed}
		}
	}
	return nil
}

// refuseUnits names the units with a file whose containers run.
func refuseUnits(ctx context.Context, env *Env) error {
	list, err := runDirs().List()
	if err != nil {
		return err
	}
	var units []string
	for _, s := range list {
		if s.Running() && sd.IsService(s.Unit) && !sd.IsTransient(ctx, env.Run, userManaged(), s.Unit) {
			units = append(units, s.Unit)
		}
	}
	if len(units) > 0 {
		return fmt.Errorf("containers of units run: %s; stop the units, or let --force do so", strings.Join(units, ", "))
	}
	return nil
}

func runSystemReset(_ context.Context, env *Env, args []string) error {
	if _, err := parseSystemReset(args); err != nil {
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
	var errs []error
	for _, n := range list {
		if n.Path != "" { // the default one has no file
			errs = append(errs, deleteNetwork(r, n))
		}
	}
	errs = append(errs, wipeVolumes())
	left, err := (&store.Store{}).Wipe()
	for _, p := range left {
		fmt.Fprintf(env.Err, "%s stays: it is not the store's\n", p)
	}
	return errors.Join(append(errs, err)...)
}

// wipeVolumes removes the volumes that are elsewhere than in the store.
func wipeVolumes() error {
	conf, err := loadConfig()
	if err != nil || conf.Engine.VolumePath == "" {
		return err
	}
	list, err := volumes().List()
	errs := []error{err}
	for _, v := range list {
		errs = append(errs, removeVolume(v.Name))
	}
	return errors.Join(errs...)
}
