package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/enginetest/nofiles"
)

func TestRun(t *testing.T) {
	ctx := context.Background()
	tests := []struct {
		name   string
		c      Command
		stdout string
		err    string
		code   int
	}{
		{"output", Command{Path: "/bin/echo", Args: []string{"a b"}}, "a b\n", "", 0},
		{"input", Command{Path: "/bin/cat", Stdin: strings.NewReader("x")}, "x", "", 0},
		{"environment", Command{Path: "/usr/bin/env", Env: []string{"A=1"}}, "A=1\n", "", 0},
		{"status", Command{Path: "/bin/sh", Args: []string{"-c", "exit 7"}}, "", "sh ended with status 7", 7},
		{"signal", Command{Path: "/bin/sh", Args: []string{"-c", "kill -9 $$"}}, "", "sh ended with status 137", 137},
		{"message", Command{Path: "/bin/sh", Args: []string{"-c", "echo out; echo one >&2; echo 'two ' >&2; exit 1"}}, "out\n", "sh: two", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := Run(ctx, tt.c)
			if string(out) != tt.stdout {
				t.Errorf("printed %q, want %q", out, tt.stdout)
			}
			var exit *ExitError
			errors.As(err, &exit)
			switch {
			case tt.err == "" && err != nil, tt.err != "" && (err == nil || err.Error() != tt.err):
				t.Errorf("got %v, want %q", err, tt.err)
			case exit != nil && exit.Code != tt.code:
				t.Errorf("status %d, want %d", exit.Code, tt.code)
			}
		})
	}
}

// TestRunInTime: a program that hangs is killed with what it has started when its time is over, and what it leaves when it ends
// well makes nobody wait.
func TestRunInTime(t *testing.T) {
	for _, tt := range []struct {
		script string
		limit  time.Duration
		want   string
	}{
		{"wait", 200 * time.Millisecond, "sh ended with status 137"},
		{"true", time.Hour, "<nil>"},
	} {
		file := filepath.Join(t.TempDir(), "pid")
		ctx, cancel := context.WithTimeout(t.Context(), tt.limit)
		started := time.Now()
		_, err := Run(ctx, Command{Path: "/bin/sh", Args: []string{"-c", "sleep 100 & echo $! >" + file + "; " + tt.script + "; exit"}})
		cancel()
		if fmt.Sprint(err) != tt.want || time.Since(started) > 50*time.Second {
			t.Errorf("%s: %v after %v, want %s", tt.script, err, time.Since(started), tt.want)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		child, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if tt.script == "true" {
			if err := syscall.Kill(child, syscall.SIGKILL); err != nil {
				t.Error("the control: it was killed, too")
			}
			continue
		}
		for syscall.Kill(child, 0) == nil && time.Since(started) < 50*time.Second && !dead(child) {
			time.Sleep(time.Millisecond) // the kernel ends it by and by
		}
		if syscall.Kill(child, 0) == nil && !dead(child) {
			t.Errorf("%s: process %d goes on", tt.script, child)
		}
	}
}

// dead says of a process that has ended and was not waited for.
func dead(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// callback calls a function at each write.
type callback func()

func (f callback) Write(p []byte) (int, error) {
	f()
	return len(p), nil
}

// TestRunCanceled: that a program was killed is no failure of its own when the caller had it killed.
func TestRunCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var exit *ExitError
	_, err := Run(ctx, Command{Path: "/bin/sh", Args: []string{"-c", "kill -KILL $$"}})
	if !errors.As(err, &exit) || exit.Code != 137 {
		t.Errorf("killed by itself: %v", err)
	}
	_, err = Run(ctx, Command{Path: "/bin/sh", Args: []string{"-c", "echo; exec sleep 100"}, Stdout: callback(cancel)})
	if !errors.Is(err, context.Canceled) || errors.As(err, &exit) {
		t.Errorf("killed by us: %v", err)
	}
}

func TestRunPassesFilesOn(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out bytes.Buffer
	if _, err := Run(context.Background(), Command{Path: "/bin/sh", Args: []string{"-c", "echo three >&3; echo one"}, Stdout: &out, Extra: []*os.File{w}}); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var three bytes.Buffer
	three.ReadFrom(r)
	if three.String() != "three\n" || out.String() != "one\n" {
		t.Errorf("got %q and %q", three.String(), out.String())
	}
}

func TestRunMissingProgram(t *testing.T) {
	_, err := Run(context.Background(), Command{Path: "/no/such/program"})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "/no/such/program is not there") {
		t.Errorf("got %v", err)
	}
}

