// Package cgroup divides the control group that systemd has delegated to a unit: one part for berth's own short-lived
// processes, one for the container (cgroups(7), systemd's CGROUP_DELEGATION).
package cgroup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	mountPoint = "/sys/fs/cgroup"
	// OwnGroup is the part of a unit's group that holds berth's own processes: a group that hands controllers on may have
	// none itself (cgroups(7), "no internal processes" rule).
	OwnGroup = "berth"
	// containerGroup and the container's ID are the name of the container's part. What is still known of a container that nobody
	// has put away never leads to the group of the unit's next one.
	containerGroup = "container-"
)

// Cgroups is an engine.Cgroups.
type Cgroups struct{}

// Divide begins to make the unit's group ready for the container with this ID and returns the container's group, below the root of
// the hierarchy, and the same as the runtime is to be told. It moves the calling thread into a cgroup namespace whose root is
// the unit's group and shows only that at /sys/fs/cgroup, so that a runtime, which likes to switch controllers on from the
// root down, can touch nothing that is systemd's. The thread must be in a mount namespace of its own.
//
// The group is ready when wait, which is to be called once, has returned nil. Who moves a process to another group sleeps for
// ten milliseconds: the kernel waits until no processor is in the midst of a fork (cgroup_threadgroup_rwsem).
func (Cgroups) Divide(unit, id string) (group, inside string, wait func() error, err error) {
	dir := filepath.Join(mountPoint, unit)
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return "", "", nil, fmt.Errorf("make cgroup namespace: %w", err)
	}
	if err := show(dir); err != nil {
		return "", "", nil, err
	}
	divided := make(chan error, 1)
	go func() { divided <- divide(dir) }() // by another thread, which sees all groups
	wait = func() error {
		if err := <-divided; err != nil {
			return fmt.Errorf("divide cgroup %s: %w", unit, err)
		}
		return nil
	}
	name := containerGroup + id
	return filepath.Join(unit, name), "/" + name, wait, nil
}

// Containers are the IDs of the containers that have a part of the unit's group.
func Containers(unit string) []string { return containersIn(filepath.Join(mountPoint, unit)) }

