package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/keeper"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/sd"
)

type waitOptions struct {
	conditions     []string
	ignore, latest bool
	interval       string
}

func (o *waitOptions) flags(set *pflag.FlagSet) {
	set.StringArrayVar(&o.conditions, "condition", []string{"stopped"}, "`STATE` to wait for: stopped or exited, running, created, initialized, paused, healthy, unhealthy, or removing, which is when it has gone")
	set.BoolVar(&o.ignore, "ignore", false, "a container that is not there counts as ended, with -1")
	set.StringVarP(&o.interval, "interval", "i", "100ms", "`TIME` between two looks, where berth has to look again and again; a number alone is of milliseconds")
	set.BoolVarP(&o.latest, "latest", "l", false, "the container that was made last")
}

func waitVerb() Verb {
	var o waitOptions
	return Verb{
		Name: "wait", Usage: "[OPTION…] CONTAINER…", Summary: "wait for containers, and print their exit statuses",
		Text: `Prints -1 for a container whose end nobody has written down, and for one that has reached another state than its end. One that has
gone reaches no other.`,
		Flags: o.flags, Run: runWait,
	}
}

var waitStates = []string{"stopped", "exited", "running", "created", "initialized", "paused", "healthy", "unhealthy", "removing"}

// pause is the time between two looks.
func (o waitOptions) pause() (time.Duration, error) {
	d, err := time.ParseDuration(o.interval)
	if n, numberErr := strconv.ParseUint(o.interval, 10, 31); numberErr == nil {
		d, err = time.Duration(n)*time.Millisecond, nil
	}
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("--interval=%s: use a time above 0, as 250ms or 2s", o.interval)
	}
	return d, nil
}

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
	pause, err := o.pause()
	if err != nil {
		return err
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
		code, err := waiting{o.conditions, pause}.wait(ctx, env, s)
		if err != nil {
			return err
		}
		fmt.Fprintln(env.Out, code)
	}
	return nil
}

// waiting is what is waited for, with the time between two looks.
type waiting struct {
	conditions []string
	pause      time.Duration
}

// forEnd tells whether the end counts, and whether nothing else does.
func (w waiting) forEnd() (end, only bool) {
	only = true
	for _, c := range w.conditions {
		is := c == "stopped" || c == "exited"
		end, only = end || is, only && (is || c == "removing")
	}
	return end, only
}

// reached tells whether the container is in one of the states, ends apart.
func (w waiting) reached(s engine.State) (bool, error) {
	if slices.Contains(w.conditions, status(s)) {
		return true, nil
	}
	asked := slices.Contains(w.conditions, keeper.Healthy) || slices.Contains(w.conditions, keeper.Unhealthy)
	if !asked || !s.Running() {
		return false, nil
	}
	v := health(s)
	if v == nil {
		return false, fmt.Errorf("container %q has no health check, so it is never healthy or unhealthy", s.Name)
	}
	return slices.Contains(w.conditions, v.Status), nil
}

// wait returns when the container is in one of the states, and how it ended, -1 for not at all. For its end it waits on
// the process; for anything else it looks every now and then.
func (w waiting) wait(ctx context.Context, env *Env, s engine.State) (int, error) {
	end, only := w.forEnd()
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
			if end || gone {
				if l != nil && l.awaitEnd() {
					return l.ended.Code, nil
				}
				return exitOf(ctx, env, s, 20)
			}
		}
		if there, err := w.reached(now); there || err != nil {
			return -1, err
		}
		if err := w.look(ctx, now, only); err != nil {
			return 0, err
		}
	}
}

// look returns when it is time for another look: with the end of the container, where only that counts.
func (w waiting) look(ctx context.Context, s engine.State, end bool) error {
	if end {
		if pidfd, err := s.Init.Open(); err == nil {
			defer pidfd.Close()
			_, err := proc.Wait(ctx, pidfd, -1)
			return err
		}
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(w.pause):
		return nil
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