// child starts a process that ends when its standard input does, and returns it with the way to end it.
func child(t *testing.T) (*exec.Cmd, func()) {
	t.Helper()
	cmd := exec.Command("/bin/cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := sync.OnceFunc(func() {
		in.Close()
		cmd.Wait()
	})
	t.Cleanup(end)
	return cmd, end
}

func TestIdentifyRunningProcess(t *testing.T) {
	cmd, end := child(t)
	id, err := Identify(cmd.Process.Pid)
	if err != nil || id.PID != cmd.Process.Pid || id.Start == 0 {
		t.Fatalf("%+v, %v", id, err)
	}
	if !id.Running() {
		t.Error("does not run")
	}
	end()
	if id.Running() {
		t.Error("runs after its end")
	}
	if _, err := id.Open(); !errors.Is(err, ErrGone) {
		t.Errorf("opened after its end: %v", err)
	}
	if _, err := Identify(id.PID); !errors.Is(err, ErrGone) {
		t.Errorf("identified after its end: %v", err)
	}
}

func TestNoSuchProcess(t *testing.T) {
	for _, id := range []ID{{}, {PID: -1}, {PID: 1 << 30}} {
		if f, err := id.Open(); !errors.Is(err, ErrGone) {
			f.Close()
			t.Errorf("%+v: %v", id, err)
		}
		if id.Running() {
			t.Errorf("%+v runs", id)
		}
	}
}

// TestThread: a number that is a thread's now is that of a process that has ended.
func TestThread(t *testing.T) {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		if tid, err := strconv.Atoi(thread.Name()); err == nil && tid != os.Getpid() {
			if f, err := (ID{PID: tid, Start: 1}).Open(); !errors.Is(err, ErrGone) {
				f.Close()
				t.Errorf("thread %d: %v", tid, err)
			}
		}
	}
}

// TestUnknown: where no file can be opened, nobody knows whether a process has ended.
func TestUnknown(t *testing.T) {
	id, err := Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	var running bool
	var identified, opened, namespace error
	nofiles.During(t, func() {
		_, identified = Identify(id.PID)
		running = id.Running()
		_, opened = id.Open()
		_, namespace = id.OpenNamespace("net")
	})
	if !running {
		t.Error("it counts as ended")
	}
	for doing, err := range map[string]error{"identify": identified, "open": opened, "open a namespace": namespace} {
		if !errors.Is(err, unix.EMFILE) || errors.Is(err, ErrGone) {
			t.Errorf("%s: %v", doing, err)
		}
	}
}

// TestReusedPID: another process that got the same PID has another start time, and is not touched.
func TestReusedPID(t *testing.T) {
	cmd, _ := child(t)
	id, err := Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	earlier := ID{PID: id.PID, Start: id.Start - 1}
	if earlier.Running() {
		t.Error("an earlier process with this PID runs")
	}
	if f, err := earlier.Open(); !errors.Is(err, ErrGone) {
		f.Close()
		t.Errorf("a handle on the wrong process: %v", err)
	}
}

