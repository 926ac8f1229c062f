package rootless

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ServiceDirs is where units of the system's manager keep the state of the users in whose names they run containers, a
// directory for each: the generator names them (RuntimeDirectory=, systemd.exec(5)). Such a user needs no session and no
// manager.
const ServiceDirs = "/run/berth-users"

// InService reports whether this process works on containers of such units.
func InService() bool { return isService(os.Getenv("XDG_RUNTIME_DIR")) }

func isService(dir string) bool { return strings.HasPrefix(dir, ServiceDirs+"/") }

// RuntimeDir is the user's directory below /run.
func RuntimeDir() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return dir
	}
	return "/run/user/" + strconv.Itoa(UID())
}

// FindRuntimeDir gives a user who comes without a session, by way of sudo(8) for one, the directory that the system's units
// have made for him: what he asks for then is about the containers of these.
func FindRuntimeDir() error {
	if !Needed() || os.Getenv("XDG_RUNTIME_DIR") != "" {
		return nil
	}
	if dir := ownedBelow(ServiceDirs, os.Getuid()); dir != "" {
		return os.Setenv("XDG_RUNTIME_DIR", dir)
	}
	return nil
}

// ownedBelow returns the directory below parent that belongs to the user, "" for none.
func ownedBelow(parent string, uid int) string {
	list, err := os.ReadDir(parent)
	if err != nil {
		return ""
	}
	for _, e := range list {
		path := filepath.Join(parent, e.Name())
		if st, err := os.Stat(path); err == nil && st.IsDir() && int(st.Sys().(*syscall.Stat_t).Uid) == uid {
			return path
		}
	}
	return ""
}
