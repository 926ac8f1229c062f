package proc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ID names one process for good: the kernel may give its PID to another one later, but never with the same start time.
type ID struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot, field 22 of /proc/PID/stat (proc_pid_stat(5))
}

// ErrGone says that the process has ended, whether or not its PID is in use again.
var ErrGone = errors.New("process has ended")

// Identify reads the ID of a running process. ErrGone says that there is none; another error, as of a lack of file descriptors, does not.
func Identify(pid int) (ID, error) {
	state, start, err := stat(pid)
	if err != nil {
		return ID{}, err
	}
	if state == 'Z' || state == 'X' {
		return ID{}, ErrGone
	}
	return ID{PID: pid, Start: start}, nil
}

func stat(pid int) (state byte, start uint64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return 0, 0, ErrGone
	}
	if err != nil {
		return 0, 0, err
	}
	// The name stands in parentheses and may hold any character, these too.
	rest := string(data[strings.LastIndexByte(string(data), ')')+1:])
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return 0, 0, fmt.Errorf("/proc/%d/stat has %d fields after the name; 20 were expected", pid, len(fields))
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	return fields[0][0], start, err
}

// Check returns nil when the process is there and no zombie, ErrGone when it has ended, and another error when that cannot be known.
func (id ID) Check() error {
	now, err := Identify(id.PID)
	if err == nil && now != id {
		return ErrGone
	}
	return err
}

// Running reports whether the process is there and no zombie, or may be: what belongs to it is not to be taken away.
func (id ID) Running() bool { return !errors.Is(id.Check(), ErrGone) }

// Open returns a pidfd of the process, or ErrGone.
func (id ID) Open() (*os.File, error) {
	if id.PID <= 0 {
		return nil, ErrGone
	}
	fd, err := unix.PidfdOpen(id.PID, 0)
	// Looked at afterwards: the PID may have gone to another process meanwhile, or to a thread, of which there is no pidfd.
	if other := id.Check(); other != nil {
		if err == nil {
			unix.Close(fd)
		}
		return nil, other
	}
	if err != nil {
		return nil, fmt.Errorf("pidfd of process %d: %w", id.PID, err)
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

// OpenNamespace opens a namespace that the process is in, by its name in /proc/PID/ns, or returns ErrGone.
func (id ID) OpenNamespace(name string) (*os.File, error) {
	if id.PID <= 0 {
		return nil, ErrGone
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", id.PID, name))
	// Looked at afterwards: the number may have become another process's meanwhile.
	if gone := id.Check(); gone != nil {
		f.Close() // nil is no error
		return nil, gone
	}
	return f, err
}

// Signal sends sig through the pidfd; a process that has ended is no error.
func Signal(pidfd *os.File, sig unix.Signal) error {
	err := unix.PidfdSendSignal(int(pidfd.Fd()), sig, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// Wait returns when the process has ended (true), or when timeout has passed or ctx is done (false). A negative
// timeout waits without limit.
func Wait(ctx context.Context, pidfd *os.File, timeout time.Duration) (bool, error) {
	deadline := time.Now().Add(timeout)
	for {
		step := 250 * time.Millisecond // to look at ctx
		if left := time.Until(deadline); timeout >= 0 && left < step {
			step = max(left, 0)
		}
		fds := []unix.PollFd{{Fd: int32(pidfd.Fd()), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int((step+time.Millisecond-1)/time.Millisecond))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false, fmt.Errorf("wait for process: %w", err)
		}
		if n > 0 {
			return true, nil
		}
		if ctx.Err() != nil || timeout >= 0 && time.Until(deadline) <= 0 {
			return false, ctx.Err()
		}
	}
}

// End ends a process by SIGTERM, or by SIGKILL when patience is over or ctx is done, and returns when it has ended.
func End(ctx context.Context, pidfd *os.File, patience time.Duration) error {
	if err := Signal(pidfd, unix.SIGTERM); err != nil {
		return err
	}
	if ended, _ := Wait(ctx, pidfd, patience); ended {
		return nil
	}
	if err := Signal(pidfd, unix.SIGKILL); err != nil {
		return err
	}
	_, err := Wait(context.WithoutCancel(ctx), pidfd, -1)
	return err
}

// OpenChild returns a pidfd of a child of this process. Its PID is its own until it has been reaped.
func OpenChild(pid int) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("pidfd of process %d: %w", pid, err)
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

// Reap waits for the end of a child of this process and returns its exit status as a shell would, 128+N for signal N.
func Reap(pid int) (int, error) {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &status, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if status.Signaled() {
			return 128 + int(status.Signal()), nil
		}
		return status.ExitStatus(), nil
	}
}

// Adopt makes this process the parent of the orphans below it (prctl(2), PR_SET_CHILD_SUBREAPER).
func Adopt() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	return nil
}
