package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain lets the tests see cgroup2 where systemd puts it, also on a machine that has it beside the old hierarchies: in a
// mount namespace of their own.
func TestMain(m *testing.M) {
	unified := filepath.Join(mountPoint, "unified")
	if _, err := os.Stat(filepath.Join(unified, "cgroup.procs")); err != nil || os.Getuid() != 0 || os.Getenv("BERTH_TEST_UNIFIED") != "" {
		os.Exit(m.Run())
	}
	script := `mount --bind "$0" "$1" && shift && exec "$@"`
	words := append([]string{"unshare", "--mount", "/bin/sh", "-c", script, unified, mountPoint}, os.Args...)
	err := syscall.Exec("/usr/bin/unshare", words, append(os.Environ(), "BERTH_TEST_UNIFIED=1"))
	fmt.Fprintln(os.Stderr, "unshare:", err)
	os.Exit(1)
}

func TestContainersIn(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"berth", "container-1", "container-2", "other"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(containersIn(dir), " "); got != "1 2" {
		t.Errorf("containers %s", got)
	}
	if got := containersIn(dir + "/gone"); got != nil {
		t.Errorf("of no group: %v", got)
	}
}

// unit makes a group as systemd would for a unit, and takes it away with all that is left in it.
func unit(t *testing.T) string {
	t.Helper()
	group := fmt.Sprintf("/berth-test-%d-%s", os.Getpid(), strings.ToLower(t.Name()))
	if err := os.Mkdir(mountPoint+group, 0o755); err != nil {
		t.Skip("no control group can be made here: ", err)
	}
	t.Cleanup(func() {
		if err := errors.Join(killAll(context.Background(), mountPoint+group), removeTree(mountPoint+group)); err != nil {
			t.Error(err)
		}
	})
	if _, err := os.Stat(filepath.Join(mountPoint+group, "cgroup.kill")); err != nil {
		t.Skip("this is no cgroup2 file system of Linux 5.14 or newer: ", err)
	}
	return group
}

// sleeper starts a process in a group.
func sleeper(t *testing.T, group string) *exec.Cmd {
	t.Helper()
	dir, err := os.Open(mountPoint + group)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	cmd := exec.Command("/bin/sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd
}

func TestRemove(t *testing.T) {
	group := unit(t) + "/container"
	ctx := context.Background()
	if err := (Cgroups{}).Remove(ctx, group); err != nil {
		t.Errorf("nothing there: %v", err)
	}
	deep := group + "/a/b"
	if err := os.MkdirAll(mountPoint+deep, 0o755); err != nil {
		t.Fatal(err)
	}
	top, below := sleeper(t, group), sleeper(t, deep)
	if err := (Cgroups{}).Remove(ctx, group); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(mountPoint + group); !os.IsNotExist(err) {
		t.Errorf("the group is left: %v", err)
	}
	for _, p := range []*exec.Cmd{top, below} {
		var exit *exec.ExitError
		if err := p.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Errorf("ended with %v", err)
		}
	}
	if err := (Cgroups{}).Remove(ctx, group); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

func TestThaw(t *testing.T) {
	group := unit(t)
	if err := errors.Join(Freeze(group, true), (Cgroups{}).Thaw(group)); err != nil || Frozen(group) {
		t.Errorf("frozen %t, %v", Frozen(group), err)
	}
	if err := (Cgroups{}).Thaw(group + "/container"); err != nil {
		t.Errorf("nothing there: %v", err)
	}
}

// TestRemoveBesideAnother: systemd removes a group as well, while it is being looked at.
func TestRemoveBesideAnother(t *testing.T) {
	group := unit(t) + "/container"
	for range 100 {
		if err := os.Mkdir(mountPoint+group, 0o755); err != nil {
			t.Fatal(err)
		}
		events, err := os.Open(mountPoint + group + "/cgroup.events")
		if err != nil {
			t.Fatal(err)
		}
		other := make(chan error)
		go func() { other <- os.Remove(mountPoint + group) }()
		err = killAll(context.Background(), mountPoint+group)
		if errOther := <-other; err != nil || errOther != nil {
			t.Fatal(err, errOther)
		}
		_, err = events.Read(make([]byte, 1)) // which is what the other one might have read
		if events.Close(); !gone(err) {
			t.Fatalf("a removed group's file: %v", err)
		}
	}
}

// TestRemoveLeavesTheUnit: the unit's own group and what else is in it are systemd's.
func TestRemoveLeavesTheUnit(t *testing.T) {
	group := unit(t)
	if err := errors.Join(os.Mkdir(mountPoint+group+"/berth", 0o755), os.Mkdir(mountPoint+group+"/container", 0o755)); err != nil {
		t.Fatal(err)
	}
	other := sleeper(t, group+"/berth")
	if err := (Cgroups{}).Remove(context.Background(), group+"/container"); err != nil {
		t.Fatal(err)
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("another group's process: %v", err)
	}
}

// TestRemoveInScope: systemd removes the groups of a scope that has ended, and passes over some when one goes away meanwhile.
func TestRemoveInScope(t *testing.T) {
	top := unit(t)
	for _, tt := range []struct {
		unit, used string
		left       bool
	}{
		{unit: "run-1.scope", left: true},
		{unit: "run-2.scope", used: "container", left: true}, // it is killed, and was the last
		{unit: "run-3.scope", used: "berth"},
		{unit: "web.service"}, // systemd may start it again without removing its group
	} {
		group := top + "/" + tt.unit
		for _, sub := range []string{"", "/berth", "/container"} {
			if err := os.Mkdir(mountPoint+group+sub, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if tt.used != "" {
			sleeper(t, group+"/"+tt.used)
		}
		if err := (Cgroups{}).Remove(context.Background(), group+"/container"); err != nil {
			t.Errorf("%+v: %v", tt, err)
		}
		if _, err := os.Stat(mountPoint + group + "/container"); (err == nil) != tt.left {
			t.Errorf("%+v: the container's group: %v", tt, err)
		}
	}
}

type division struct {
	group, inside, shown string
	err                  error
}

// divided divides a group and tells what the thread sees then.
func divided(group, id string) division {
	done := make(chan division)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its namespaces
		var r division
		r.err = errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""))
		if r.err == nil {
			var wait func() error
			if r.group, r.inside, wait, r.err = (Cgroups{}).Divide(group, id); r.err == nil {
				r.err = wait()
			}
		}
		list, _ := os.ReadDir(mountPoint)
		for _, e := range list {
			if e.IsDir() {
				r.shown += e.Name() + " "
			}
		}
		done <- r
	}()
	return <-done
}

