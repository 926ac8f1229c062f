package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/sd"
	"github.com/berth-pods/berth/engine/spec"
)

func runVerb() Verb {
	return Verb{
		Name: "run", Usage: "[OPTION…] IMAGE [COMMAND [ARGUMENT…]]", Summary: "run a container",
		Text: `Sets a container up and starts it. In a unit, with -d, berth hands the container's PID 1 to systemd as the unit's
main process and ends; from a shell, with -d, it lets systemd start a transient unit that does the same. Without -d it
stays in the foreground, hands signals on, and ends with the container's exit status.

Exit status: the container's own; 125 when berth could not do its work, 126 when the command cannot be run, 127 when
there is no such command.`,
		Flags:  func(set *pflag.FlagSet) { bindRunFlags(set, &spec.Container{}) },
		Before: beforeRun,
		Userns: func(args []string) bool { return rootless.Needed() && !transient(args) },
		Run:    runRun,
	}
}

// parseRun turns the words after `run` into a container.
func parseRun(args []string) (spec.Container, error) {
	var c spec.Container
	set := newFlagSet("run")
	bindRunFlags(set, &c)
	if err := set.Parse(args); err != nil {
		return c, err
	}
	if set.NArg() == 0 {
		return c, errors.New("no image is named: `berth run [OPTION…] IMAGE [COMMAND…]`")
	}
	c.Image, c.Command = set.Arg(0), set.Args()[1:]
	return c, checkRun(c)
}

// checkRun refuses values that no later step would look at.
func checkRun(c spec.Container) error {
	for _, f := range []struct {
		name, value string
		known       []string
	}{
		{"cgroups", c.Cgroups, []string{"", "split", "enabled", "disabled", "no-conmon"}},
		{"sdnotify", c.SDNotify, []string{"", "conmon", "container", "ignore"}},
		{"log-driver", c.LogDriver, []string{"", "journald", "passthrough", "none"}},
		{"pull", c.Pull, []string{"", "always", "missing", "newer", "never"}},
	} {
		if !slices.Contains(f.known, f.value) {
			return fmt.Errorf("--%s=%s: known are %s", f.name, f.value, strings.TrimPrefix(strings.Join(f.known, ", "), ", "))
		}
	}
	for _, a := range c.Annotations {
		if err := spec.CheckAnnotation(a); err != nil {
			return err
		}
	}
	return nil
}

func runRun(ctx context.Context, env *Env, args []string) error {
	c, err := parseRun(args)
	if err != nil {
		return err
	}
	for _, name := range c.NoEffect {
		fmt.Fprintf(env.Err, "--%s has no effect: it is of cgroup v1, and berth needs v2\n", name)
	}
	if transient(args) {
		return runTransient(ctx, env, c, args)
	}
	e, err := newEngine(env)
	if err != nil {
		return err
	}
	if c.Detach {
		if err := checkTimeout(ctx, env, c); err != nil {
			return err
		}
		_, err := e.Run(ctx, c)
		return err
	}
	return runForeground(ctx, e, c)
}

// transient tells whether the words ask for a unit of their own. systemd must be asked by the user, not by the root of
// the user's namespace, whom the bus does not know.
func transient(args []string) bool {
	c, err := parseRun(args)
	return err == nil && c.Detach && os.Getenv("NOTIFY_SOCKET") == ""
}

// runTransient asks systemd to run the same command line as a unit.
func runTransient(ctx context.Context, env *Env, c spec.Container, args []string) error {
	name := c.Name
	if name == "" {
		var err error
		if name, err = engine.NewName(); err != nil {
			return err
		}
		args = append([]string{"--name", name}, args...)
	}
	if err := spec.CheckName(name); err != nil {
		return fmt.Errorf("container: %w", err)
	}
	if files, err := spec.FileNumbers(c.ProcessFlags); err != nil || len(files) > 0 {
		return errors.Join(err, errors.New("--preserve-fd and --preserve-fds need the foreground: with -d, systemd starts the container; leave -d out"))
	}
	properties, err := spec.UnitProperties(c.Limits)
	if err != nil {
		return err
	}
	if c.Timeout > 0 {
		properties = append(properties, fmt.Sprintf("RuntimeMaxSec=%d", c.Timeout/time.Second))
	}
	return sd.StartTransient(ctx, env.Run, sd.Transient{
		Properties: properties, User: rootless.Needed(), Unit: name, Program: selfPath(),
		Start: append([]string{"run", "--cgroups=split", "--sdnotify=conmon"}, args...),
		Stop:  []string{"rm", "-v", "-f", "-i", name}, Setenv: copied(c.Environment),
	})
}

