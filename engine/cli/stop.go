package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/cgroup"
	"github.com/berth-pods/berth/engine/events"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/sd"
)

type stopOptions struct {
	selection
	time    int
	running bool // of restart
}

func (o *stopOptions) flags(set *pflag.FlagSet) {
	o.of, o.filter = "running containers", "f"
	o.selection.flags(set)
	set.BoolVarP(&o.ignore, "ignore", "i", false, "a container that is not there is no error")
	set.IntVarP(&o.time, "time", "t", 0, "`SECONDS` that the container may take to end; -1 for no limit (default: the container's own)")
	set.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "timeout" {
			name = "time"
		}
		return pflag.NormalizedName(name)
	})
}

// parse reads the words; timeout is nil when none was given.
func (o *stopOptions) parse(verb string, args []string, flags func(*pflag.FlagSet)) (list []engine.State, timeout *time.Duration, err error) {
	set := newFlagSet(verb)
	flags(set)
	if err := set.Parse(args); err != nil {
		return nil, nil, err
	}
	if set.Changed("time") {
		t := time.Duration(o.time) * time.Second
		timeout = &t
	}
	if o.running {
		o.filters = append(o.filters, "status=running")
	}
	list, err = o.find(set.Args())
	return list, timeout, err
}

func stopVerb() Verb {
	var o stopOptions
	return Verb{
		Name: "stop", Usage: "[OPTION…] CONTAINER…", Summary: "stop containers",
		Text: `Sends the stop signal, waits, and kills when the time is over. A container that is a unit's is stopped by systemd
(systemctl stop), so that it stays stopped.`,
		Removes: true,
		Flags:   o.flags, Run: runStop,
	}
}

func runStop(ctx context.Context, env *Env, args []string) error {
	var o stopOptions
	list, timeout, err := o.parse("stop", args, o.flags)
	if err != nil {
		return err
	}
	return sideBySide(list, func(s engine.State) (func(), error) {
		stopped, err := stopOne(ctx, env, s, timeout)
		return func() {
			if (stopped || !o.all) && !sd.InJournal(os.Stdout) {
				fmt.Fprintln(env.Out, s.Name)
			}
		}, err
	})
}

// atOnce is how many containers are stopped at the same time: that is mostly waiting.
const atOnce = 32

// sideBySide stops containers at the same time, as each may take its time to end, and tells of those that have stopped, in their order.
func sideBySide(list []engine.State, stop func(engine.State) (tell func(), err error)) error {
	type result struct {
		tell func()
		err  error
	}
	results := make([]chan result, len(list))
	turns := make(chan struct{}, atOnce)
	for i, s := range list {
		results[i] = make(chan result, 1)
		go func() {
			turns <- struct{}{}
			tell, err := stop(s)
			<-turns
			results[i] <- result{tell, err}
		}()
	}
	var errs []error
	for _, done := range results {
		r := <-done
		if r.err != nil {
			errs = append(errs, r.err)
			continue
		}
		r.tell()
	}
	return errors.Join(errs...)
}

// onceStarted waits for who makes or starts the container, if anybody does, and returns the container as it is then.
func onceStarted(ctx context.Context, env *Env, s engine.State) (engine.State, error) {
	if !s.OnItsWay() {
		return s, nil
	}
	return runDirs().Await(ctx, s.ID, env.Err)
}

// stopOne stops one container, by systemd where it is systemd's. It tells whether there was anything to stop.
func stopOne(ctx context.Context, env *Env, s engine.State, timeout *time.Duration) (bool, error) {
	return stopWith(ctx, env, s, func(s engine.State) error { return stopRunning(ctx, env, s, timeout) })
}

// stopWith stops a container, one that runs by stop; one that is being started runs in a moment, and is waited for.
func stopWith(ctx context.Context, env *Env, s engine.State, stop func(engine.State) error) (bool, error) {
	s, err := onceStarted(ctx, env, s)
	switch {
	case errors.Is(err, engine.ErrNoContainer): // it could not be made
		return false, nil
	case err != nil:
		return false, err
	case !s.Running():
		return stopReturning(ctx, env, s)
	}
	return true, stop(s)
}