func TestDivide(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("making namespaces needs root")
	}
	group := unit(t)
	own := sleeper(t, group)
	r := divided(group, "1f2e")
	if r.err != nil || r.group != group+"/container-1f2e" || r.inside != "/container-1f2e" {
		t.Fatalf("%+v", r)
	}
	if r.shown != "berth " {
		t.Errorf("the thread sees the groups %s", r.shown)
	}
	place, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", own.Process.Pid))
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(place)), group+"/berth") {
		t.Errorf("the unit's process is in %s, %v", place, err)
	}
	// Nobody else sees the difference.
	if _, err := os.Stat(mountPoint + group); err != nil {
		t.Errorf("the mount has spread: %v", err)
	}
}

// TestDivideForTheNext: a unit's next container is not in the group that is still known of the one before, which nobody has put away.
func TestDivideForTheNext(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("making namespaces needs root")
	}
	group := unit(t)
	before, next := divided(group, "1f2e"), divided(group, "3d4c")
	if err := errors.Join(before.err, next.err, os.MkdirAll(mountPoint+next.group, 0o755)); err != nil { // the runtime makes it
		t.Fatal(err)
	}
	p := sleeper(t, next.group)
	if err := (Cgroups{}).Remove(context.Background(), before.group); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadFile(mountPoint + next.group + "/cgroup.procs"); err != nil || strings.TrimSpace(string(left)) != fmt.Sprint(p.Process.Pid) {
		t.Errorf("left in the next container's group: %q, %v", left, err)
	}
}

// TestMoveEnding: a process that is ending stays in its group, whatever is written, until it has ended. Two directories stand in
// for the groups, and a process that takes itself off the list at its end for the kernel.
func TestMoveEnding(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	list, moved := filepath.Join(from, "cgroup.procs"), filepath.Join(to, "cgroup.procs")
	ending := exec.Command("/bin/sh", "-c", `read go; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; : >"$0"`, list)
	stdin, err := ending.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := ending.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ending.Process.Kill(); ending.Wait() })
	pid := fmt.Sprint(ending.Process.Pid)
	if err := errors.Join(os.WriteFile(list, []byte(pid+"\n"), 0o600), os.WriteFile(moved, nil, 0o600), stdin.Close()); err != nil {
		t.Fatal(err)
	}
	if err := moveAll(from, to); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(moved); err != nil || string(text) != pid {
		t.Errorf("moved %q, %v", text, err)
	}
}

func TestDivideWithoutAGroup(t *testing.T) {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		_, _, _, err := Cgroups{}.Divide("/berth-test-there-is-none", "1f2e")
		done <- err
	}()
	if err := <-done; err == nil {
		t.Error("a group that is not there was divided")
	}
}

func TestOOMKilled(t *testing.T) {
	for events, want := range map[string]bool{
		"": false, "low 0\nhigh 7\nmax 9\noom 3\noom_kill 0\noom_group_kill 0\n": false, "low 0\nhigh 0\nmax 9\noom 3\noom_kill 12\noom_group_kill 0\n": true, "oom_kill 1": true,
	} {
		if oomKilled([]byte(events)) != want {
			t.Errorf("%q", events)
		}
	}
	if OOMKilled("/no/such/group") {
		t.Error("a group that is not there")
	}
}