// TestIdentifyOddName: the name in /proc/PID/stat may hold what separates the fields.
func TestIdentifyOddName(t *testing.T) {
	cat, err := os.ReadFile("/bin/cat")
	if err != nil {
		t.Fatal(err)
	}
	odd := t.TempDir() + "/a) R 1 (b"
	if err := os.WriteFile(odd, cat, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(odd)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { in.Close(); cmd.Wait() }()
	id, err := Identify(cmd.Process.Pid)
	self, _ := Identify(os.Getpid())
	if err != nil || id.Start < self.Start {
		t.Errorf("%+v, %v; this process has %+v", id, err, self)
	}
}

func TestIdentifyZombie(t *testing.T) {
	cmd := exec.Command("/bin/true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	// Wait for the end without reaping (waitid(2), WNOWAIT).
	if err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Identify(cmd.Process.Pid); !errors.Is(err, ErrGone) {
		t.Errorf("a zombie was taken for a running process: %v", err)
	}
}

func open(t *testing.T, cmd *exec.Cmd) *os.File {
	t.Helper()
	id, err := Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	f, err := id.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestWait(t *testing.T) {
	cmd, end := child(t)
	pidfd := open(t, cmd)
	if ended, err := Wait(context.Background(), pidfd, 0); ended || err != nil {
		t.Errorf("no patience: %v, %v", ended, err)
	}
	if ended, err := Wait(context.Background(), pidfd, 5*time.Millisecond); ended || err != nil {
		t.Errorf("little patience: %v, %v", ended, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if ended, err := Wait(ctx, pidfd, -1); ended || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v, %v", ended, err)
	}
	go end()
	if ended, err := Wait(context.Background(), pidfd, -1); !ended || err != nil {
		t.Errorf("without limit: %v, %v", ended, err)
	}
}

func TestSignal(t *testing.T) {
	cmd, _ := child(t)
	pidfd := open(t, cmd)
	if err := Signal(pidfd, unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGUSR1 {
		t.Errorf("ended with %v", err)
	}
	if err := Signal(pidfd, unix.SIGKILL); err != nil {
		t.Errorf("to a process that has ended: %v", err)
	}
}

func TestParseSignal(t *testing.T) {
	tests := map[string]unix.Signal{
		"15": 15, "TERM": 15, "term": 15, "SIGTERM": 15, "SigKill": 9, "USR1": 10, "64": 64, "1": 1,
		"RTMIN": 34, "SIGRTMIN+3": 37, "rtmin+30": 64, "RTMAX": 64, "RTMAX-1": 63, "RTMAX-30": 34,
	}
	for word, want := range tests {
		if got, err := ParseSignal(word); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", word, got, err, want)
		}
	}
	for _, word := range []string{"", "0", "65", "-1", "SIG", "SIGSIGTERM", "RTMIN-1", "RTMAX+1", "RTMIN+31", "RTMAX-31", "RTMIN3", "RTMIN+", "RTMIN+x", "RTMIN+-1", "RTMINRTMAX", "TERM "} {
		if got, err := ParseSignal(word); err == nil {
			t.Errorf("%q was taken as %d", word, got)
		}
	}
	for n := unix.Signal(1); n <= 64; n++ {
		if got, err := ParseSignal(SignalName(n)); err != nil || got != n {
			t.Errorf("%d is named %q, which is read as %d, %v", n, SignalName(n), got, err)
		}
	}
}

func FuzzParseSignal(f *testing.F) {
	f.Add("RTMIN+3")
	f.Add("term")
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseSignal(s); err == nil && (n < 1 || n > 64) {
			t.Errorf("%q is signal %d", s, n)
		}
	})
}

// TestPassed: what is handed on is neither for job control nor about the process itself.
func TestPassed(t *testing.T) {
	for _, sig := range Passed() {
		switch sig {
		case unix.SIGKILL, unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGCONT, unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE, unix.SIGWINCH, unix.SIGSEGV:
			t.Errorf("%v is handed on", sig)
		}
	}
}

// TestOpenNamespace: what is opened is of the very process, not of another one that has its number by now.
func TestOpenNamespace(t *testing.T) {
	self, err := Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	f, err := self.OpenNamespace("net")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, _ := f.Stat()
	if want, err := os.Stat("/proc/self/ns/net"); err != nil || !os.SameFile(got, want) {
		t.Errorf("another namespace: %v", err)
	}
	for _, id := range []ID{{}, {PID: self.PID, Start: self.Start - 1}} {
		if _, err := id.OpenNamespace("net"); !errors.Is(err, ErrGone) {
			t.Errorf("%v: %v", id, err)
		}
	}
	if _, err := self.OpenNamespace("none"); err == nil || errors.Is(err, ErrGone) {
		t.Errorf("a namespace that there is none of: %v", err)
	}
}

// TestExitErrorOfAPanic: what a program in Rust says of its own mistake stands before the last line, which only says how to learn more.
func TestExitErrorOfAPanic(t *testing.T) {
	for stderr, want := range map[string]string{
		"[INFO] x\nthread 'main' panicked at src/net.rs:7:3:\ncalled `Result::unwrap()` on an `Err` value: NotFound\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n": "netavark: panicked at src/net.rs:7:3: called `Result::unwrap()` on an `Err` value: NotFound",
		"thread 'main' panicked at 'no such device', src/net.rs:7:3\nnote: run with `RUST_BACKTRACE=1`\n":                                                                                             "netavark: panicked at 'no such device', src/net.rs:7:3",
		"one\ntwo\n": "netavark: two",
		"":           "netavark ended with status 101",
	} {
		if got := (&ExitError{Program: "netavark", Code: 101, Stderr: stderr}).Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
