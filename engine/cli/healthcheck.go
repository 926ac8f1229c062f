package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/keeper"
)

type healthOptions struct {
	ignoreResult bool
}

func (o *healthOptions) flags(set *pflag.FlagSet) {
	set.BoolVar(&o.ignoreResult, "ignore-result", false, "end with status 0 whatever the result is")
}

func healthcheckVerb() Verb {
	var o healthOptions
	return Verb{
		Name: "healthcheck", Usage: "COMMAND", Summary: "look after the health of containers",
		Text: "The keeper looks after it by itself, as the container's flags or its image say; `berth inspect` shows the last results.",
		Sub: []Verb{{
			Name: "healthcheck run", Usage: "[OPTION…] CONTAINER", Summary: "find out now whether a container is healthy",
			Text:  "Exit status: 0 when the probe has succeeded, 1 when it has failed, 125 when berth could not do its work.",
			Flags: o.flags, Run: runHealthcheck,
		}},
	}
}

func runHealthcheck(ctx context.Context, env *Env, args []string) error {
	var o healthOptions
	set := newFlagSet("healthcheck run")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() != 1 {
		return errors.New("name one container")
	}
	s, err := findContainer(set.Arg(0))
	if err != nil {
		return err
	}
	switch {
	case s.Health == nil:
		return fmt.Errorf("container %q has no health check", s.Name)
	case !s.Running():
		return fmt.Errorf("%w: %q", engine.ErrNotRunning, s.Name)
	}
	conn, err := keeper.Dial(keeperSocket())
	if err != nil {
		return err
	}
	defer conn.Close()
	status, code, err := conn.Probe(ctx, s.ID)
	if err != nil {
		return fmt.Errorf("health of container %q: %w", s.Name, err)
	}
	if code != 0 && !o.ignoreResult {
		fmt.Fprintln(env.Out, status)
		return &ExitError{Code: 1}
	}
	return nil
}

// health is what the keeper has found out about a container; nil where nobody looks.
func health(s engine.State) *keeper.Verdict {
	if s.Health == nil {
		return nil
	}
	v, err := keeper.ReadVerdict(runDirs().Container(s.ID), keeper.Process(s.Init))
	if err != nil {
		v = keeper.Verdict{Status: keeper.Starting}
	}
	return &v
}
