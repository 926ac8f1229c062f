package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-pods/berth/engine/inroot"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/engine/tty"
)

// Exec is another process for a container that runs.
type Exec struct {
	spec.ExecOptions
	EnvFiles              []string
	Stdin, Stdout, Stderr *os.File
	Extra                 []*os.File // from file descriptor 3 on; nil leaves a number out
}

// Process is what came of an exec.
type Process struct {
	PID    int
	Master *os.File // of its terminal, nil without one
	output outlets
}

// Written waits, when the process has ended, until what it has written is in the caller's files. Their errors are its own.
func (p Process) Written() error { return p.output.finish() }

// ErrNotRunning says that something needs a container that runs.
var ErrNotRunning = errors.New("container does not run")

// Exec starts a process in a container. The process is the child of the nearest subreaper, with
// proc.Adopt of this process. It is in the container's namespaces and in its cgroup: a stop of the unit ends it too.
//
// The calling goroutine must be locked to its thread, which is moved into a mount namespace. For a user the caller is in the
// user namespace that the container was set up in.
func (e *Engine) Exec(ctx context.Context, s State, x Exec) (p Process, err error) {
	if !s.Running() {
		return p, fmt.Errorf("%w: %q; `berth start %s` starts it", ErrNotRunning, s.Name, s.Name)
	}
	process, err := e.execProcess(s, x)
	if err != nil {
		return p, err
	}
	// A directory for each: several may be started at once. It goes with the container when this process is killed.
	dir, err := os.MkdirTemp(e.Dirs.Container(s.ID), "exec-")
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	text, err := json.Marshal(process)
	if err != nil {
		return p, err
	}
	if err := os.WriteFile(filepath.Join(dir, "process.json"), text, 0o600); err != nil {
		return p, err
	}
	if err := ownMountNamespace(); err != nil {
		return p, err
	}
	protect(e.RuntimeProgram)
	if s.Cgroup != "" {
		if err := e.Cgroups.Enter(s.Cgroup); err != nil {
			return p, err
		}
	}
	stdin, err := forReading(x.Stdin)
	if err != nil {
		return p, err
	}
	var output outlets
	stdout, err := output.forWriting(x.Stdout)
	if err != nil {
		return p, err
	}
	stderr, err := output.forWriting(x.Stderr)
	if err != nil {
		return p, err
	}
	b := Bundle{
		ID: s.ID, Dir: dir, Stdin: stdin, Stdout: stdout, Stderr: stderr, Extra: x.Extra,
		Cgroup: s.Cgroup != "", RuntimeRoot: e.Dirs.runtimeRoot(),
	}
	p, err = e.exec(ctx, b, x.Terminal)
	output.handed()
	if err != nil {
		return p, errors.Join(fmt.Errorf("exec in container %q: %w", s.Name, err), output.finish())
	}
	p.output = output
	e.tell(s, "exec")
	return p, nil
}

// exec lets the runtime start the process and takes its terminal.
func (e *Engine) exec(ctx context.Context, b Bundle, terminal bool) (Process, error) {
	if !terminal {
		pid, err := e.Runtime.Exec(ctx, b)
		return Process{PID: pid}, err
	}
	return withConsole(ctx, b, e.Runtime.Exec)
}

// withConsole lets the runtime start a process that gets a terminal, and takes the terminal's other side.
func withConsole(ctx context.Context, b Bundle, start func(context.Context, Bundle) (int, error)) (Process, error) {
	// By way of a handle: the path itself is too long for a socket's name (unix(7), 108 bytes).
	dir, err := os.Open(b.Dir)
	if err != nil {
		return Process{}, err
	}
	defer dir.Close()
	console, err := tty.ListenConsole(handlePath(dir))
	if err != nil {
		return Process{}, err
	}
	defer console.Close()
	b.ConsoleSocket = console.Path
	pid, err := start(ctx, b)
	if err != nil {
		return Process{}, err
	}
	master, err := console.Receive(ctx)
	return Process{PID: pid, Master: master}, err
}

// execProcess makes the process from the container's own, and looks its user up in the container as it is now.
func (e *Engine) execProcess(s State, x Exec) (*specs.Process, error) {
	in := spec.ExecInput{Options: x.ExecOptions, Container: s.Container, Host: e.Host.Environment}
	config, err := e.config(s)
	if err != nil {
		return nil, err
	}
	in.Base = *config.Process
	in.Options.Environment, err = e.environment(spec.Container{EnvFiles: x.EnvFiles, Environment: x.Environment})
	if err != nil {
		return nil, err
	}
	if x.Privileged || spec.WantsAllCapabilities(s.Container) {
		in.Bounding = ownCapabilities()
	}
	if x.User != "" {
		root, err := inroot.Open(fmt.Sprintf("/proc/%d/root", s.Init.PID))
		if err != nil {
			return nil, fmt.Errorf("root file system of %q: %w", s.Name, err)
		}
		defer root.Close()
		who := s.Container
		who.User = x.User
		if in.Process, err = resolveUser(root, who, ""); err != nil {
			return nil, err
		}
	}
	return spec.Exec(in)
}

// config reads the configuration that the container was made with.
func (e *Engine) config(s State) (*specs.Spec, error) {
	data, err := os.ReadFile(filepath.Join(e.Dirs.Container(s.ID), "config.json"))
	if err != nil {
		return nil, err
	}
	var config specs.Spec
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, fmt.Errorf("config.json of %q is damaged: %w", s.Name, err)
	}
	if config.Process == nil {
		return nil, fmt.Errorf("config.json of %q has no process", s.Name)
	}
	return &config, nil
}