func containersIn(dir string) []string {
	entries, _ := os.ReadDir(dir) // one that is not there has none
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutPrefix(e.Name(), containerGroup); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// divide empties the group and hands its controllers on.
func divide(dir string) error {
	if err := moveAll(dir, filepath.Join(dir, OwnGroup)); err != nil {
		return err
	}
	return delegateAll(dir)
}

// Enter shows the unit's group of a container at /sys/fs/cgroup in the calling thread's mount namespace: the runtime knows
// the container's group by its place there.
func (Cgroups) Enter(group string) error {
	return show(filepath.Join(mountPoint, filepath.Dir(group)))
}

// show mounts a group on the place of all. It is a bind mount: the kernel refuses a second mount of the same file system
// on the same place.
func show(dir string) error {
	if err := unix.Mount(dir, mountPoint, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("show the unit's cgroup at %s: %w", mountPoint, err)
	}
	return nil
}

// moveAll moves the processes of one group into another, which it makes.
func moveAll(from, to string) error {
	if err := os.Mkdir(to, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	moved := map[string]bool{}
	for range 100 { // a process may fork while the list is read
		pids, err := os.ReadFile(filepath.Join(from, "cgroup.procs"))
		if err != nil {
			return err
		}
		words := strings.Fields(string(pids))
		if len(words) == 0 {
			return nil
		}
		for _, pid := range words {
			if moved[pid] { // in vain: the kernel takes no process along that is ending, and says nothing (PF_EXITING)
				awaitEnd(pid)
			}
			err := write(filepath.Join(to, "cgroup.procs"), pid)
			if err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
			moved[pid] = true
		}
	}
	return fmt.Errorf("%s fills faster than it is emptied", from)
}

// awaitEnd returns when the process has ended, or after a tenth of a second.
func awaitEnd(pid string) {
	n, err := strconv.Atoi(pid)
	if err != nil {
		return
	}
	fd, err := unix.PidfdOpen(n, 0)
	if err != nil {
		return // it has ended
	}
	defer unix.Close(fd)
	unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(100*time.Millisecond/time.Millisecond))
}

// delegateAll hands all controllers of the group on to its children.
func delegateAll(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, controller := range strings.Fields(string(text)) {
		if err := write(filepath.Join(dir, "cgroup.subtree_control"), "+"+controller); err != nil {
			return fmt.Errorf("hand on the %s controller: %w", controller, err)
		}
	}
	return nil
}

func write(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// Remove kills what is left in a container's group and removes it; nil when there is none. The unit's own group is
// systemd's to remove, and so is all that is in a scope whose last process has gone.
func (Cgroups) Remove(ctx context.Context, group string) error {
	dir := filepath.Join(mountPoint, group)
	if err := killAll(ctx, dir); err != nil {
		return fmt.Errorf("cgroup %s: %w", group, err)
	}
	if scopeEnds(filepath.Dir(dir)) {
		return nil
	}
	return removeTree(dir)
}

// scopeEnds tells whether a group is that of a scope without processes, which systemd is about to remove. It gives up, and leaves
// the scope's group and the others in it, when one that it looks into has just been removed (cg_trim, recurse_dir).
func scopeEnds(dir string) bool {
	if !strings.HasSuffix(dir, ".scope") {
		return false
	}
	events, err := os.ReadFile(filepath.Join(dir, "cgroup.events"))
	return gone(err) || err == nil && !populated(events)
}

// populated tells by its cgroup.events whether a group or one below has a process.
func populated(events []byte) bool { return bytes.Contains(events, []byte("populated 1")) }

// gone tells whether a group went away meanwhile: systemd removes those of a scope that has ended. A file of it that is open
// answers with ENODEV then.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) }

// killAll kills every process in the group and below, and waits until none is left.
func killAll(ctx context.Context, dir string) error {
	err := write(filepath.Join(dir, "cgroup.kill"), "1")
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	events, err := os.Open(filepath.Join(dir, "cgroup.events"))
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer events.Close()
	buf := make([]byte, 256)
	for {
		n, err := events.ReadAt(buf, 0)
		if gone(err) {
			return nil
		}
		if n == 0 && err != nil {
			return err
		}
		if !populated(buf[:n]) {
			return nil
		}
		// The kernel reports a change of the file as an exceptional condition (poll(2), POLLPRI).
		fds := []unix.PollFd{{Fd: int32(events.Fd()), Events: unix.POLLPRI}}
		if _, err := unix.Poll(fds, int(100*time.Millisecond/time.Millisecond)); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// removeTree removes the groups that the container has made in its own, children first.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Thaw implements engine.Cgroups.
func (Cgroups) Thaw(group string) error {
	if !Frozen(group) {
		return nil
	}
	if err := Freeze(group, false); !gone(err) {
		return err
	}
	return nil
}

// Freeze stops all processes of a container's group, or lets them go on (cgroup.freeze).
func Freeze(group string, frozen bool) error {
	word := "0"
	if frozen {
		word = "1"
	}
	return write(filepath.Join(mountPoint, group, "cgroup.freeze"), word)
}

// Frozen tells whether a container's group was frozen.
func Frozen(group string) bool {
	text, err := os.ReadFile(filepath.Join(mountPoint, group, "cgroup.freeze"))
	return err == nil && strings.TrimSpace(string(text)) == "1"
}

// OOMKilled tells whether the kernel has killed a process of a container's group for want of memory; not of one without a group.
func OOMKilled(group string) bool {
	if group == "" {
		return false
	}
	text, _ := os.ReadFile(filepath.Join(mountPoint, group, "memory.events"))
	return oomKilled(text)
}

// oomKilled reads memory.events (the kernel's cgroup-v2.rst).
func oomKilled(events []byte) bool {
	for line := range bytes.Lines(events) {
		if count, ok := bytes.CutPrefix(line, []byte("oom_kill ")); ok {
			return string(bytes.TrimSpace(count)) != "0"
		}
	}
	return false
}

// CanSet tells why a file of a container's group cannot be written to: its controller is not there, say.
func CanSet(group, name string) error {
	if strings.Contains(name, "/") {
		return fmt.Errorf("%s is no file of a cgroup", name)
	}
	err := unix.Access(filepath.Join(mountPoint, group, name), unix.W_OK)
	if errors.Is(err, fs.ErrNotExist) {
		controller, _, _ := strings.Cut(name, ".")
		return fmt.Errorf("the cgroup has no %s: its unit was not given the %s controller", name, controller)
	}
	return err
}

// Set writes to a file of a container's group.
func Set(group, name, text string) error {
	if err := CanSet(group, name); err != nil {
		return err
	}
	return write(filepath.Join(mountPoint, group, name), text)
}
