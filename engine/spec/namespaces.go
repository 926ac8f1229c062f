package spec

import (
	"fmt"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Namespaces are the flags about what a container shares with the host or with others: private, host, container:NAME or
// ns:PATH; for IPC also shareable and none.
type Namespaces struct {
	PID      string `json:"pid,omitempty"`
	IPC      string `json:"ipc,omitempty"`
	UTS      string `json:"uts,omitempty"`
	CgroupNS string `json:"cgroupns,omitempty"`
}

// Namespace is what one of the flags asks for.
type Namespace struct {
	Kind specs.LinuxNamespaceType
	Flag string // as it was given, for messages
	Mode string // private, host, container, ns; shareable, none
	Peer string // the container or the path
}

// List reads the flags, in the order of the table of namespaces(7) that runtimes use.
func (n Namespaces) List() ([]Namespace, error) {
	var list []Namespace
	for _, f := range []struct {
		kind       specs.LinuxNamespaceType
		name, word string
	}{
		{specs.PIDNamespace, "pid", n.PID}, {specs.IPCNamespace, "ipc", n.IPC},
		{specs.UTSNamespace, "uts", n.UTS}, {specs.CgroupNamespace, "cgroupns", n.CgroupNS},
	} {
		ns := Namespace{Kind: f.kind, Flag: "--" + f.name + "=" + f.word}
		mode, peer, hasPeer := strings.Cut(f.word, ":")
		switch {
		case mode == "" && !hasPeer:
			mode = "private"
			if f.kind == specs.IPCNamespace {
				mode = "shareable"
			}
		case (mode == "private" || mode == "host") && !hasPeer:
		case (mode == "shareable" || mode == "none") && !hasPeer && f.kind == specs.IPCNamespace:
		case mode == "container" && peer != "", mode == "ns" && strings.HasPrefix(peer, "/"):
		default:
			return nil, fmt.Errorf("%s: known are private, host, container:NAME and ns:PATH, and for --ipc also shareable and none", ns.Flag)
		}
		ns.Mode, ns.Peer = mode, peer
		list = append(list, ns)
	}
	return list, nil
}

// mode is what the container asks for of the namespace of this kind.
func (n Namespaces) mode(kind specs.LinuxNamespaceType) string {
	list, err := n.List()
	i := slices.IndexFunc(list, func(n Namespace) bool { return n.Kind == kind })
	if err != nil || i < 0 {
		return ""
	}
	return list[i].Mode
}

// namespaces lists the namespaces of the container. Unless another is asked for the cgroup namespace is private:
// /sys/fs/cgroup then shows the container's own cgroup and nothing above it.
func namespaces(in Input) ([]specs.LinuxNamespace, error) {
	flags, err := in.Container.Namespaces.List()
	if err != nil {
		return nil, err
	}
	var list []specs.LinuxNamespace
	for _, n := range flags {
		if n.Mode != "host" {
			list = append(list, specs.LinuxNamespace{Type: n.Kind, Path: in.Joined[n.Kind]})
		} else if n.Kind == specs.CgroupNamespace && !in.Host.Rootless {
			// berth's own is not the host's: it sees the unit's groups only (engine/cgroup).
			list = append(list, specs.LinuxNamespace{Type: n.Kind, Path: "/proc/1/ns/cgroup"})
		}
		if n.Kind == specs.UTSNamespace {
			list = append(list, specs.LinuxNamespace{Type: specs.MountNamespace})
		}
	}
	if !in.NetHost {
		list = append(list, specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: in.NetNS})
	}
	return list, nil
}

// CheckNamespaces refuses what would change what is shared.
func CheckNamespaces(c Container) error {
	flags, err := c.Namespaces.List()
	if err != nil {
		return err
	}
	for _, n := range flags {
		if n.Mode == "private" || n.Mode == "shareable" || n.Mode == "none" {
			continue
		}
		switch {
		case n.Kind == specs.UTSNamespace && c.HostName != "":
			return fmt.Errorf("--hostname=%s with %s would rename others too; leave one of them out", c.HostName, n.Flag)
		case n.Kind == specs.PIDNamespace && c.Init:
			return fmt.Errorf("--init with %s: the init would not be PID 1, and could not do its work", n.Flag)
		case n.Kind == specs.IPCNamespace && c.ShmSize != "":
			return fmt.Errorf("--shm-size=%s with %s: /dev/shm is shared, and has its size already", c.ShmSize, n.Flag)
		case n.Kind == specs.IPCNamespace:
			for _, s := range c.Sysctls {
				if name, _, _ := strings.Cut(s, "="); !strings.HasPrefix(name, "net.") {
					return fmt.Errorf("sysctl %s with %s would change others too", name, n.Flag)
				}
			}
		}
	}
	return nil
}
