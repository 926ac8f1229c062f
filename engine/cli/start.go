package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/cgroup"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/sd"
	"github.com/berth-pods/berth/engine/spec"
)

type startOptions struct {
	attach, interactive, latest, all bool
	filters                          []string
	detachKeys                       string
	sigProxy                         bool
}

func (o *startOptions) flags(set *pflag.FlagSet) {
	set.BoolVar(&o.all, "all", false, "start all that do not run")
	set.BoolVarP(&o.attach, "attach", "a", false, "stay in the foreground, connected with the container, and end with its exit status")
	set.StringVar(&o.detachKeys, "detach-keys", "", "`KEYS` that end the connection with a terminal")
	set.StringArrayVarP(&o.filters, "filter", "f", nil, "those for which `KEY=VALUE` is true, as for ps")
	set.BoolVarP(&o.interactive, "interactive", "i", false, "connect the standard input; implies --attach")
	set.BoolVarP(&o.latest, "latest", "l", false, "the container that was made last")
	set.BoolVar(&o.sigProxy, "sig-proxy", true, "with --attach, hand signals on to the container")
}

func startVerb() Verb {
	var o startOptions
	return Verb{
		Name: "start", Usage: "[OPTION…] CONTAINER…", Summary: "start containers that were made before, or have ended",
		Text: `From a shell, berth lets systemd start a transient unit with the container's name; in a unit that waits for a
notification (Type=notify) it starts the container there and ends. The writable layer is as the container left it.`,
		Flags: o.flags, Before: beforeStart,
		Userns: func(args []string) bool { return rootless.Needed() && startsHere(args) },
		Run:    runStart,
	}
}

func parseStart(args []string) ([]engine.State, startOptions, error) {
	var o startOptions
	set := newFlagSet("start")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return nil, o, err
	}
	o.attach = o.attach || o.interactive
	list, err := containers(set.Args(), selection{all: o.all, latest: o.latest, filters: o.filters})
	if err == nil && o.attach && len(list) != 1 {
		err = errors.New("--attach takes one container")
	}
	return list, o, err
}

// startsHere tells whether this process itself sets the container up: in a unit, or in the foreground.
func startsHere(args []string) bool {
	list, o, err := parseStart(args)
	return err == nil && (o.attach && !connects(list[0]) && !list[0].Running() || os.Getenv("NOTIFY_SOCKET") != "")
}

// connects tells whether start --attach lets a unit run the container, as run does (viaUnit).
func connects(s engine.State) bool {
	return (s.Container.TTY || keepsLog(s.Container)) && !rootless.Inside() && sd.Reachable(rootless.Needed())
}

// startConnected attaches to the container, which it starts if need be.
func startConnected(ctx context.Context, env *Env, s engine.State, o startOptions) error {
	c := s.Container
	c.Interactive, c.SigProxy = o.interactive, o.sigProxy
	if o.detachKeys != "" {
		c.DetachKeys = &o.detachKeys
	}
	c.Name = s.Name
	if s.Running() {
		l, err := linkOf(c, s.ID)
		if err != nil {
			return err
		}
		return l.join(ctx, env, s)
	}
	awakeKeeper(ctx, env)
	return connect(ctx, env, c, s.ID, func() error { return startUnit(ctx, env, s) })
}

func beforeStart(ctx context.Context, env *Env, args []string) error {
	list, o, err := parseStart(args)
	if err != nil || rootless.Inside() {
		return nil
	}
	if !o.attach || !connects(list[0]) {
		for _, s := range list {
			if err := startRequired(ctx, env, s.Container.Requires); err != nil {
				return err
			}
		}
	}
	inScope := unitOfSelf() == "" || strings.HasSuffix(unitOfSelf(), ".scope") && strings.HasPrefix(unitOfSelf(), "run-")
	if o.attach && !inScope && !list[0].Running() && !connects(list[0]) {
		if err := sd.ExecScope(sd.Scope{User: rootless.Needed(), Program: selfPath(), Args: append(ownWords("start"), args...)}); err != nil {
			return err
		}
	}
	if !o.attach && os.Getenv("NOTIFY_SOCKET") == "" || o.attach && connects(list[0]) {
		return nil // a unit starts it
	}
	for _, s := range list {
		if err := joinMade(ctx, env, s); err != nil {
			return err
		}
	}
	return nil
}

