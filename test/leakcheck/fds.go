package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
)

// keepers are programs that hold descriptors for others, by name.
var keepers = []string{
	"systemd", "systemd-journald", "systemd-journal", "berth-keeper", "aardvark-dns", "dbus-daemon", "dbus-broker",
}

var (
	fdNumber    = regexp.MustCompile(`^(socket|pipe):\[\d+\]$`)
	journalFile = regexp.MustCompile(`^/(run|var)/log/journal/.*\.journal~?( \(deleted\))?$`)
	procPath    = regexp.MustCompile(`^/proc/\d+/`)
)

// collectFds counts what each long-lived manager and helper has open. Equal
// lines are counted by the comparison.
func collectFds(m *machine) ([]string, error) {
	if os.Geteuid() != 0 {
		return nil, skipf("not root: descriptors of PID 1 cannot be read")
	}
	var lines []string
	for _, p := range m.procs {
		if !slices.Contains(keepers, p.comm) && p.pid != 1 {
			continue
		}
		for _, target := range p.fds {
			if line := fdLine(target); line != "" {
				lines = append(lines, p.label()+": "+line)
			}
		}
	}
	return lines, nil
}

// fdLine is "" for what an idle machine opens and closes by itself.
func fdLine(target string) string {
	switch {
	case journalFile.MatchString(target), strings.HasPrefix(target, "/dev/shm/journal"):
		return ""
	case fdNumber.MatchString(target):
		kind, _, _ := strings.Cut(target, ":")
		return kind
	case procPath.MatchString(target):
		return procPath.ReplaceAllString(target, "/proc/<pid>/")
	}
	if kind, _, ok := parseNamespace(target); ok {
		return kind + " namespace"
	}
	return target
}
