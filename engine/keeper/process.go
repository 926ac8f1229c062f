package keeper

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Process names a process: a PID may be used again.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`
}

// errGone says that a process has ended. Another error, as of a lack of file descriptors, does not.
var errGone = errors.New("it has ended")

// open returns a pidfd of the process, or errGone.
func (p Process) open() (pidfd int, err error) {
	if p.PID <= 0 {
		return -1, errGone
	}
	pidfd, err = unix.PidfdOpen(p.PID, 0)
	// Looked at afterwards: the PID may have gone to another process meanwhile, or to a thread, of which there is no pidfd.
	if other := p.check(); other != nil {
		if err == nil {
			unix.Close(pidfd)
		}
		return -1, other
	}
	if err != nil {
		return -1, fmt.Errorf("pidfd of process %d: %w", p.PID, err)
	}
	return pidfd, nil
}

// check returns nil when the process is there, errGone when it has ended, and another error when that cannot be known.
func (p Process) check() error {
	start, err := startTime(p.PID)
	if err == nil && start != p.Start {
		return errGone
	}
	return err
}

// startTime is when a process has started, in ticks since boot (proc_pid_stat(5), field 22); errGone when there is none.
func startTime(pid int) (uint64, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, gone(err)
	}
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields after the name; 20 were expected", pid, len(fields))
	}
	return strconv.ParseUint(string(fields[19]), 10, 64)
}

// gone is errGone for an error of reading a process's files in /proc that says so.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return errGone
	}
	return err
}
