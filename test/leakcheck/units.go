package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// loginUnits come and go with logins; devices with whatever udev sees.
var loginUnits = regexp.MustCompile(`^(session-.*\.scope|user-\d+\.slice|user@\d+\.service|user-runtime-dir@\d+\.service|run-user-\d+\.mount|.*\.device)$`)

// collectUnits asks PID 1 and every user manager for what is not at rest:
// an inactive unit is memory of its manager, and is unloaded when it likes.
func collectUnits(m *machine) ([]string, error) {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return nil, skipf("systemd is not PID 1 here")
	}
	if _, err := exec.LookPath("systemctl"); err != nil {
		return nil, skipf("no systemctl")
	}
	own := filepath.Base(cgroupOf(m.self))
	lines, err := managerUnits(own, nil)
	lines = append(lines, transientUnits("/run/systemd/transient", own)...)
	if err != nil {
		return lines, err
	}
	sockets, _ := filepath.Glob("/run/user/*/systemd/private")
	for _, socket := range sockets {
		runtimeDir := filepath.Dir(filepath.Dir(socket))
		uid, err := strconv.Atoi(filepath.Base(runtimeDir))
		if err != nil || os.Geteuid() != 0 && os.Geteuid() != uid {
			continue
		}
		some, err := managerUnits(own, &uid)
		who := "user " + strconv.Itoa(uid) + " "
		lines = append(lines, prefixed(who, some)...)
		lines = append(lines, prefixed(who, transientUnits(runtimeDir+"/systemd/transient", own))...)
		if err != nil {
			return lines, err
		}
	}
	return lines, nil
}

// managerUnits lists units and jobs of PID 1, or of the manager of a user.
func managerUnits(own string, uid *int) ([]string, error) {
	out, err := systemctl(uid, "list-units", "--full", "--plain", "--no-legend", "--no-pager", "--all",
		"--state=active,activating,deactivating,reloading,refreshing,maintenance,failed,dead-resources-pinned")
	if err != nil {
		return nil, err
	}
	var lines, services []string
	for row := range strings.Lines(string(out)) {
		f := strings.Fields(row)
		if len(f) < 4 || loginUnits.MatchString(f[0]) || f[0] == own {
			continue
		}
		if strings.HasSuffix(f[0], ".mount") && f[2] == "active" {
			continue // the mount tables tell it, and sooner
		}
		lines = append(lines, unitLine(f))
		// Systemd's own services store descriptors of their clients; asking costs a millisecond each.
		if strings.HasSuffix(f[0], ".service") && f[3] != "exited" && !strings.HasPrefix(f[0], "systemd-") {
			services = append(services, f[0])
		}
	}
	stored, err := storedDescriptors(uid, services)
	return append(lines, stored...), err
}

// unitsInMotion returns the units of a snapshot that are on their way to another state.
func unitsInMotion(s *Snapshot) []difference {
	var found []difference
	for _, line := range s.Collectors["units"].Lines {
		if unitInMotion.MatchString(line) {
			found = append(found, difference{"units", '!', line})
		}
	}
	return found
}

var unitInMotion = regexp.MustCompile(`^(user \d+ )?\S+ (activating|deactivating|reloading|refreshing)\b`)

// unitLine tells the finer state only where it lasts: sockets and automounts
// change theirs when somebody knocks, timers when they elapse.
func unitLine(f []string) string {
	name, load, active, sub := f[0], f[1], f[2], f[3]
	line := name + " " + active
	switch filepath.Ext(name) {
	case ".service", ".scope":
		line += " " + sub
	}
	if load != "loaded" {
		line += " " + load
	}
	return line
}

// storedDescriptors tells which services have file descriptors in the store
// of their manager.
func storedDescriptors(uid *int, services []string) ([]string, error) {
	if len(services) == 0 {
		return nil, nil
	}
	args := append([]string{"show", "--property=Id,NFileDescriptorStore", "--"}, services...)
	out, err := systemctl(uid, args...)
	if err != nil {
		return nil, err
	}
	var lines []string
	for block := range bytes.SplitSeq(out, []byte("\n\n")) {
		var id, count string
		for row := range strings.Lines(string(block)) {
			key, value, _ := strings.Cut(strings.TrimSpace(row), "=")
			switch key {
			case "Id":
				id = value
			case "NFileDescriptorStore":
				count = value
			}
		}
		if count != "" && count != "0" {
			lines = append(lines, id+" stores "+count+" descriptors")
		}
	}
	return lines, nil
}

func transientUnits(dir, own string) []string {
	entries, _ := os.ReadDir(dir)
	var lines []string
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".d")
		if name != own && !loginUnits.MatchString(name) {
			lines = append(lines, name+" transient")
		}
	}
	return lines
}

// systemctl talks to the private socket of the manager, so no message bus is
// needed and none is woken.
func systemctl(uid *int, args ...string) ([]byte, error) {
	if uid != nil {
		args = append([]string{"--user"}, args...)
	}
	cmd := exec.Command("systemctl", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "SYSTEMD_COLORS=0")
	who := "PID 1"
	if uid != nil {
		who = "the manager of user " + strconv.Itoa(*uid)
		cmd.Env = append(cmd.Env, fmt.Sprintf("XDG_RUNTIME_DIR=/run/user/%d", *uid))
		if os.Geteuid() != *uid {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(*uid), Gid: uint32(*uid)}}
		}
	}
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w: %s", who, err, strings.TrimSpace(problem.String()))
	}
	return out, nil
}
