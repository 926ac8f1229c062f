package spec

import (
	"fmt"
	"path"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// SystemdFlags are the flags about a container whose program is a service manager.
type SystemdFlags struct {
	Systemd        string `json:"systemd,omitempty"` // true, always, false
	ShmSizeSystemd string `json:"shmSizeSystemd,omitempty"`
}

// inits are the programs that get what a systemd needs.
var inits = []string{"/sbin/init", "/usr/sbin/init", "/usr/local/sbin/init"}

// SystemdMode reports whether the container is set up for a systemd
// (systemd's CONTAINER_INTERFACE): tmpfs where it expects them, a cgroup it may divide, and its own stop signal.
func SystemdMode(c Container, image ImageConfig) (bool, error) {
	switch c.Systemd {
	case "always":
		return true, nil
	case "false":
		return false, nil
	case "", "true":
	default:
		return false, fmt.Errorf("--systemd=%s: known are true, always and false", c.Systemd)
	}
	c.Init = false
	args, err := Args(c, image)
	if err != nil {
		return false, nil // which says so by itself
	}
	return path.Base(args[0]) == "systemd" || slices.Contains(inits, args[0]), nil
}

// SystemdStopSignal asks a systemd to end (systemd(1), "Signals").
const SystemdStopSignal = "SIGRTMIN+3"

// systemdMounts are the tmpfs that a systemd expects.
func systemdMounts(c Container) ([]specs.Mount, error) {
	size := "65536k"
	if c.ShmSizeSystemd != "" {
		n, err := ParseBytes(c.ShmSizeSystemd)
		if err != nil {
			return nil, fmt.Errorf("--shm-size-systemd: %w", err)
		}
		size = fmt.Sprint(n)
	}
	var list []specs.Mount
	for _, place := range []string{"/run", "/run/lock", "/var/log/journal"} {
		list = append(list, tmpfsMount(place, []string{"rw", "nosuid", "nodev", "mode=755", "size=" + size, "tmpcopyup"}))
	}
	return append(list, tmpfsMount("/tmp", []string{"rw", "nosuid", "nodev", "mode=1777", "tmpcopyup"})), nil
}
