// Package proc is the one door through which berth starts other programs, and the place that knows how processes are told
// apart (pidfds and start times, never a bare PID).
package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Command is a program to run.
type Command struct {
	Path   string
	Args   []string // without the program's own name
	Env    []string // nil: the caller's
	Stdin  io.Reader
	Stdout io.Writer // nil: collected and returned
	Stderr io.Writer // nil: collected for the error
	Extra  []*os.File
	Attr   *syscall.SysProcAttr
}

// Runner runs a command to its end and returns what it printed. A test passes its own.
type Runner func(ctx context.Context, c Command) ([]byte, error)

// ExitError says that a program ran and failed.
type ExitError struct {
	Program string
	Code    int // 128+N when signal N ended it
	Stderr  string
	Stdout  string
}

// Error names the program and gives the last line that it wrote to stderr. Of one in Rust that has panicked that is only a note: what
// happened stands before.
func (e *ExitError) Error() string {
	if _, said, panicked := strings.Cut(e.Stderr, " panicked at "); panicked {
		said, _, _ = strings.Cut(said, "\nnote: ")
		return e.Program + ": panicked at " + strings.Join(strings.Fields(said), " ")
	}
	if line := lastLine(e.Stderr); line != "" {
		return e.Program + ": " + line
	}
	return fmt.Sprintf("%s ended with status %d", e.Program, e.Code)
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// afterKill is how long what a program has started may hold its output open when its time is over, or it has ended before that.
const afterKill = time.Second

// Run is the Runner that starts real processes. It forks from the calling thread, so that a caller who has locked its
// thread passes that thread's namespaces on. Of a program that was killed because ctx was canceled it says no more than that.
// When ctx has a deadline, what the program has started is killed with it when that is over, and nothing that it leaves behind
// makes Run wait.
func Run(ctx context.Context, c Command) ([]byte, error) {
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Env, cmd.Stdin, cmd.ExtraFiles, cmd.SysProcAttr = c.Env, c.Stdin, c.Extra, c.Attr
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = c.Stdout, c.Stderr
	if c.Stdout == nil {
		cmd.Stdout = &stdout
	}
	if c.Stderr == nil {
		cmd.Stderr = &stderr
	}
	if _, limited := ctx.Deadline(); limited {
		cmd.WaitDelay = afterKill
		inGroup(cmd)
	}
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it has ended well
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && errors.Is(ctx.Err(), context.Canceled) && exitCode(exit.ProcessState) == 128+int(syscall.SIGKILL):
		return stdout.Bytes(), fmt.Errorf("%s: %w", base(c.Path), ctx.Err())
	case errors.As(err, &exit):
		return stdout.Bytes(), &ExitError{Program: base(c.Path), Code: exitCode(exit.ProcessState), Stderr: stderr.String(), Stdout: stdout.String()}
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, exec.ErrNotFound):
		return nil, fmt.Errorf("program %s is not there: %w", c.Path, err)
	}
	return stdout.Bytes(), err
}

// inGroup makes the program the first of a process group, which is killed as a whole.
func inGroup(cmd *exec.Cmd) {
	attr := syscall.SysProcAttr{}
	if cmd.SysProcAttr != nil {
		attr = *cmd.SysProcAttr
	}
	attr.Setpgid = !attr.Setsid // a session has a group of its own
	cmd.SysProcAttr = &attr
	cmd.Cancel = func() error {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
}

func base(p string) string { return p[strings.LastIndexByte(p, '/')+1:] }

func exitCode(s *os.ProcessState) int {
	status, ok := s.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return s.ExitCode()
}
