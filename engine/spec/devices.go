package spec

import (
	"fmt"
	"os"
	"path"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Device is a node of the host's /dev that the container gets.
type Device struct {
	Source      string // on the host
	Destination string // in the container
	Access      string // r, w, m: read, write, mknod(2)
	// What the host's node is; filled by the caller, who may look.
	Type         string // c or b
	Major, Minor int64
	Mode         uint32
}

// ParseDevice reads HOST[:CONTAINER][:ACCESS].
func ParseDevice(s string) (Device, error) {
	parts := strings.Split(s, ":")
	d := Device{Source: parts[0], Destination: parts[0], Access: "rwm"}
	rest := parts[1:]
	if len(rest) > 0 && !isAccess(rest[0]) {
		d.Destination, rest = rest[0], rest[1:]
	}
	if len(rest) == 1 && isAccess(rest[0]) {
		d.Access, rest = rest[0], nil
	}
	if len(rest) > 0 || !path.IsAbs(d.Source) || !path.IsAbs(d.Destination) {
		return d, fmt.Errorf("device %q is not HOST[:CONTAINER][:rwm] with absolute paths", s)
	}
	d.Source, d.Destination = path.Clean(d.Source), path.Clean(d.Destination)
	if !strings.HasPrefix(d.Destination, "/dev/") {
		return d, fmt.Errorf("device %q: its place in the container must be below /dev", s)
	}
	return d, nil
}

func isAccess(s string) bool { return s != "" && strings.Trim(s, "rwm") == "" }

// devices are the nodes asked for beyond the ones that every runtime makes, with the rules that let the container use
// them. A user may make none: the host's own nodes are bind-mounted.
func devices(in Input) (nodes []specs.LinuxDevice, rules []specs.LinuxDeviceCgroup) {
	rules = []specs.LinuxDeviceCgroup{{Allow: in.Container.Privileged, Access: "rwm"}}
	for _, d := range in.Devices {
		if in.nested() {
			continue
		}
		mode := os.FileMode(d.Mode)
		nodes = append(nodes, specs.LinuxDevice{Path: d.Destination, Type: d.Type, Major: d.Major, Minor: d.Minor, FileMode: &mode})
		rules = append(rules, specs.LinuxDeviceCgroup{Allow: true, Type: d.Type, Major: &d.Major, Minor: &d.Minor, Access: d.Access})
	}
	return nodes, rules
}

// nested reports whether the runtime works in a user namespace, where no device can be made (user_namespaces(7)).
func (in Input) nested() bool { return in.Host.Rootless || !in.IDs.Empty() }

// deviceMounts are the bind mounts of a user's devices.
func deviceMounts(in Input) []Mount {
	var list []Mount
	for _, d := range in.Devices {
		if in.nested() {
			list = append(list, Mount{Source: d.Source, Destination: d.Destination, Options: []string{"bind", "rprivate", "rw", "nosuid", "noexec"}})
		}
	}
	return list
}
