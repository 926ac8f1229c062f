// Package sources finds unit files and their drop-ins in the directories that a manager's units come from.
//
// It reads regular files only, and of bounded size: at boot systemd waits for the generator, so that nothing in a unit
// directory may block or fill the memory.
package sources

import (
	"path/filepath"
	"strconv"
	"strings"
)

// Search is where unit files are looked for, in order: the first file of a name counts.
type Search struct {
	Paths []string

	// LeaveOut tells of a directory below one of the paths that it is not for this manager.
	LeaveOut func(path string) bool

	// User: it is a user's, to whom the system's directories may be closed.
	User bool

	// Warnings say what is missing from the paths, and why.
	Warnings []string
}

// The administrator's and the distribution's directories.
const (
	runDir  = "/run/containers/systemd"
	etcDir  = "/etc/containers/systemd"
	usrDir  = "/usr/share/containers/systemd"
	subDir  = "/containers/systemd"
	userSub = "/users"
)

// For lists the directories of the system's manager, or of the manager of the user with that UID. QUADLET_UNIT_DIRS in the
// environment replaces them all.
func For(getenv func(string) string, user bool, uid int) Search {
	if list := getenv("QUADLET_UNIT_DIRS"); list != "" {
		return listed(list)
	}
	if user {
		return forUser(getenv, strconv.Itoa(uid))
	}
	// The users' directories are below the system's; units made from them must not run as root.
	return Search{
		Paths:    []string{runDir, etcDir, usrDir},
		LeaveOut: func(path string) bool { return path == etcDir+userSub || path == usrDir+userSub },
	}
}

func listed(list string) Search {
	s := Search{LeaveOut: func(string) bool { return false }}
	for path := range strings.SplitSeq(list, ":") {
		if !strings.HasPrefix(path, "/") {
			s.Warnings = append(s.Warnings, strconv.Quote(path)+" in QUADLET_UNIT_DIRS is not an absolute path; it and what follows is left out")
			break
		}
		s.Paths = append(s.Paths, filepath.Clean(path))
	}
	return s
}

func forUser(getenv func(string) string, uid string) Search {
	s := Search{User: true, LeaveOut: func(path string) bool { return othersDir(path, uid) }}
	if run := getenv("XDG_RUNTIME_DIR"); run != "" {
		s.Paths = append(s.Paths, run+subDir)
	}
	switch config, home := getenv("XDG_CONFIG_HOME"), getenv("HOME"); {
	case config != "":
		s.Paths = append(s.Paths, config+subDir)
	case home != "":
		s.Paths = append(s.Paths, home+"/.config"+subDir)
	default:
		s.Warnings = append(s.Warnings, "neither HOME nor XDG_CONFIG_HOME is set: the user's own unit files are not read")
	}
	for _, base := range [...]string{etcDir, usrDir} {
		s.Paths = append(s.Paths, base+userSub+"/"+uid, base+userSub)
	}
	return s
}

// othersDir reports a users/UID directory of another user.
func othersDir(path, uid string) bool {
	for _, base := range [...]string{etcDir, usrDir} {
		name, ok := strings.CutPrefix(path, base+userSub+"/")
		if ok && !strings.Contains(name, "/") && name != uid && name != "" && strings.Trim(name, "0123456789") == "" {
			return true
		}
	}
	return false
}
