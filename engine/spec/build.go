package spec

import (
	"fmt"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Input is everything that config.json is made from.
type Input struct {
	ID        string
	Container Container
	Image     ImageConfig
	Rootfs    string  // mounted root file system
	Process   Process // user and groups, resolved in the root file system
	Host      Host
	Volumes   []Mount // resolved volumes, in the order given
	Files     []Mount // files of ours: hosts, resolv.conf, hostname, .containerenv
	NetNS     string  // path to join; "" with NetHost false: a new one made by the runtime
	NetHost   bool    // the host's network namespace
	Seccomp   *specs.LinuxSeccomp
}

// Process is a user of the container in numbers.
type Process struct {
	UID, GID uint32
	Groups   []uint32
	Home     string
}

// Host holds the facts of the machine that matter to a configuration.
type Host struct {
	Rootless    bool              // the runtime runs in a user namespace that this user made
	Environment map[string]string // the caller's, for NAME-only variables and EnvHost
	NotifyPath  string            // NOTIFY_SOCKET to hand on; "" for none
	CgroupsPath string            // below the root of the cgroup file system; "" for the runtime's choice
	ListenFDs   int               // sockets handed on by systemd, from file descriptor 3 on
	HardNoFile  uint64            // the caller's hard limit of open files
	Resources   bool              // the container's cgroup has controllers, so that limits can be set
}

// Mount is one file or directory of the host seen in the container.
type Mount struct {
	Source      string
	Destination string
	Options     []string // bind options; nil means rbind,rprivate,rw
}

// Build makes the runtime configuration. The same input gives the same value.
func Build(in Input) (*specs.Spec, error) {
	args, err := Args(in.Container, in.Image)
	if err != nil {
		return nil, err
	}
	env, err := Environment(in)
	if err != nil {
		return nil, err
	}
	security, err := parseSecurity(in.Container)
	if err != nil {
		return nil, err
	}
	caps, err := capabilities(in.Container, in.Process)
	if err != nil {
		return nil, err
	}
	rlimits, err := rlimits(in.Container, in.Host)
	if err != nil {
		return nil, err
	}
	sysctls, err := sysctls(in.Container, in.NetHost)
	if err != nil {
		return nil, err
	}
	mounts, err := mounts(in)
	if err != nil {
		return nil, err
	}
	umask, err := parseUmask(in.Container.Umask)
	if err != nil {
		return nil, err
	}
	annotations, err := annotations(in.Container)
	if err != nil {
		return nil, err
	}
	devices, rules, err := devices(in.Container)
	if err != nil {
		return nil, err
	}
	resources, err := resources(in.Container, in.Host, rules)
	if err != nil {
		return nil, err
	}
	s := &specs.Spec{
		Version: "1.0.2",
		Process: &specs.Process{
			User:            specs.User{UID: in.Process.UID, GID: in.Process.GID, AdditionalGids: in.Process.Groups, Umask: &umask},
			Args:            args,
			Env:             env,
			Cwd:             workDir(in.Container, in.Image),
			Capabilities:    caps,
			Rlimits:         rlimits,
			NoNewPrivileges: security.noNewPrivileges,
			ApparmorProfile: security.apparmor,
			OOMScoreAdj:     in.Container.OOMScoreAdj,
		},
		Root:        &specs.Root{Path: in.Rootfs, Readonly: in.Container.ReadOnly},
		Hostname:    HostName(in.ID, in.Container),
		Mounts:      mounts,
		Annotations: annotations,
		Linux: &specs.Linux{
			Namespaces:        namespaces(in),
			Sysctl:            sysctls,
			CgroupsPath:       in.Host.CgroupsPath,
			Devices:           devices,
			Resources:         resources,
			MaskedPaths:       security.masked,
			ReadonlyPaths:     security.readonly,
			RootfsPropagation: "private",
		},
	}
	if !in.Container.Privileged && !security.unconfined {
		s.Linux.Seccomp = in.Seccomp
	}
	return s, nil
}

// namespaces lists the namespaces of the container. The cgroup namespace is always private: /sys/fs/cgroup then shows
// the container's own cgroup and nothing above it.
func namespaces(in Input) []specs.LinuxNamespace {
	list := []specs.LinuxNamespace{
		{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace},
		{Type: specs.MountNamespace}, {Type: specs.CgroupNamespace},
	}
	if !in.NetHost {
		list = append(list, specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: in.NetNS})
	}
	return list
}

// HostName is the name that the container's kernel and its /etc/hostname tell: what was asked for, else the first
// twelve digits of the ID.
func HostName(id string, c Container) string {
	if c.HostName != "" {
		return c.HostName
	}
	return id[:min(12, len(id))]
}

func workDir(c Container, image ImageConfig) string {
	switch {
	case c.WorkDir != "":
		return c.WorkDir
	case image.WorkingDir != "":
		return image.WorkingDir
	}
	return "/"
}

func annotations(c Container) (map[string]string, error) {
	m := map[string]string{}
	for _, a := range c.Annotations {
		name, value, ok := strings.Cut(a, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("annotation %q is not NAME=VALUE", a)
		}
		m[name] = value
	}
	return m, nil
}

// SystemdPropertyPrefix begins the annotations that a runtime turns into properties of a systemd unit: code execution
// as root for whoever sets one (CVE-2024-3154). Callers refuse them.
const SystemdPropertyPrefix = "org.systemd.property."
