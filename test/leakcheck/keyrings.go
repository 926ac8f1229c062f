package main

import (
	"errors"
	"io/fs"
	"os"
	"regexp"
	"strings"
)

// heldByProcess are the keyrings of sessions and users: of units, and of
// containers, whose runtimes name them by the container's id. They end with
// their last process, and the keyrings of other machines on the same kernel
// are listed too.
var heldByProcess = regexp.MustCompile(`^(_ses|_uid(_ses)?\.\d+|_persistent\.\d+|[0-9a-f]{64})$`)

// collectKeys lists the keys that we may see. Serial numbers, use counts and
// lifetimes are left out.
func collectKeys(*machine) ([]string, error) {
	data, err := os.ReadFile("/proc/keys")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, skipf("the kernel does not list keys in /proc/keys")
	}
	if err != nil {
		return nil, err
	}
	var lines []string
	for row := range strings.Lines(string(data)) {
		if line := keyLine(row); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// keyLine reads "serial flags uses expiry permissions uid gid type description: summary".
func keyLine(row string) string {
	f := strings.Fields(row)
	if len(f) < 9 {
		return ""
	}
	description, _, _ := strings.Cut(strings.Join(f[8:], " "), ":")
	if f[7] == "user" && description == "invocation_id" {
		return "" // systemd puts one into the session keyring of each unit
	}
	if f[7] == "keyring" && heldByProcess.MatchString(description) {
		return ""
	}
	return "uid=" + f[5] + " " + f[7] + " " + description
}
