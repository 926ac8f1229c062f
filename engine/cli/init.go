package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/spec"
)

type initOptions struct{ all, latest bool }

func (o *initOptions) flags(set *pflag.FlagSet) {
	set.BoolVarP(&o.all, "all", "a", false, "all that do not run")
	set.BoolVarP(&o.latest, "latest", "l", false, "the container that was made last")
}

func initVerb() Verb {
	var o initOptions
	return Verb{
		Name: "init", Usage: "[OPTION…] CONTAINER…", Summary: "see to it that containers can be started, without starting them",
		Text: `The root file system and the volumes are mounted as the start will mount them, and taken away again: what is missing is told now.
The container's state is then "initialized", until it is started.`,
		Flags: o.flags, Run: runInit, Userns: func([]string) bool { return rootless.Needed() },
	}
}

func (o *initOptions) find(words []string) ([]engine.State, error) {
	return containers(words, selection{all: o.all, latest: o.latest})
}

func runInit(_ context.Context, env *Env, args []string) error {
	var o initOptions
	list, err := parseTargets("init", args, &o)
	if err != nil {
		return err
	}
	e, err := newEngine(env)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range list {
		if s.Running() {
			if !o.all {
				errs = append(errs, fmt.Errorf("%w: %q", engine.ErrIsRunning, s.Name))
			}
			continue
		}
		files, err := e.Files(s)
		if err == nil {
			files.Close()
			err = missingSources(s)
		}
		if err == nil {
			err = e.Dirs.Change(s.ID, func(now *engine.State) error {
				now.Checked = !now.Running()
				return nil
			})
			if err == nil {
				s.Tell("init")
			}
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintln(env.Out, s.Name)
	}
	return errors.Join(errs...)
}

// missingSources tells of paths of the host that the container is to see and that are not there.
func missingSources(s engine.State) error {
	var errs []error
	for _, word := range s.Container.Volumes {
		v, err := spec.ParseVolume(word)
		if err == nil && !v.Named() && v.Source != "" {
			_, err = os.Stat(v.Source)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("container %q: volume %s: %w", s.Name, word, err))
		}
	}
	return errors.Join(errs...)
}