// checkTimeout refuses a time limit that nobody would keep: in a unit berth has left long before the time is over.
func checkTimeout(ctx context.Context, env *Env, c spec.Container) error {
	if c.Timeout <= 0 {
		return nil
	}
	limit, err := sd.RuntimeMax(ctx, env.Run, rootless.Inside())
	if err != nil || limit == "infinity" {
		return errors.Join(err, fmt.Errorf("--timeout=%d: in a unit systemd keeps the time; write RuntimeMaxSec=%[1]d into [Service]", c.Timeout/time.Second))
	}
	return nil
}

// copied are the variables that are to be copied from the caller, who is not the one that starts the unit.
func copied(environment []string) []string {
	var names []string
	for _, e := range environment {
		if !strings.ContainsAny(e, "=*") {
			names = append(names, e)
		}
	}
	return names
}

// beforeRun does what must be done outside of the user's namespace. A wrong flag is reported by the run itself.
func beforeRun(ctx context.Context, env *Env, args []string) error {
	c, err := parseRun(args)
	if err != nil || rootless.Inside() {
		return nil
	}
	if rootless.Needed() && c.Replace && c.Name != "" && !transient(args) {
		if err := stopOutside(ctx, env, []string{c.Name}, engine.RemoveOptions{Force: true, Ignore: true}); err != nil {
			return err
		}
	}
	return enterScope(c, args)
}

// enterScope moves a foreground run into a scope of its own, as systemd-run(1) does, for a container needs a control group
// that may be divided. Without systemd, or where the user has no manager, it stays in the caller's group.
func enterScope(c spec.Container, args []string) error {
	if c.Detach || c.Cgroups != "" {
		return nil
	}
	slice, err := spec.Slice(c.CgroupParent)
	if err != nil {
		return err
	}
	return sd.ExecScope(sd.Scope{
		User: rootless.Needed(), Slice: slice, Program: selfPath(), Args: append([]string{"run", "--cgroups=split"}, args...),
	})
}

// runForeground starts the container as a child that nobody else will wait for, and stays until it ends.
func runForeground(ctx context.Context, e *engine.Engine, c spec.Container) error {
	// The runtime's create process ends before the container: its orphan must come to us and not to PID 1 (prctl(2)).
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	s, err := e.Run(ctx, c)
	if err != nil {
		return startError(err)
	}
	code, err := supervise(s)
	err = errors.Join(err, e.Remove(context.WithoutCancel(ctx), s.ID, engine.RemoveOptions{Force: true, Ignore: true}))
	if err == nil && code != 0 {
		return &ExitError{Code: code}
	}
	return err
}

// startError gives the exit statuses that shells use to a command that cannot be run.
func startError(err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "not found in $PATH"), strings.Contains(text, "No such file or directory") && strings.Contains(text, "executable"):
		return &ExitError{Code: 127, Err: err}
	case strings.Contains(text, "open executable"), strings.Contains(text, "Permission denied") && strings.Contains(text, "exec"):
		return &ExitError{Code: 126, Err: err}
	}
	return err
}

// supervise hands signals on to the container's PID 1 until it ends, and returns its exit status as a shell would
// (128+N for signal N).
func supervise(s engine.State) (int, error) {
	if !s.Container.SigProxy {
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)
	pidfd, err := s.Init.Open()
	if err == nil {
		defer pidfd.Close()
		go func() {
			for sig := range signals {
				if s.Container.SigProxy {
					proc.Signal(pidfd, sig.(syscall.Signal))
				}
			}
		}()
		if limit := s.Container.Timeout; limit > 0 {
			defer time.AfterFunc(limit, func() { proc.Signal(pidfd, syscall.SIGKILL) }).Stop()
		}
	}
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(s.Init.PID, &status, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("wait for container %q: %w", s.Name, err)
		}
		if status.Signaled() {
			return 128 + int(status.Signal()), nil
		}
		return status.ExitStatus(), nil
	}
}
