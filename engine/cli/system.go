package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
)

func systemVerb() Verb {
	events, info := eventsVerb(), infoVerb()
	events.Name, info.Name = "system events", "system info"
	return Verb{
		Name: "system", Usage: "COMMAND", Summary: "look at all of berth at once, and clean up",
		Sub: []Verb{systemCheckVerb(), systemDfVerb(), events, info, systemMigrateVerb(), systemPruneVerb(), systemResetVerb()},
	}
}

type checkOptions struct {
	force, quick, repair bool
	max                  time.Duration
}

func (o *checkOptions) flags(set *pflag.FlagSet) {
	set.BoolVarP(&o.force, "force", "f", false, "remove damaged images and containers; none may run meanwhile")
	set.DurationVarP(&o.max, "max", "m", 24*time.Hour, "how long a layer may lie there that no image and no container has, as a `TIME`")
	set.BoolVarP(&o.quick, "quick", "q", false, "do not compare the files of each layer")
	set.BoolVarP(&o.repair, "repair", "r", false, "remove damaged images")
}

func systemCheckVerb() Verb {
	var o checkOptions
	return Verb{
		Name: "system check", Usage: "[OPTION…]", Summary: "look for damage in the store of images and containers",
		Text: `Compares what lies there with what was stored, and ends with 125 when they differ. A layer from an archive that does not
name each directory of its files is told as damaged, as by Podman: --quick does not look there.`,
		Flags: o.flags, Run: runSystemCheck,
	}
}

func runSystemCheck(ctx context.Context, env *Env, args []string) error {
	var o checkOptions
	set := newFlagSet("system check")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 0 {
		return errors.New("system check takes no names")
	}
	if o.force {
		list, err := runDirs().List()
		if err != nil {
			return err
		}
		for _, s := range list {
			if s.Running() {
				return fmt.Errorf("%w: %q; `berth system check --force` removes containers, and so wants none to run", engine.ErrRunning, s.Name)
			}
		}
	}
	return runImage(ctx, env, append([]string{"image", "check-store"}, args...))
}

func systemMigrateVerb() Verb {
	flags := func(set *pflag.FlagSet) {
		set.String("new-runtime", "", "`RUNTIME` of all containers: berth keeps none with a container, runtime= of containers.conf(5) is read at each start")
	}
	return Verb{
		Name: "system migrate", Usage: "[OPTION…]", Summary: "say that there is nothing to migrate",
		Text:  "Podman's scripts call it after an update. berth has no process that would run on with an older version, and its files of state tell theirs.",
		Flags: flags,
		Run: func(_ context.Context, env *Env, args []string) error {
			set := newFlagSet("system migrate")
			flags(set)
			if err := set.Parse(args); err != nil {
				return err
			}
			if set.NArg() > 0 {
				return errors.New("system migrate takes no names")
			}
			if set.Changed("new-runtime") {
				return errors.New("--new-runtime: no container keeps its runtime; write runtime= into containers.conf(5), and it counts from each next start on")
			}
			_, err := fmt.Fprintln(env.Out, "nothing to migrate: what runs goes on under this version, and is started by it the next time")
			return err
		},
	}
}
