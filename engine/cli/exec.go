package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/keeper"
	"github.com/berth-pods/berth/engine/oci"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/sd"
	"github.com/berth-pods/berth/engine/tty"
)

type execOptions struct {
	engine.Exec
	interactive, detach, latest bool
	noSession                   bool
	cidfile, detachKeys         string
	preserveFDs                 int
	preserveFD                  []int
}

func (o *execOptions) flags(set *pflag.FlagSet) {
	set.SetInterspersed(false) // the words after the container are the command's
	set.StringVar(&o.cidfile, "cidfile", "", "read the container's ID from a `FILE`")
	set.BoolVarP(&o.detach, "detach", "d", false, "leave the command running and end")
	set.StringVar(&o.detachKeys, "detach-keys", "", "`KEYS` that end the connection with a terminal, as ctrl-p,ctrl-q; the command is hung up on")
	set.StringArrayVarP(&o.Environment, "env", "e", nil, "set a variable, or copy it from the caller (`NAME[=VALUE]`)")
	set.StringArrayVar(&o.EnvFiles, "env-file", nil, "read variables from a `FILE`")
	set.BoolVarP(&o.interactive, "interactive", "i", false, "connect the standard input")
	set.BoolVarP(&o.latest, "latest", "l", false, "in the container that was made last")
	set.BoolVar(&o.noSession, "no-session", false, "taken for Podman's sake: nothing is ever recorded of an exec")
	set.IntSliceVar(&o.preserveFD, "preserve-fd", nil, "hand these open files on (`N,…`)")
	set.IntVar(&o.preserveFDs, "preserve-fds", 0, "hand on `N` open files, from number 3 on")
	set.BoolVar(&o.Privileged, "privileged", false, "give the command all capabilities")
	set.BoolVarP(&o.Terminal, "tty", "t", false, "give the command a terminal")
	set.StringVarP(&o.User, "user", "u", "", "run as this user (`USER[:GROUP]`)")
	set.StringVarP(&o.WorkDir, "workdir", "w", "", "start in this directory (`PATH`)")
}

func execVerb() Verb {
	var o execOptions
	return Verb{
		Name: "exec", Usage: "[OPTION…] CONTAINER COMMAND [ARGUMENT…]", Summary: "run a command in a running container",
		Text: `The command gets the container's namespaces, cgroup, variables, limits and capabilities. The container may also be named
by its unit.

Exit status: the command's own, 128+N when signal N ended it; 125 when berth could not do its work, 126 when the
command cannot be run, 127 when there is no such command, 255 when the container does not run or has no such user; 125 for that with
-d.`,
		Flags: o.flags, Program: true, Before: beforeExec, Run: runExec,
	}
}

// parseExec turns the words after `exec` into a container and what to do in it.
func parseExec(args []string) (engine.State, execOptions, error) {
	var o execOptions
	set := newFlagSet("exec")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return engine.State{}, o, err
	}
	words := set.Args()
	find := func() (engine.State, error) {
		switch {
		case o.latest:
			return latestContainer()
		case o.cidfile != "":
			return containerInFile(o.cidfile)
		case len(words) == 0:
			return engine.State{}, errors.New("no container is named: `berth exec [OPTION…] CONTAINER COMMAND…`")
		}
		word := words[0]
		words = words[1:]
		return findContainer(word)
	}
	s, err := find()
	o.Command = words
	return s, o, err
}

// beforeExec goes to where the container can be reached from: for a user, into the namespace that it was set up in.
func beforeExec(ctx context.Context, _ *Env, args []string) error {
	if !rootless.Needed() {
		return nil
	}
	s, _, err := parseExec(args)
	if err != nil || !s.Running() {
		return nil // the run itself says so
	}
	if err := enterManager(ctx, s, append([]string{"exec"}, args...)); err != nil {
		return err
	}
	return rootless.Enter(s.Init)
}

// enterManager starts the command line again in a scope of the user's manager, if need be: a process may be moved into a
// container's cgroup only by who may write to the nearest group that both are in (cgroups(7), "Delegation Containment"),
// and a login session has none in common with the manager that is the user's to write to.
func enterManager(ctx context.Context, s engine.State, args []string) error {
	own := ownCgroupPath()
	if s.Cgroup == "" || strings.Contains(own, "/user@") {
		return nil
	}
	if unix.Access(filepath.Join("/sys/fs/cgroup", commonPath(own, s.Cgroup), "cgroup.procs"), unix.W_OK) == nil {
		return nil
	}
	if rootless.InService() {
		return joinUnit(ctx, s)
	}
	return sd.ExecScope(sd.Scope{User: true, Program: selfPath(), Args: ownWords(args...)})
}

// joinUnit has the keeper take this process into the unit of a container that the system's manager runs in the user's name.
func joinUnit(ctx context.Context, s engine.State) error {
	conn, err := keeper.Dial(keeperSocket())
	if err != nil {
		return fmt.Errorf("go to where container %q is: %w; `systemctl restart berth-keeper.service`, by root, helps", s.Name, err)
	}
	defer conn.Close()
	if err := conn.Join(ctx, s.Init.PID, s.Init.Start); err != nil {
		return fmt.Errorf("go to where container %q is: %w", s.Name, err)
	}
	return nil
}

