package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/cgroup"
	"github.com/berth-pods/berth/engine/events"
	"github.com/berth-pods/berth/engine/spec"
)

func pauseVerb() Verb {
	o := selection{of: "running containers", filter: "f"}
	return Verb{
		Name: "pause", Usage: "[OPTION…] CONTAINER…", Summary: "freeze all processes of containers",
		Flags: o.flags,
		Run:   func(_ context.Context, env *Env, args []string) error { return freeze(env, args, true) },
	}
}

func unpauseVerb() Verb {
	o := selection{of: "frozen containers", filter: "f"}
	return Verb{
		Name: "unpause", Usage: "[OPTION…] CONTAINER…", Summary: "let frozen containers go on",
		Flags: o.flags,
		Run:   func(_ context.Context, env *Env, args []string) error { return freeze(env, args, false) },
	}
}

// tellOf tells what has been done to a container.
func tellOf(s engine.State, what string) {
	events.Event{Type: "container", What: []string{what}, ID: s.ID, Name: s.Name, Image: s.Image, Pod: s.Pod, Attributes: spec.Labels(s.Container.Labels)}.Send()
}

func freeze(env *Env, args []string, frozen bool) error {
	verb := "unpause"
	if frozen {
		verb = "pause"
	}
	o := selection{filter: "f"}
	list, err := parseTargets(verb, args, &o)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range list {
		switch {
		case !s.Running():
			err = fmt.Errorf("%w: %q", engine.ErrNotRunning, s.Name)
		case s.Cgroup == "":
			err = fmt.Errorf("container %q has no cgroup of its own that could be frozen; start it under systemd", s.Name)
		case cgroup.Frozen(s.Cgroup) == frozen:
			err = fmt.Errorf("container %q is %s", s.Name, map[bool]string{true: "frozen already", false: "not frozen"}[frozen])
		default:
			if err = cgroup.Freeze(s.Cgroup, frozen); err == nil {
				tellOf(s, verb)
			}
		}
		if o.all && (!s.Running() || s.Cgroup == "" || err != nil && cgroup.Frozen(s.Cgroup) == frozen) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintln(env.Out, s.Name)
	}
	return errors.Join(errs...)
}
