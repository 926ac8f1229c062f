package spec

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// DeviceFlags are the flags about devices and what else a container may touch.
type DeviceFlags struct {
	ChrootDirs    []string `json:"chrootDirs,omitempty"`
	DeviceRules   []string `json:"deviceRules,omitempty"`
	GPUs          []string `json:"gpus,omitempty"`
	NoHostName    bool     `json:"noHostName,omitempty"`
	RemoveImage   bool     `json:"removeImage,omitempty"`
	SeccompPolicy string   `json:"seccompPolicy,omitempty"` // default, image
}

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
func devices(in Input) (nodes []specs.LinuxDevice, rules []specs.LinuxDeviceCgroup, err error) {
	rules = []specs.LinuxDeviceCgroup{{Allow: in.Container.Privileged, Access: "rwm"}}
	for _, d := range in.Devices {
		if in.nested() {
			continue
		}
		mode := os.FileMode(d.Mode)
		nodes = append(nodes, specs.LinuxDevice{Path: d.Destination, Type: d.Type, Major: d.Major, Minor: d.Minor, FileMode: &mode})
		rules = append(rules, specs.LinuxDeviceCgroup{Allow: true, Type: d.Type, Major: &d.Major, Minor: &d.Minor, Access: d.Access})
	}
	for _, word := range in.Container.DeviceRules {
		rule, err := parseDeviceRule(word)
		if err != nil {
			return nil, nil, err
		}
		rules = append(rules, rule)
	}
	return nodes, rules, nil
}

// parseDeviceRule reads "TYPE MAJOR:MINOR ACCESS", where a number may be *.
func parseDeviceRule(word string) (specs.LinuxDeviceCgroup, error) {
	wrong := fmt.Errorf("device rule %q is not \"TYPE MAJOR:MINOR ACCESS\", such as \"c 10:* rwm\"", word)
	fields := strings.Fields(word)
	if len(fields) != 3 || !slices.Contains([]string{"a", "b", "c"}, fields[0]) || !isAccess(fields[2]) {
		return specs.LinuxDeviceCgroup{}, wrong
	}
	rule := specs.LinuxDeviceCgroup{Allow: true, Type: fields[0], Access: fields[2]}
	major, minor, ok := strings.Cut(fields[1], ":")
	for _, n := range []struct {
		text string
		to   **int64
	}{{major, &rule.Major}, {minor, &rule.Minor}} {
		if n.text == "*" {
			continue
		}
		v, err := strconv.ParseUint(n.text, 10, 31)
		if err != nil || !ok {
			return specs.LinuxDeviceCgroup{}, wrong
		}
		number := int64(v)
		*n.to = &number
	}
	return rule, nil
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
