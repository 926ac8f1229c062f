// Package oci drives an OCI runtime, crun or runc, through its command line.
package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

// Runtime is an engine.Runtime.
type Runtime struct {
	Path string // of crun or runc
	Run  proc.Runner
	// OldKeyring leaves a container the session keyring that its unit has (keyrings(7)); else it gets a new one.
	OldKeyring bool
	// NoPivot is for a machine whose root is its first file system, which cannot be left by pivot_root(2).
	NoPivot bool
}

// Check implements engine.Runtime: runc lacks two things that crun has.
func (r Runtime) Check(c spec.Container) error {
	if !strings.HasPrefix(filepath.Base(r.Path), "runc") {
		return nil
	}
	if c.KeepGroups() {
		return errors.New("--group-add=keep-groups needs crun: runc cannot leave groups alone")
	}
	if c.Cgroups == "disabled" {
		return errors.New("--cgroups=disabled needs crun: runc always makes a cgroup")
	}
	return nil
}

// Create runs `RUNTIME create`. The container's stdio are b's files. The runtime is killed with the thread that calls it, which is to live
// on: one that went on without its caller would make a container that nobody knows of, after what it has left was taken away.
func (r Runtime) Create(ctx context.Context, b engine.Bundle) (int, error) {
	pidFile := filepath.Join(b.Dir, "init.pid")
	args := []string{"create", "--bundle", b.Dir, "--pid-file", pidFile}
	if b.ConsoleSocket != "" {
		args = append(args, "--console-socket", b.ConsoleSocket)
	}
	if len(b.Extra) > 0 {
		args = append(args, "--preserve-fds", strconv.Itoa(len(b.Extra)))
	}
	if r.OldKeyring {
		args = append(args, "--no-new-keyring")
	}
	if r.NoPivot {
		args = append(args, "--no-pivot")
	}
	c := r.command(b, append(args, b.ID), b.Stdin, b.Stdout, b.Stderr)
	c.Attr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.call(ctx, b, c); err != nil {
		return 0, err
	}
	return r.readPID(pidFile)
}

// Exec runs `RUNTIME exec`. It asks the runtime not to stay: whoever is the subreaper gets the process as a child and
// learns its exit status at first hand.
func (r Runtime) Exec(ctx context.Context, b engine.Bundle) (int, error) {
	pidFile := filepath.Join(b.Dir, "exec.pid")
	args := []string{"exec", "--process", filepath.Join(b.Dir, "process.json"), "--detach", "--pid-file", pidFile}
	if b.ConsoleSocket != "" {
		args = append(args, "--console-socket", b.ConsoleSocket)
	}
	if len(b.Extra) > 0 {
		args = append(args, "--preserve-fds", strconv.Itoa(len(b.Extra)))
	}
	if err := r.call(ctx, b, r.command(b, append(args, b.ID), b.Stdin, b.Stdout, b.Stderr)); err != nil {
		return 0, err
	}
	return r.readPID(pidFile)
}

// readPID reads the file that the runtime has written a PID to.
func (r Runtime) readPID(pidFile string) (int, error) {
	text, err := os.ReadFile(pidFile)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		return 0, fmt.Errorf("%s wrote %q as the container's PID", filepath.Base(r.Path), text)
	}
	return pid, nil
}

// Start runs `RUNTIME start`.
func (r Runtime) Start(ctx context.Context, b engine.Bundle) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	return r.call(ctx, b, r.command(b, []string{"start", b.ID}, null, null, nil))
}

// command is a command of the runtime's. It must not see NOTIFY_SOCKET: crun would wait for the container's READY=1, and answer in our
// place.
func (r Runtime) command(b engine.Bundle, args []string, stdin, stdout, stderr *os.File) proc.Command {
	c := proc.Command{Path: r.Path, Args: append(r.Words(b)[1:], args...), Env: environment(), Extra: b.Extra, Stdin: stdin, Stdout: stdout}
	if stderr != nil {
		c.Stderr = stderr
	}
	return c
}

// call runs the runtime.
func (r Runtime) call(ctx context.Context, b engine.Bundle, c proc.Command) error {
	log := logFile(b)
	giveBack := proc.Owners(b.Stdin, b.Stdout, b.Stderr)
	_, err := r.Run(ctx, c)
	giveBack()
	var exit *proc.ExitError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("OCI runtime %s is not there; install the package crun, or set runtime= in containers.conf", r.Path)
	case errors.As(err, &exit):
		if said := lastError(log); said != "" {
			return reason(exit.Program, said)
		}
	}
	return err
}

// Words are the runtime's program and the words before those of a command.
func (r Runtime) Words(b engine.Bundle) []string {
	all := []string{r.Path, "--root", b.RuntimeRoot, "--log", logFile(b), "--log-format", "json"}
	if !strings.HasPrefix(filepath.Base(r.Path), "crun") {
		return all
	}
	manager := "disabled"
	if b.Cgroup {
		manager = "cgroupfs"
	}
	return append(all, "--cgroup-manager", manager)
}

func logFile(b engine.Bundle) string { return filepath.Join(b.Dir, "runtime.log") }

// reason tells the errors that mean that the program cannot be run in the words of engine; crun and runc have no status
// of their own for them.
func reason(program, said string) error {
	text := strings.ToLower(said)
	about := strings.Contains(text, "executable file") || strings.Contains(text, "exec: ") || strings.Contains(text, "chdir to ")
	path := strings.Contains(text, "the path `") || strings.Contains(text, "open executable")
	switch {
	case about && (strings.Contains(text, "not found") || strings.Contains(text, "no such file or directory")):
		return fmt.Errorf("%w: %s: %s", engine.ErrCommandNotFound, program, said)
	case path, about && (strings.Contains(text, "permission denied") || strings.Contains(text, "is a directory")):
		return fmt.Errorf("%w: %s: %s", engine.ErrCommandNotRunnable, program, said)
	case strings.Contains(text, "no space left") && (strings.Contains(text, "clone: ") || strings.Contains(text, "unshare")): // ENOSPC, namespaces(7)
		return fmt.Errorf("%s: %s: that is no disk, but there are as many namespaces of a kind as a setting allows: `sysctl -ar user.max_` shows them", program, said)
	}
	return fmt.Errorf("%s: %s", program, said)
}

func environment() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "NOTIFY_SOCKET=") && !strings.HasPrefix(e, "LISTEN_") {
			env = append(env, e)
		}
	}
	return env
}

// lastError returns the last message of a log in the JSON format that crun and runc share.
func lastError(log string) string {
	data, err := os.ReadFile(log)
	if err != nil {
		return ""
	}
	said := ""
	for _, line := range strings.Split(string(data), "\n") {
		var entry struct{ Msg, Level string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Level == "error" {
			said = entry.Msg
		}
	}
	return said
}
