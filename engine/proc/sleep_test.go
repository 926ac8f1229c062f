package proc

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSleep: the program is in the namespaces that were asked for, by the maps, as nobody of the outside.
func TestSleep(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may map many IDs")
	}
	maps := []syscall.SysProcIDMap{{ContainerID: 3, HostID: 400000, Size: 10}}
	s := Sleeper{Program: "/usr/bin/sleep", Words: []string{"sleep", "infinity"}, Namespaces: syscall.CLONE_NEWNET, UIDs: maps, GIDs: maps}
	id, end, err := Sleep(s)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	inside(t, id)
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", id.PID))
	for _, want := range []string{"Uid:\t400000\t400000\t400000\t400000\n", "Gid:\t400000\t400000\t400000\t400000\n", "Groups:\t \n"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("no %q in %s", want, status)
		}
	}
	if !id.Running() {
		t.Error("it has ended")
	}

	maps[0].ContainerID = 0
	s.UIDs, s.GIDs = maps, maps
	owner, endOwner, err := Sleep(s)
	if err != nil {
		t.Fatal(err)
	}
	defer endOwner()
	for _, brief := range []bool{true, false} {
		id, end, err := Sleep(Sleeper{Join: fmt.Sprintf("/proc/%d/ns/user", owner.PID), Namespaces: syscall.CLONE_NEWNET, Brief: brief})
		if err != nil {
			t.Fatal(err)
		}
		inside(t, id)
		if link(t, id, "user") != link(t, owner, "user") || link(t, id, "net") == link(t, owner, "net") {
			t.Error("it is not in new namespaces of the one that it was to join")
		}
		end()
	}
	if _, _, err := Sleep(Sleeper{Join: "/no/such"}); err == nil || !strings.Contains(err.Error(), "/no/such") {
		t.Errorf("joining nothing: %v", err)
	}
	if _, _, err := Sleep(Sleeper{Program: "/no/such", UIDs: maps, GIDs: maps}); err == nil {
		t.Error("a program that is not there")
	}
}

// TestSleepHollow: of a program that others see the processes of nothing of the host can be reached. The program is this test itself, as
// TestPause.
func TestSleepHollow(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may map many IDs")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	maps := []syscall.SysProcIDMap{{HostID: 400000, Size: 10}}
	s := Sleeper{
		Program: self, Words: []string{"pause", "-test.run=^TestPause$", pauseWord}, Namespaces: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID,
		UIDs: maps, GIDs: maps, Hollow: true,
	}
	for range 3 { // the second would see if a thread had been left in there
		id, end, err := Sleep(s)
		if err != nil {
			t.Fatal(err)
		}
		inside(t, id)
		for _, way := range []string{"root", "cwd", "root/..", "cwd/../.."} {
			list, err := os.ReadDir(fmt.Sprintf("/proc/%d/%s", id.PID, way))
			if err != nil || len(list) != 2 || list[0].Name() != "init" || list[1].Name() != "proc" {
				t.Errorf("by way of %s there is %v, %v", way, list, err)
			}
			if list, err := os.ReadDir(fmt.Sprintf("/proc/%d/%s/proc", id.PID, way)); err != nil || len(list) > 0 {
				t.Errorf("by way of %s the host's processes are seen: %v, %v", way, list, err)
			}
		}
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/root/new", id.PID), nil, 0o600); !errors.Is(err, unix.EROFS) {
			t.Errorf("its root can be written to: %v", err)
		}
		if f, err := os.OpenFile(fmt.Sprintf("/proc/%d/exe", id.PID), os.O_WRONLY, 0); !errors.Is(err, unix.EROFS) && !errors.Is(err, unix.ETXTBSY) {
			f.Close()
			t.Errorf("its program can be written to: %v", err)
		}
		end()
	}
	s.Hollow, s.Program, s.Words = false, "/usr/bin/sleep", []string{"sleep", "infinity"}
	id, end, err := Sleep(s)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	if list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/root", id.PID)); len(list) < 5 {
		t.Errorf("the control sees nothing of the host either: %v", list)
	}
}

const pauseWord = "pause-until-told"

// TestPause ends when it is told to.
func TestPause(t *testing.T) {
	if slices.Contains(os.Args, pauseWord) {
		Pause()
		return
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM) // which ends this process otherwise, until Pause listens
	defer signal.Stop(signals)
	done := make(chan bool)
	go func() { defer close(done); Pause() }()
	for {
		if err := unix.Kill(unix.Getpid(), unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		select {
		case <-done:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestSleepBriefly: a brief one ends with the thread that has started it.
func TestSleepBriefly(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may map many IDs")
	}
	started := make(chan ID)
	onThread(func() {
		maps := []syscall.SysProcIDMap{{HostID: 400000, Size: 10}}
		id, _, err := Sleep(Sleeper{Program: "/usr/bin/sleep", Words: []string{"sleep", "infinity"}, UIDs: maps, GIDs: maps, Brief: true})
		if err != nil {
			t.Error(err)
		}
		started <- id
	})
	id := <-started
	pidfd, err := OpenChild(id.PID)
	if err != nil {
		t.Fatal(err)
	}
	defer pidfd.Close()
	if ended, err := Wait(t.Context(), pidfd, 20*time.Second); !ended || err != nil {
		Signal(pidfd, unix.SIGKILL)
		t.Errorf("it goes on: %v", err)
	}
	Reap(id.PID)
}

// onThread calls f on a thread that ends with it, which the first one of a process does not.
func onThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			f()
			return // still locked
		}
		done := make(chan bool)
		onThread(func() { defer close(done); f() })
		<-done
		runtime.UnlockOSThread()
	}()
}

// inside checks that the process has a user and a network namespace of its own.
func inside(t *testing.T, id ID) {
	t.Helper()
	for _, kind := range []string{"user", "net"} {
		if own, _ := os.Readlink("/proc/self/ns/" + kind); link(t, id, kind) == own {
			t.Errorf("it has our own %s namespace", kind)
		}
	}
}

func link(t *testing.T, id ID, kind string) string {
	t.Helper()
	text, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", id.PID, kind))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
