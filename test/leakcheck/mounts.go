package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// mount is one row of a mount table.
type mount struct {
	device  string // MAJOR:MINOR
	root    string // path in the file system that is mounted
	target  string
	options string
	peers   string // "shared", "slave", "shared,slave" or "private"
	fstype  string
	source  string
	super   string // options of the file system
}

// mountsOf returns the mount table that a process sees, nil when it ended.
func mountsOf(pid int) []mount {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return nil
	}
	return parseMounts(string(data))
}

// parseMounts reads mountinfo as proc(5) describes it.
func parseMounts(data string) []mount {
	var table []mount
	for line := range strings.Lines(data) {
		left, right, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		a, b := strings.Fields(left), strings.Fields(right)
		if !ok || len(a) < 6 || len(b) < 2 {
			continue
		}
		super := ""
		if len(b) > 2 {
			super = b[2]
		}
		table = append(table, mount{a[2], a[3], a[4], a[5], peers(a[6:]), b[0], b[1], super})
	}
	return table
}

// peers leaves the numbers of peer groups out: they are counters.
func peers(fields []string) string {
	var kinds []string
	for _, f := range fields {
		switch kind, _, _ := strings.Cut(f, ":"); kind {
		case "shared":
			kinds = append(kinds, "shared")
		case "master":
			kinds = append(kinds, "slave")
		case "unbindable":
			kinds = append(kinds, "unbindable")
		}
	}
	if len(kinds) == 0 {
		return "private"
	}
	return strings.Join(kinds, ",")
}

var (
	// autofs mounts carry descriptor numbers and inodes of their pipe.
	volatileSuper = regexp.MustCompile(`\b(fd|pgrp|pipe_ino)=\d+,?`)
	namespaceRoot = regexp.MustCompile(`^(\w+):\[\d+\]$`)
	userRuntime   = regexp.MustCompile(`^/run/user/\d+$`)
)

func (m mount) line() string {
	root := namespaceRoot.ReplaceAllString(m.root, "$1")
	super := strings.TrimSuffix(volatileSuper.ReplaceAllString(m.super, ""), ",")
	return strings.Join([]string{m.target, m.fstype, m.source, root, m.options, m.peers, super}, " ")
}

// collectMounts prints PID 1's table in full and of the others what differs
// from it: a mount propagates from PID 1's into those of most services, and
// one leak is one line.
func collectMounts(m *machine) ([]string, error) {
	host := mountLines(mountsOf(1))
	if len(host) == 0 {
		host = mountLines(mountsOf(m.self))
	}
	var lines []string
	for _, line := range host {
		lines = append(lines, "host "+line)
	}
	for _, n := range m.spacesOf("mnt") {
		table, err := n.mountTable()
		if err != nil {
			return lines, err
		}
		for _, line := range without(mountLines(table), host) {
			lines = append(lines, "["+n.label()+"] "+line)
		}
	}
	return lines, nil
}

func mountLines(table []mount) []string {
	var lines []string
	for _, mnt := range table {
		if userRuntime.MatchString(mnt.target) && mnt.fstype == "tmpfs" {
			continue // comes and goes with a login
		}
		lines = append(lines, mnt.line())
	}
	return lines
}

// without returns the lines of a that b has not; the peer group kinds are
// left out of the comparison, because a copy is a slave of the original.
func without(a, b []string) []string {
	key := func(line string) string {
		f := strings.Fields(line)
		if len(f) > 5 {
			f[5] = ""
		}
		return strings.Join(f, " ")
	}
	have := map[string]bool{}
	for _, line := range b {
		have[key(line)] = true
	}
	var rest []string
	for _, line := range a {
		if !have[key(line)] {
			rest = append(rest, line)
		}
	}
	return rest
}

// mountTable reads the table of a namespace, also of one without a process.
func (n *namespace) mountTable() ([]mount, error) {
	if len(n.processes) > 0 {
		return mountsOf(n.first().pid), nil
	}
	proc, err := os.Open("/proc") // the namespace may have no /proc of its own
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	var table []mount
	err = n.inside(func() error {
		fd, err := unix.Openat(int(proc.Fd()), "thread-self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(fd), "mountinfo")
		defer f.Close()
		data, err := io.ReadAll(f)
		table = parseMounts(string(data))
		return err
	})
	return table, err
}
