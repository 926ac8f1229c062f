package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// collectIPC lists System V objects of every IPC namespace, and the POSIX
// ones of the machine itself. Those of a container end with its namespace.
func collectIPC(m *machine) ([]string, error) {
	lines, err := sysvLines()
	if err != nil {
		return nil, err
	}
	lines = prefixed("host ", lines)
	for _, n := range m.spacesOf("ipc") {
		err := n.inside(func() error {
			some, err := sysvLines()
			lines = append(lines, prefixed("["+n.label()+"] ", some)...)
			return err
		})
		if err != nil {
			return lines, err
		}
	}
	var errs []error
	for _, root := range []string{"/dev/shm", "/dev/mqueue"} {
		errs = append(errs, walkFiles(root, func(path string, st *unix.Stat_t) {
			lines = append(lines, fileLine(path, st))
		}))
	}
	return lines, errors.Join(errs...)
}

// sysvLines reads the namespace of the calling thread: key, permissions and
// owner, without identifiers, sizes, times and pids.
func sysvLines() ([]string, error) {
	var lines []string
	for _, table := range []struct {
		kind string
		cols []string
	}{
		{"shm", []string{"key", "perms", "uid"}},
		{"sem", []string{"key", "perms", "uid"}},
		{"msg", []string{"key", "perms", "uid"}},
	} {
		data, err := os.ReadFile("/proc/sysvipc/" + table.kind)
		if err != nil {
			return nil, fmt.Errorf("list System V objects: %w", err)
		}
		for _, row := range columns(string(data), table.cols) {
			lines = append(lines, table.kind+" "+row)
		}
	}
	return lines, nil
}

// columns picks columns by the names in the first row.
func columns(data string, names []string) []string {
	rows := strings.Split(strings.TrimSpace(data), "\n")
	place := map[string]int{}
	for i, name := range strings.Fields(rows[0]) {
		place[name] = i
	}
	var out []string
	for _, row := range rows[1:] {
		fields := strings.Fields(row)
		var picked []string
		for _, name := range names {
			if i, ok := place[name]; ok && i < len(fields) {
				picked = append(picked, name+"="+fields[i])
			}
		}
		out = append(out, strings.Join(picked, " "))
	}
	return out
}