// commonPath is the longest path that both begin with.
func commonPath(a, b string) string {
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	n := 0
	for n < len(x) && n < len(y) && x[n] == y[n] {
		n++
	}
	return strings.Join(x[:n], "/")
}

func runExec(ctx context.Context, env *Env, args []string) error {
	s, o, err := parseExec(args)
	if err != nil {
		return err
	}
	if o.Extra, err = o.extra(); err != nil {
		return err
	}
	e, err := engineFor(env, s)
	if err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	o.Stdin, o.Stdout, o.Stderr = null, null, null
	if o.detach {
		return execDetached(ctx, env, e, s, o)
	}
	if o.Terminal {
		return execTerminal(ctx, e, s, o)
	}
	o.Stdout, o.Stderr = os.Stdout, os.Stderr
	if o.interactive {
		o.Stdin = os.Stdin
	}
	if err := proc.Adopt(); err != nil {
		return err
	}
	p, err := e.Exec(ctx, s, o.Exec)
	if err != nil {
		return execError(err)
	}
	code, err := superviseChild(p.PID)
	return exitWith(code, errors.Join(err, p.Written()))
}

// execError gives an exec that comes to nothing Podman's exit status, which is another one than that of a start.
func execError(err error) error {
	code := engine.StartCode(err)
	if errors.Is(err, engine.ErrNotRunning) || errors.Is(err, engine.ErrNoUser) {
		code = statusNoExec
	}
	return &ExitError{Code: code, Err: err}
}

// execTerminal connects the caller with the terminal of the command until either ends.
func execTerminal(ctx context.Context, e *engine.Engine, s engine.State, o execOptions) error {
	keys, err := tty.ParseDetachKeys(o.detachKeys)
	if err != nil {
		return err
	}
	session := tty.Session{Out: os.Stdout, Screen: os.Stdout, DetachKeys: keys}
	if o.interactive {
		session.In = os.Stdin
	}
	if size, err := tty.SizeOf(os.Stdout); err == nil {
		o.Rows, o.Columns = uint(size.Rows), uint(size.Columns)
	}
	if err := proc.Adopt(); err != nil {
		return err
	}
	p, err := e.Exec(ctx, s, o.Exec)
	if err != nil {
		return execError(err)
	}
	defer p.Master.Close()
	session.Master = p.Master
	// The command leads the terminal's session: with its end the kernel ends the output too (tty_ioctl(4), TIOCSCTTY).
	ended := make(chan error, 1)
	go func() { ended <- session.Run() }()
	status := make(chan error, 1)
	go func() { status <- exitWith(superviseChild(p.PID)) }()
	if err := <-ended; errors.Is(err, tty.ErrDetached) {
		return nil
	}
	return <-status
}

// execDetached prints a number for the command, as Podman does; there is nothing to ask with it. Its terminal is held by the
// keeper, which throws away what it shows.
func execDetached(ctx context.Context, env *Env, e *engine.Engine, s engine.State, o execOptions) error {
	id, err := engine.NewID()
	if err != nil {
		return err
	}
	var keeping engine.Keeping
	if o.Terminal {
		if keeping, err = e.Keeper(); err != nil {
			return fmt.Errorf("exec -d -t: nobody can hold the terminal: %w; `systemctl start berth-keeper.socket` helps, or leave -t out", err)
		}
		defer keeping.Close()
	}
	p, err := e.Exec(ctx, s, o.Exec)
	if err != nil {
		return startError(err)
	}
	if o.Terminal {
		defer p.Master.Close()
		who, err := proc.Identify(p.PID)
		if err == nil { // else it has ended already
			r := keeper.Record{ID: id, Name: s.Name, PID: who.PID, Start: who.Start, Driver: keeper.Discard, Streams: []keeper.Stream{{Name: "terminal"}}}
			err = e.KeepTerminal(ctx, keeping, r, p.Master)
		}
		if err != nil && !errors.Is(err, proc.ErrGone) {
			return fmt.Errorf("terminal of the command, which runs: %w", err)
		}
	}
	_, err = fmt.Fprintln(env.Out, id)
	return err
}

// extra are the files to hand on, from number 3 on; nil where one is left out.
func (o execOptions) extra() ([]*os.File, error) {
	if len(o.preserveFD) > 0 && o.preserveFDs > 0 {
		return nil, errors.New("--preserve-fd and --preserve-fds exclude each other")
	}
	last := 2 + o.preserveFDs
	for _, fd := range o.preserveFD {
		last = max(last, fd)
	}
	var files []*os.File
	for fd := 3; fd <= last; fd++ {
		if len(o.preserveFD) > 0 && !slices.Contains(o.preserveFD, fd) {
			files = append(files, nil)
			continue
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return nil, fmt.Errorf("file %d is to be handed on, but is not open", fd)
		}
		files = append(files, os.NewFile(uintptr(fd), fmt.Sprintf("file-%d", fd)))
	}
	return files, nil
}

// engineFor is newEngine with the runtime that has made the container: no other one knows it.
func engineFor(env *Env, s engine.State) (*engine.Engine, error) {
	e, err := newEngine(env)
	if err == nil && s.Runtime != "" {
		e.RuntimeProgram, e.Runtime = s.Runtime, oci.Runtime{Path: s.Runtime, Run: env.Run}
	}
	return e, err
}