func stopRunning(ctx context.Context, env *Env, s engine.State, timeout *time.Duration) error {
	e := engine.Engine{Dirs: runDirs(), Cgroups: cgroup.Cgroups{}, Warn: env.Err, Event: events.Event.Send}
	ruled, err := ruledByUnit(s)
	if err != nil {
		return err
	}
	forgotten := ruled && isForgotten(ctx, env, s.Unit)
	if ruled && !forgotten {
		if timeout != nil { // the unit's own command reads it
			if err := e.Dirs.SetStopTime(s, *timeout); err != nil {
				return err
			}
		}
		return controlUnit(ctx, env, "stop", s)
	}
	err = e.Stop(ctx, s, engine.RemoveOptions{Force: true, Timeout: timeout})
	if err == nil && forgotten {
		_, err = env.Run(ctx, itself("container", "cleanup", s.ID))
	}
	return err
}

// stopReturning stops the unit of a container that has ended and that systemd is about to start again, as --restart says, and tells
// whether it is.
func stopReturning(ctx context.Context, env *Env, s engine.State) (bool, error) {
	if !startsAgain(s) {
		return false, nil
	}
	if ruled, err := ruledByUnit(s); !ruled || err != nil || !sd.Lives(ctx, env.Run, userManaged(), s.Unit, s.ID) {
		return false, err
	}
	return true, controlUnit(ctx, env, "stop", s)
}

// isForgotten tells whether systemd has lost a unit's commands with its file, while the unit runs on: it would signal the container,
// wait for the time of units that say none, and take nothing away. Those of containers that were started at a prompt need not be asked for.
func isForgotten(ctx context.Context, env *Env, unit string) bool {
	if sd.HasTransientFile(userManaged(), unit) {
		return false
	}
	load, _ := systemctl(ctx, env, "show", "--property=LoadState", "--", unit)
	return string(load) == "LoadState=not-found\n"
}

// controlUnit lets the manager do something with the container's unit, which is the system's when it has User=.
func controlUnit(ctx context.Context, env *Env, what string, s engine.State) error {
	err := sd.Systemctl(ctx, env.Run, userManaged(), what, s.Unit)
	if err != nil && rootless.InService() {
		return fmt.Errorf("container %q is that of %s, a unit of the system's, which is root's to %s: `sudo systemctl %s %s`: %w", s.Name, s.Unit, what, what, s.Unit, err)
	}
	return err
}

// stopAll stops those of these names that run.
func stopAll(ctx context.Context, env *Env, names []string, timeout *time.Duration) error {
	for _, name := range names {
		s, err := findContainer(name)
		if err != nil {
			continue // whoever needs it says so
		}
		if _, err := stopOne(ctx, env, s, timeout); err != nil {
			return err
		}
	}
	return nil
}

func (o *stopOptions) restartFlags(set *pflag.FlagSet) {
	o.flags(set)
	set.BoolVar(&o.running, "running", false, "all running containers")
}

func restartVerb() Verb {
	var o stopOptions
	return Verb{
		Name: "restart", Usage: "[OPTION…] CONTAINER…", Summary: "stop containers and start them again",
		Text:  "A container that is a unit's is restarted by systemd (systemctl restart); one that does not run is started.",
		Flags: o.restartFlags, Run: runRestart,
	}
}

func runRestart(ctx context.Context, env *Env, args []string) error {
	var o stopOptions
	list, timeout, err := o.parse("restart", args, o.restartFlags)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range list {
		if err := restartOne(ctx, env, s, timeout); err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintln(env.Out, s.Name)
	}
	return errors.Join(errs...)
}

func restartOne(ctx context.Context, env *Env, s engine.State, timeout *time.Duration) error {
	if !s.Running() {
		return startUnit(ctx, env, s)
	}
	if !sd.IsService(s.Unit) {
		return fmt.Errorf("container %q is in the foreground of another berth: stop it there", s.Name)
	}
	if timeout != nil {
		if err := runDirs().SetStopTime(s, *timeout); err != nil {
			return err
		}
	}
	return controlUnit(ctx, env, "restart", s)
}
