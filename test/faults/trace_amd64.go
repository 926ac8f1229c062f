package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// outcome is what came of a command.
type outcome struct {
	changes  int
	injected bool
	what     string // the change that was interfered with
	status   int
}

// tracer watches a tree of processes (ptrace(2)). All its calls must come from one thread.
type tracer struct {
	plan
	outcome
	main    int
	known   map[int]bool // threads whose first stop has been seen
	failing map[int]bool // threads whose present call is to return the error
}

// trace runs the command to its end, or to the change at which it is killed.
func trace(p plan, command []string) (outcome, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	path, err := exec.LookPath(command[0])
	if err != nil {
		return outcome{}, err
	}
	t := &tracer{plan: p, known: map[int]bool{}, failing: map[int]bool{}}
	if err := t.begin(path, command); err != nil {
		return outcome{}, fmt.Errorf("watch %s: %w", path, err)
	}
	const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEEXEC
	if err := unix.PtraceSetOptions(t.main, options); err != nil {
		return outcome{}, fmt.Errorf("watch %s: %w", path, err)
	}
	if err := unix.PtraceSyscall(t.main, 0); err != nil {
		return outcome{}, err
	}
	return t.loop()
}

// begin starts the command and stops it before it does anything.
func (t *tracer) begin(path string, command []string) error {
	attr := &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Sys: &syscall.SysProcAttr{}}
	asUser := os.Getuid() != os.Geteuid()
	if asUser {
		// faults is set-user-ID. The kernel takes that bit, and file capabilities, for nothing when the watched process has
		// asked to be watched, or the watcher is not root (execve(2)); a user's berth needs newuidmap to have them.
		attr.Sys.Credential = &syscall.Credential{Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid()), NoSetGroups: true}
		command, path = append([]string{"sh", "-c", `kill -STOP $$; exec "$@"`, "sh", path}, command[1:]...), "/bin/sh"
	} else {
		attr.Sys.Ptrace = true
	}
	child, err := os.StartProcess(path, command, attr)
	if err != nil {
		return err
	}
	t.main = child.Pid
	if err := t.awaitStop(); err != nil || !asUser {
		t.known[t.main] = true
		return err
	}
	if err := unix.PtraceAttach(t.main); err != nil {
		return err
	}
	return errors.Join(t.awaitStop(), unix.Kill(t.main, unix.SIGCONT))
}

func (t *tracer) awaitStop() error {
	var status unix.WaitStatus
	if _, err := unix.Wait4(t.main, &status, unix.WUNTRACED, nil); err != nil || !status.Stopped() {
		return errors.Join(err, errors.New("it did not stop at its start"))
	}
	return nil
}

// loop answers stops until the command has ended. Whoever is left then goes on unwatched: the kernel lets go of the
// tracees of a process that ends.
func (t *tracer) loop() (outcome, error) {
	for {
		var status unix.WaitStatus
		tid, err := unix.Wait4(-1, &status, unix.WALL, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return t.outcome, fmt.Errorf("wait: %w", err)
		}
		if !status.Stopped() {
			delete(t.known, tid)
			if tid == t.main {
				t.status = status.ExitStatus()
				if status.Signaled() {
					t.status = 128 + int(status.Signal())
				}
				return t.outcome, nil
			}
			continue
		}
		signal, err := t.stopped(tid, status)
		if err == nil {
			err = unix.PtraceSyscall(tid, signal)
		}
		if err != nil && !errors.Is(err, unix.ESRCH) { // killed meanwhile
			return t.outcome, fmt.Errorf("process %d: %w", tid, err)
		}
	}
}

// sysStop is the stop signal of system calls with PTRACE_O_TRACESYSGOOD.
const sysStop = unix.SIGTRAP | 0x80

// stopped answers one stop and returns the signal that the thread goes on with.
func (t *tracer) stopped(tid int, status unix.WaitStatus) (signal int, err error) {
	first := !t.known[tid]
	t.known[tid] = true
	switch sig := status.StopSignal(); {
	case sig == sysStop:
		return 0, t.call(tid)
	case sig == unix.SIGTRAP && status.TrapCause() > 0:
		return 0, nil // a fork, clone or exec
	case sig == unix.SIGSTOP && first:
		return 0, nil // how a new tracee reports
	default:
		return int(sig), nil
	}
}

// call looks at a system call, which stops at its entry and at its exit.
func (t *tracer) call(tid int) error {
	info, err := syscallInfo(tid)
	if err != nil {
		return err
	}
	switch info.op {
	case opEntry:
		return t.entry(tid, info)
	case opExit:
		if !t.failing[tid] {
			return nil
		}
		delete(t.failing, tid)
		return setResult(tid, -int64(t.errno))
	}
	return nil
}

func (t *tracer) entry(tid int, info callInfo) error {
	name, ok := changing(tid, info.nr, info.args)
	if !ok {
		return nil
	}
	t.changes++
	if t.log != nil {
		fmt.Fprintf(t.log, "%d %s %s\n", t.changes, t.program(tid), name)
	}
	if t.changes != t.at {
		return nil
	}
	t.injected, t.what = true, t.program(tid)+" "+name
	if t.errno == 0 {
		return unix.Kill(t.main, unix.SIGKILL)
	}
	t.failing[tid] = true
	return skip(tid)
}

// program names what a thread runs.
func (t *tracer) program(tid int) string {
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", tid))
	return string(comm[:max(len(comm)-1, 0)])
}

// callInfo is the beginning of struct ptrace_syscall_info (ptrace(2), PTRACE_GET_SYSCALL_INFO).
type callInfo struct {
	op   uint8
	_    [3]byte
	arch uint32
	ip   uint64
	sp   uint64
	nr   uint64
	args [6]uint64
}

const (
	opEntry = 1
	opExit  = 2
)

func syscallInfo(tid int) (callInfo, error) {
	var info callInfo
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(tid), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno != 0 {
		return info, fmt.Errorf("look at a system call: %w", errno)
	}
	return info, nil
}

// skip lets the kernel do nothing for a call that is at its entry: there is no call -1.
func skip(tid int) error {
	var regs unix.PtraceRegs
	if err := unix.PtraceGetRegs(tid, &regs); err != nil {
		return err
	}
	regs.Orig_rax = ^uint64(0)
	return unix.PtraceSetRegs(tid, &regs)
}

// setResult replaces what a call that is at its exit returns.
func setResult(tid int, value int64) error {
	var regs unix.PtraceRegs
	if err := unix.PtraceGetRegs(tid, &regs); err != nil {
		return err
	}
	regs.Rax = uint64(value)
	return unix.PtraceSetRegs(tid, &regs)
}
