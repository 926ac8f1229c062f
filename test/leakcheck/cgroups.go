package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const cgroupRoot = "/sys/fs/cgroup"

// loginGroups belong to logins and to user managers, not to what they start.
var loginGroups = regexp.MustCompile(`^user\.slice(/user-\d+\.slice` +
	`(/session-c?\d+\.scope|/user-runtime-dir@\d+\.service|/user@\d+\.service` +
	`(/(init\.scope|app\.slice|session\.slice|background\.slice)(/(dbus|gpg-agent|ssh-agent)[^/]*)?)?)?)?$`)

func collectCgroups(m *machine) ([]string, error) {
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.procs")); err != nil {
		return nil, skipf("no cgroup v2 tree on %s", cgroupRoot)
	}
	own := cgroupOf(m.self)
	var lines []string
	err := filepath.WalkDir(cgroupRoot, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && !entry.IsDir() {
			return nil // removed meanwhile
		}
		if err != nil {
			return err
		}
		group := strings.TrimPrefix(strings.TrimPrefix(path, cgroupRoot), "/")
		if group == "" || "/"+group == own || loginGroups.MatchString(group) {
			return nil
		}
		lines = append(lines, group+cgroupState(path))
		return nil
	})
	return lines, err
}

// cgroupState tells the two facts of cgroup.events, which hold for the whole subtree.
func cgroupState(path string) string {
	data, err := os.ReadFile(filepath.Join(path, "cgroup.events"))
	if err != nil {
		return ""
	}
	state := ""
	for line := range strings.Lines(string(data)) {
		switch strings.TrimSpace(line) {
		case "populated 0":
			state += " empty"
		case "frozen 1":
			state += " frozen"
		}
	}
	return state
}
