package main

import (
	"strings"
)

// helpers that leave processes behind are no help; these come and go by
// themselves on an idle machine.
func comesAndGoes(p *process) bool {
	switch {
	case p.comm == "(udev-worker)": // one per device event, ends when idle
		return true
	case strings.HasPrefix(p.comm, "(sd-"): // children of managers, at work for a moment
		return true
	}
	return false
}

// collectProcesses leaves out what a login shell started and still has as
// its child; an orphan in a session is something left behind.
func collectProcesses(m *machine) ([]string, error) {
	var lines []string
	for _, p := range m.procs {
		if comesAndGoes(p) || session.MatchString(p.cgroup) && p.ppid != 1 {
			continue
		}
		line := p.label()
		if p.state == 'Z' {
			line += " zombie"
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// sandboxed are helpers that shut themselves into an empty root.
var sandboxed = map[string]bool{"pasta": true, "pasta.avx2": true, "passt": true, "passt.avx2": true}

// collectContainers finds processes whose root is not PID 1's root; the
// first of each mount namespace stands for its container.
func collectContainers(m *machine) ([]string, error) {
	hostRoot := rootMount(mountsOf(1))
	if hostRoot == nil {
		return nil, skipf("the mount table of PID 1 cannot be read")
	}
	var lines []string
	for _, n := range m.spacesOf("mnt") {
		for _, p := range n.processes {
			root := rootMount(mountsOf(p.pid))
			if sandboxed[p.comm] || root == nil || root.device == hostRoot.device && root.root == hostRoot.root {
				continue
			}
			lines = append(lines, p.label()+" root="+root.fstype+":"+rootName(m, root))
			break
		}
	}
	return lines, nil
}

func rootMount(table []mount) *mount {
	var root *mount
	for i := range table {
		if table[i].target == "/" {
			root = &table[i]
		}
	}
	return root
}

// rootName names the container of a root file system by the record of the
// layer that is its upper directory.
func rootName(m *machine, root *mount) string {
	for _, s := range m.stores {
		for _, c := range s.containers {
			if c.LayerID != "" && strings.Contains(root.super, c.LayerID) {
				return c.name()
			}
		}
	}
	return root.source
}
