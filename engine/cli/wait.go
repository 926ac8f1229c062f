package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/sd"
)

type waitOptions struct {
	conditions     []string
	ignore, latest bool
	interval       string
}

func (o *waitOptions) flags(set *pflag.FlagSet) {
	set.StringArrayVar(&o.conditions, "condition", []string{"stopped"}, "`STATE` to wait for: stopped, exited, running, created, paused or removing")
	set.BoolVar(&o.ignore, "ignore", false, "a container that is not there counts as ended, with -1")
	set.StringVarP(&o.interval, "interval", "i", "", "`TIME` between two looks, where berth has to look again and again")
	set.BoolVarP(&o.latest, "latest", "l", false, "the container that was made last")
}

func waitVerb() Verb {
	var o waitOptions
	return Verb{
		Name: "wait", Usage: "[OPTION…] CONTAINER…", Summary: "wait for containers, and print their exit statuses",
		Text:  "Prints -1 for a container whose end nobody has written down.",
		Flags: o.flags, Run: runWait,
	}
}

var waitStates = []string{"stopped", "exited", "running", "created", "initialized", "paused", "removing"}

func runWait(ctx context.Context, env *Env, args []string) error {
	var o waitOptions
	set := newFlagSet("wait")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	o.conditions = apart(o.conditions)
	for _, c := range o.conditions {
		if !slices.Contains(waitStates, c) {
			return fmt.Errorf("--condition=%s: known are %s", c, strings.Join(waitStates, ", "))
		}
	}
	words := set.Args()
	if len(words) == 0 && !o.latest {
		return errors.New("no container is named")
	}
	if o.latest {
		s, err := latestContainer()
		if err != nil {
			return err
		}
		words = []string{s.ID}
	}
	for _, word := range words {
		s, err := findContainer(word)
		if errors.Is(err, engine.ErrNoContainer) && o.ignore {
			fmt.Fprintln(env.Out, -1)
			continue
		}
		if err != nil {
			return err
		}
		code, err := waitFor(ctx, env, s, o.conditions)
		if err != nil {
			return err
		}
		fmt.Fprintln(env.Out, code)
	}
	return nil
}

// waitFor returns when the container is in one of the states, and how it ended, -1 for not at all. For its end it waits on
// the process; for anything else it looks every now and then.
func waitFor(ctx context.Context, env *Env, s engine.State, conditions []string) (int, error) {
	const pause = 100 * time.Millisecond
	var l *link
	if s.Kept && s.Running() && !s.Lasting() && sd.IsService(s.Unit) {
		// Its record goes with it, and a transient unit too: the unit's last command tells the keeper how it has ended.
		l = &link{id: s.ID, name: s.Name}
		if l.open(ctx) != nil {
			l = nil
		} else {
			defer l.close()
		}
	}
	for {
		now, err := runDirs().Find(s.ID)
		gone := errors.Is(err, engine.ErrNoContainer)
		if err != nil && !gone {
			return 0, err
		}
		if gone || now.Exit != nil || !now.Started.IsZero() && !now.Running() {
			if slices.Contains(conditions, "stopped") || slices.Contains(conditions, "exited") || gone {
				if l != nil && l.awaitEnd() {
					return l.ended.Code, nil
				}
				return exitOf(ctx, env, s, 20)
			}
		}
		if !gone && slices.Contains(conditions, status(now)) {
			return -1, nil
		}
		if pidfd, err := now.Init.Open(); err == nil && len(conditions) == 1 {
			_, err := proc.Wait(ctx, pidfd, -1)
			pidfd.Close()
			if err != nil {
				return 0, err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// exitOf is the exit status of a container that has ended. Its unit writes it down a moment after the end; of one that was
// removed with its end only systemd knows, as long as it remembers the unit.
func exitOf(ctx context.Context, env *Env, s engine.State, tries int) (int, error) {
	for range tries {
		now, err := runDirs().Find(s.ID)
		if err == nil && now.Exit != nil {
			return now.Exit.Code, nil
		}
		if errors.Is(err, engine.ErrNoContainer) || err == nil && !now.Lasting() {
			break
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	if code, ok := sd.ExitOf(ctx, env.Run, userManaged(), s.Unit); ok {
		return code, nil
	}
	return -1, nil
}