func runStart(ctx context.Context, env *Env, args []string) error {
	list, o, err := parseStart(args)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range list {
		switch {
		case o.attach && (s.Running() || connects(s)):
			return startConnected(ctx, env, s, o)
		case o.attach:
			return startForeground(ctx, env, s, o)
		case s.Running() && os.Getenv("NOTIFY_SOCKET") == "":
		case os.Getenv("NOTIFY_SOCKET") != "":
			s.Container.Detach = true
			e, err := newEngine(env)
			if err == nil {
				_, err = e.Start(ctx, s)
			}
			if err != nil {
				if !errors.Is(err, engine.ErrIsRunning) {
					tellFailure(s.ID, err)
				}
				return startError(err)
			}
		default:
			if err := startUnit(ctx, env, s); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		if !sd.InJournal(os.Stdout) {
			fmt.Fprintln(env.Out, s.Name)
		}
	}
	return errors.Join(errs...)
}

// required finds the containers that another one requires.
func required(words []string) (list []engine.State, err error) {
	for _, names := range words {
		for _, name := range strings.Split(names, ",") {
			s, err := findContainer(name)
			if err != nil {
				return nil, fmt.Errorf("--requires=%s: %w", name, err)
			}
			list = append(list, s)
		}
	}
	return list, nil
}

// startRequired starts the containers that another one requires. Each starts those that it requires itself.
func startRequired(ctx context.Context, env *Env, words []string) error {
	list, err := required(words)
	if err != nil {
		return err
	}
	for _, s := range list {
		if s.Running() || s.OnItsWay() {
			continue
		}
		if err := startUnit(ctx, env, s); err != nil {
			return fmt.Errorf("--requires=%s: %w", s.Name, err)
		}
	}
	return nil
}

// startUnit lets systemd start the container as a unit of its own.
func startUnit(ctx context.Context, env *Env, s engine.State) error {
	if err := s.Startable(); err != nil {
		return err
	}
	c := s.Container
	c.Pod, c.PodIDFile = s.Pod, ""
	c, err := inSlice(c)
	if err != nil {
		return err
	}
	properties, err := unitProperties(c)
	if err != nil {
		return err
	}
	cleanup := ownWords("container", "cleanup", s.ID)
	began := time.Now()
	for attempt := 0; ; attempt++ {
		err = sd.StartTransient(ctx, env.Run, sd.Transient{
			Properties: properties, User: rootless.Needed(), Unit: s.Name, Program: selfPath(), Shared: true,
			Start: ownWords("start", s.ID), Stop: ownWords("stop", "-i", s.ID), StopPost: cleanup, Setenv: copied(s.Container),
		})
		if err == nil {
			return nil
		}
		now, findErr := findContainer(s.ID)
		if findErr != nil {
			return err
		}
		if over, ended := startEnded(now, began, err); over || attempt == maxAtOnce {
			if ended != nil {
				ended = fmt.Errorf("%w%w", ended, hidden{err}) // which names the unit
			}
			return ended
		}
	}
}

// maxAtOnce bounds how often a start is looked at again that others were in the way of.
const maxAtOnce = 50

// startEnded says how the start of a container has ended that its unit's start, which began then, could not see through; over is false when
// that is to be tried again, for others were in its way and have not started it either.
func startEnded(now engine.State, began time.Time, err error) (over bool, _ error) {
	others := errors.Is(err, sd.ErrAtOnce)
	failed := now.Exit != nil && now.Exit.Error != "" && (!others || now.Finished.After(began))
	switch {
	case now.Running() || !failed && others && now.Started.After(began):
		return true, nil // somebody else was faster
	case !failed:
		return !others, err
	}
	// Why is in the container's record: the unit's own berth has written it there.
	err = errors.New(now.Exit.Error)
	if now.Exit.Code == 126 || now.Exit.Code == 127 {
		err = &ExitError{Code: now.Exit.Code, Err: err}
	}
	return true, err
}

// unitProperties are the properties of a transient unit that come from the container's options.
func unitProperties(c spec.Container) ([]string, error) {
	list, err := spec.UnitProperties(c.Limits)
	if err != nil {
		return nil, err
	}
	if c.Timeout > 0 {
		list = append(list, fmt.Sprintf("RuntimeMaxSec=%d", c.Timeout/time.Second))
	}
	if c.StopTimeout > 0 { // time for the container, and some for us
		list = append(list, fmt.Sprintf("TimeoutStopSec=%d", c.StopTimeout/time.Second+30))
	}
	restart, err := restartProperties(c.Restart)
	return append(list, restart...), err
}

// startsAgain tells whether systemd starts a container again, as --restart says, when it has ended.
func startsAgain(s engine.State) bool {
	properties, err := restartProperties(s.Container.Restart)
	return err == nil && properties != nil
}

// restartProperties turn a restart policy into systemd's (systemd.service(5), Restart=).
func restartProperties(policy string) ([]string, error) {
	name, count, counted := strings.Cut(policy, ":")
	switch name {
	case "", "no", "never":
		return nil, nil
	case "always", "unless-stopped":
		return []string{"Restart=always", "StartLimitIntervalSec=0"}, nil
	case "on-failure":
		if !counted {
			return []string{"Restart=on-failure", "StartLimitIntervalSec=0"}, nil
		}
		n, err := strconv.Atoi(count)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("--restart=%s: %q is not a number", policy, count)
		}
		return []string{"Restart=on-failure", "StartLimitIntervalSec=infinity", fmt.Sprintf("StartLimitBurst=%d", n+1)}, nil
	}
	return nil, fmt.Errorf("--restart=%s: known are no, always, unless-stopped, on-failure, on-failure:N", policy)
}

// startForeground starts the container as a child and stays until it ends.
func startForeground(ctx context.Context, env *Env, s engine.State, o startOptions) error {
	if s.Running() {
		return fmt.Errorf("%w: %q; `berth attach %s` connects with it", engine.ErrIsRunning, s.Name, s.Name)
	}
	if err := proc.Adopt(); err != nil {
		return err
	}
	e, err := newEngine(env)
	if err != nil {
		return err
	}
	s.Container.Detach = false
	s.Container.Interactive = o.interactive || s.Container.Interactive && !s.Container.TTY
	if s, err = e.Start(ctx, s); err != nil {
		return startError(err)
	}
	return finish(ctx, e, s, o.sigProxy)
}

// finish stays until the container ends, takes away what is to be taken away then, and ends with its exit status.
func finish(ctx context.Context, e *engine.Engine, s engine.State, sigProxy bool) error {
	shown := showTerminal(s)
	code, err := watch(s.Init.PID, sigProxy, s.Container.Timeout)
	shown()
	s.Network.NetNS = "" // it has ended with the container
	ctx = context.WithoutCancel(ctx)
	err = errors.Join(err, s.Written(), e.Cleanup(ctx, s, engine.Exit{Code: code, OOM: cgroup.OOMKilled(s.Cgroup)}), leavePlainPod(ctx, proc.Run, e, s))
	return exitWith(code, err)
}
