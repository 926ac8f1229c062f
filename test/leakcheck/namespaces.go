package main

import (
	"fmt"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// namespace is one namespace other than PID 1's, with all that keeps it alive.
type namespace struct {
	kind      string
	inode     uint64
	processes []*process // living in it, by pid
	fds       []*process // with a descriptor of it open
	mounts    []string   // nsfs mount points, as seen from the label's namespace
	door      string     // a path that can be opened to enter it
}

// spaces returns every namespace that can be reached, PID 1's own excluded.
// Those without any process are found through descriptors and nsfs mounts.
func (m *machine) spaces() []*namespace {
	m.spacesOnce.Do(func() {
		index := map[uint64]*namespace{}
		for _, p := range m.procs {
			for kind, inode := range p.ns {
				m.reach(index, kind, inode, fmt.Sprintf("/proc/%d/ns/%s", p.pid, kind), func(n *namespace) {
					n.processes = append(n.processes, p)
				})
			}
		}
		m.reachByFd(index)
		m.reachByMount(index)
		for _, n := range index {
			m.spaceList = append(m.spaceList, n)
		}
		slices.SortFunc(m.spaceList, func(a, b *namespace) int {
			return strings.Compare(a.kind+a.label(), b.kind+b.label())
		})
	})
	return m.spaceList
}

func (m *machine) reach(index map[uint64]*namespace, kind string, inode uint64, door string, hold func(*namespace)) {
	if m.host[kind] == inode {
		return
	}
	n := index[inode]
	if n == nil {
		n = &namespace{kind: kind, inode: inode, door: door}
		index[inode] = n
	}
	hold(n)
}

func (m *machine) reachByFd(index map[uint64]*namespace) {
	for _, p := range m.procs {
		for _, target := range p.fds {
			kind, inode, ok := parseNamespace(target)
			if !ok {
				continue
			}
			m.reach(index, kind, inode, fdPath(p.pid, target), func(n *namespace) { n.fds = append(n.fds, p) })
		}
	}
}

// fdPath finds the descriptor of a process that points to target.
func fdPath(pid int, target string) string {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if got, err := os.Readlink(path.Join(dir, e.Name())); err == nil && got == target {
			return path.Join(dir, e.Name())
		}
	}
	return ""
}

// reachByMount looks at the mount table of every namespace that has a
// process; deeper nesting (a mount seen only from a namespace that is itself
// held by nothing but a mount) does not occur without somebody trying.
func (m *machine) reachByMount(index map[uint64]*namespace) {
	m.reachByMountOf(index, m.self) // of the machine itself
	seen := map[uint64]bool{m.host["mnt"]: true}
	for _, p := range m.procs {
		if inode, ok := p.ns["mnt"]; ok && !seen[inode] {
			seen[inode] = true
			m.reachByMountOf(index, p.pid)
		}
	}
}

func (m *machine) reachByMountOf(index map[uint64]*namespace, pid int) {
	for _, mnt := range mountsOf(pid) {
		kind, inode, ok := parseNamespace(mnt.root)
		if mnt.fstype != "nsfs" || !ok {
			continue
		}
		door := fmt.Sprintf("/proc/%d/root%s", pid, mnt.target)
		m.reach(index, kind, inode, door, func(n *namespace) {
			if !slices.Contains(n.mounts, mnt.target) {
				n.mounts = append(n.mounts, mnt.target)
			}
		})
	}
}

// label says whose namespace it is, the same words in the next run.
func (n *namespace) label() string {
	switch {
	case len(n.processes) > 0:
		return n.first().label()
	case len(n.mounts) > 0:
		return "mount " + slices.Min(n.mounts)
	case len(n.fds) > 0:
		return "fd of " + n.fds[0].label()
	}
	return "?"
}

// first returns the oldest process that stays.
func (n *namespace) first() *process {
	for _, p := range n.processes {
		if !comesAndGoes(p) {
			return p
		}
	}
	return n.processes[0]
}

func collectNamespaces(m *machine) ([]string, error) {
	var lines []string
	for _, n := range m.spaces() {
		if transient(n.processes) {
			continue
		}
		var held []string
		for _, what := range []struct {
			how string
			who []string
		}{{"process", labels(n.processes)}, {"fd of", labels(n.fds)}, {"mount", n.mounts}} {
			slices.Sort(what.who)
			for _, who := range slices.Compact(what.who) {
				held = append(held, what.how+" "+who)
			}
		}
		lines = append(lines, n.kind+" held by "+strings.Join(held, ", "))
	}
	return lines, nil
}

func labels(procs []*process) []string {
	var all []string
	for _, p := range procs {
		if !comesAndGoes(p) {
			all = append(all, p.label())
		}
	}
	return all
}

// transient reports whether only workers that come and go by themselves
// live in a namespace.
func transient(procs []*process) bool {
	return len(procs) > 0 && !slices.ContainsFunc(procs, func(p *process) bool { return !comesAndGoes(p) })
}

// spacesOf returns the namespaces of one kind.
func (m *machine) spacesOf(kind string) []*namespace {
	var some []*namespace
	for _, n := range m.spaces() {
		if n.kind == kind && !transient(n.processes) {
			some = append(some, n)
		}
	}
	return some
}

var namespaceFlags = map[string]int{
	"net": unix.CLONE_NEWNET, "mnt": unix.CLONE_NEWNS, "ipc": unix.CLONE_NEWIPC,
}

// inside calls do on a thread that has entered the namespace and does not
// come back to work for others from there.
func (n *namespace) inside(do func() error) error {
	door, err := os.Open(n.door)
	if err != nil {
		return fmt.Errorf("open %s namespace of %s: %w", n.kind, n.label(), err)
	}
	defer door.Close()
	return onOwnThread(func() error {
		if n.kind == "mnt" {
			// A thread that shares its root directory with others may not change its mount namespace.
			if err := unix.Unshare(unix.CLONE_FS); err != nil {
				return err
			}
		}
		if err := unix.Setns(int(door.Fd()), namespaceFlags[n.kind]); err != nil {
			return fmt.Errorf("enter %s namespace of %s: %w", n.kind, n.label(), err)
		}
		return do()
	})
}

// onOwnThread calls do on a thread that ends with the call. The first thread
// of the process is left alone: it cannot end, and /proc/PID/ns shows its
// namespaces as those of the process.
func onOwnThread(do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			err := onOwnThread(do) // on another thread, since this one is taken
			runtime.UnlockOSThread()
			done <- err
			return
		}
		done <- do() // never unlocked: the thread ends with the goroutine
	}()
	return <-done
}
