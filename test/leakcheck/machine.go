package main

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// machine is what several collectors need to know: who runs, in which
// namespaces, with which mounts, and how to call what has a random name.
type machine struct {
	self   int // the process that looks, left out with its ancestors
	procs  []*process
	host   map[string]uint64 // namespaces of PID 1 by kind
	stores []*store
	names  *names

	spacesOnce sync.Once
	spaceList  []*namespace
}

// process is one user-space process.
type process struct {
	pid, ppid int
	comm      string
	state     byte
	cgroup    string            // path below the cgroup v2 root
	ns        map[string]uint64 // inode by kind
	fds       []string          // link targets
}

// namespaceKinds in the order in which they are printed.
var namespaceKinds = []string{"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"}

// readMachine reads /proc and the stores once.
func readMachine() *machine {
	m := &machine{self: os.Getpid(), host: namespacesOf(1)}
	if len(m.host) == 0 { // not root: our own are the only ones we can know
		m.host = namespacesOf(m.self)
	}
	m.stores = readStores()
	m.names = newNames(m.stores)
	m.procs = readProcesses(m.self)
	return m
}

// readProcesses returns all user-space processes, except self and its ancestors.
func readProcesses(self int) []*process {
	byPID := map[int]*process{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p := readProcess(pid); p != nil {
			byPID[pid] = p
		}
	}
	for p := byPID[self]; p != nil && (p.pid > 1 || p.pid == self); p = byPID[p.ppid] {
		delete(byPID, p.pid)
	}
	procs := make([]*process, 0, len(byPID))
	for _, p := range byPID {
		procs = append(procs, p)
	}
	slices.SortFunc(procs, func(a, b *process) int { return a.pid - b.pid })
	return procs
}

const flagKernelThread = 0x00200000 // PF_KTHREAD of include/linux/sched.h

// readProcess returns nil for kernel threads and for what ended meanwhile.
func readProcess(pid int) *process {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	p, flags := parseStat(data)
	if p == nil || flags&flagKernelThread != 0 {
		return nil
	}
	p.pid = pid
	p.cgroup = cgroupOf(pid)
	p.ns = namespacesOf(pid)
	p.fds = fdsOf(pid)
	return p
}

// parseStat reads a line of /proc/PID/stat. The name may hold spaces and
// brackets, so the fields count from the last one.
func parseStat(data []byte) (p *process, flags uint64) {
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 0 || end < open {
		return nil, 0
	}
	fields := strings.Fields(string(data[end+1:]))
	if len(fields) < 7 {
		return nil, 0
	}
	p = &process{comm: string(data[open+1 : end]), state: fields[0][0]}
	p.ppid, _ = strconv.Atoi(fields[1])
	flags, _ = strconv.ParseUint(fields[6], 10, 64)
	return p, flags
}

// cgroupOf returns the cgroup v2 path of a process, "?" when unknown.
func cgroupOf(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return "?"
	}
	for line := range strings.Lines(string(data)) {
		if group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return group
		}
	}
	return "?"
}

func namespacesOf(pid int) map[string]uint64 {
	ns := map[string]uint64{}
	for _, kind := range namespaceKinds {
		target, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
		if err != nil {
			continue
		}
		if _, inode, ok := parseNamespace(target); ok {
			ns[kind] = inode
		}
	}
	return ns
}

// parseNamespace reads "net:[4026531840]".
func parseNamespace(target string) (kind string, inode uint64, ok bool) {
	kind, rest, found := strings.Cut(target, ":[")
	if !found || !slices.Contains(namespaceKinds, kind) {
		return "", 0, false
	}
	inode, err := strconv.ParseUint(strings.TrimSuffix(rest, "]"), 10, 64)
	return kind, inode, err == nil
}

func fdsOf(pid int) []string {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	fds := make([]string, 0, len(entries))
	for _, e := range entries {
		if target, err := os.Readlink(path.Join(dir, e.Name())); err == nil {
			fds = append(fds, target)
		}
	}
	return fds
}

// label names a process by where it lives: its cgroup and its name.
func (p *process) label() string { return cleanCgroup(p.cgroup) + "/" + p.comm }
