package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/proc"
)

type killOptions struct {
	selection
	signal string
}

func (o *killOptions) flags(set *pflag.FlagSet) {
	o.of = "running containers"
	o.selection.flags(set)
	set.StringVarP(&o.signal, "signal", "s", "KILL", "`SIGNAL` to send, by name or number")
}

func killVerb() Verb {
	var o killOptions
	return Verb{
		Name: "kill", Usage: "[OPTION…] CONTAINER…", Summary: "send a signal to the main process of containers",
		Text:    "The signal goes straight to the process. A unit with Restart= starts again after a deadly one; stop keeps it stopped.",
		Removes: true,
		Flags:   o.flags, Run: runKill,
	}
}

func runKill(_ context.Context, env *Env, args []string) error {
	var o killOptions
	list, err := parseTargets("kill", args, &o)
	if err != nil {
		return err
	}
	sig, err := proc.ParseSignal(o.signal)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range list {
		pidfd, err := s.Init.Open()
		if errors.Is(err, proc.ErrGone) {
			if !o.all {
				errs = append(errs, fmt.Errorf("%w: %q", engine.ErrNotRunning, s.Name))
			}
			continue
		}
		if err == nil {
			if err = proc.Signal(pidfd, sig); err == nil {
				tellOf(s, "kill")
			}
			pidfd.Close()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("kill container %q: %w", s.Name, err))
			continue
		}
		fmt.Fprintln(env.Out, s.Name)
	}
	return errors.Join(errs...)
}
