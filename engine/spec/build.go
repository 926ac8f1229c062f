package spec

import (
	"fmt"
	"path"
	"slices"
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
	Devices   []Device
	CDI       []CDIEdits // of the devices that are known by name
	// BlockDevices are the numbers of the devices that Container.BlockDevices names.
	BlockDevices map[string]DeviceNumber
	Files        []Mount // files of ours: hosts, resolv.conf, hostname, .containerenv
	NetNS        string  // path to join; "" with NetHost false: a new one made by the runtime
	NetHost      bool    // the host's network namespace
	IDs          IDMaps  // of the container's own user namespace; empty for none
	UserNS       string  // path of the user namespace to join; "" for a new one with IDs
	// Joined are the paths of the other namespaces to join.
	Joined      map[specs.LinuxNamespaceType]string
	HostCgroups string // directory to show at /sys/fs/cgroup; "" for the container's own groups
	Systemd     bool   // the program is a service manager
	Shm         string // directory to show at /dev/shm; "" for a new tmpfs
	Seccomp     *specs.LinuxSeccomp
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
	Controllers []string          // of the container's cgroup, for which limits can be set
	Label       Label             // of SELinux
	Bounding    []string          // capabilities that may be given at all; nil for all
	AppArmor    string            // default profile; "" where there is none
	Swap        bool              // the memory controller counts swap too
	OOMScoreAdj int               // the caller's own out-of-memory score adjustment
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
	limitCapabilities(caps, in.Host.Bounding)
	rlimits, err := rlimits(in.Container)
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
	workDir, err := workDir(in.Container, in.Image)
	if err != nil {
		return nil, err
	}
	if err := checkHostName(in.Container.HostName); err != nil {
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
	personality, err := personality(in.Container)
	if err != nil {
		return nil, err
	}
	devices, rules, err := devices(in)
	if err != nil {
		return nil, err
	}
	resources, err := resources(in, rules)
	if err != nil {
		return nil, err
	}
	namespaces, err := namespaces(in)
	if err != nil {
		return nil, err
	}
	hostName := HostName(in.ID, in.Container)
	if in.Container.Namespaces.mode(specs.UTSNamespace) != "private" {
		hostName = "" // which is another's
	}
	s := &specs.Spec{
		Version: "1.0.2",
		Process: &specs.Process{
			User:            specs.User{UID: in.Process.UID, GID: in.Process.GID, AdditionalGids: groups(in.Container, in.Process), Umask: &umask},
			Terminal:        in.Container.TTY,
			Args:            args,
			Env:             env,
			Cwd:             workDir,
			Capabilities:    caps,
			Rlimits:         rlimits,
			NoNewPrivileges: security.noNewPrivileges,
			ApparmorProfile: security.profile(in),
			SelinuxLabel:    in.Host.Label.Process,
			OOMScoreAdj:     oomScoreAdj(in),
		},
		Root:        &specs.Root{Path: in.Rootfs, Readonly: in.Container.ReadOnly},
		Hostname:    hostName,
		Mounts:      mounts,
		Annotations: annotations,
		Linux: &specs.Linux{
			Namespaces:        namespaces,
			Sysctl:            sysctls,
			CgroupsPath:       in.Host.CgroupsPath,
			Devices:           devices,
			Resources:         resources,
			MaskedPaths:       security.masked,
			ReadonlyPaths:     security.readonly,
			MountLabel:        in.Host.Label.File,
			RootfsPropagation: "private",
			IntelRdt:          intelRdt(in.Container),
			Personality:       personality,
		},
	}
	if !in.Container.Privileged && !security.unconfined {
		s.Linux.Seccomp = in.Seccomp
	}
	userNamespace(s.Linux, in)
	for _, edits := range in.CDI {
		if err := edits.apply(s, in.Host.Rootless); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// oomScoreAdj is not below the user's own, as in Podman: that takes CAP_SYS_RESOURCE (proc_pid_oom_score_adj(5)).
func oomScoreAdj(in Input) *int {
	adj := in.Container.OOMScoreAdj
	if adj == nil || !in.Host.Rootless {
		return adj
	}
	least := max(*adj, in.Host.OOMScoreAdj)
	return &least
}

// HostName is the name that the container's kernel and its /etc/hostname tell: what was asked for, else the first
// twelve digits of the ID, or the container's name.
func HostName(id string, c Container) string {
	if c.HostName != "" {
		return c.HostName
	}
	if c.NameAsHost && c.Name != "" {
		name := strings.ReplaceAll(c.Name, "_", "") // no character of a host name (hostname(7))
		return name[:min(64, len(name))]
	}
	return id[:min(12, len(id))]
}

// checkHostName refuses what would break the lines of /etc/hosts. The kernel takes 64 bytes (sethostname(2)).
func checkHostName(name string) error {
	if len(name) > 64 {
		return fmt.Errorf("host name of %d bytes is too long; 64 are allowed", len(name))
	}
	for _, r := range name {
		if r <= ' ' || r == 0x7f || r == '#' {
			return fmt.Errorf("host name %q has %q in it", name, r)
		}
	}
	return nil
}

// workDir is where the container's program starts. Nothing below /proc: the runtime could leave through one of its own
// file descriptors there (CVE-2024-21626).
func workDir(c Container, image ImageConfig) (string, error) {
	dir := "/"
	switch {
	case c.WorkDir != "":
		dir = c.WorkDir
	case image.WorkingDir != "":
		dir = image.WorkingDir
	}
	if !path.IsAbs(dir) { // the runtime would take it from the root, and proc/self with it
		return "", fmt.Errorf("working directory %q is not an absolute path", dir)
	}
	if clean := path.Clean(dir); strings.HasPrefix(clean, "/proc/") || strings.HasPrefix(clean, "/dev/fd") {
		return "", fmt.Errorf("working directory %q: nothing below /proc or /dev/fd can be one", dir)
	}
	return dir, nil
}

// groups are the supplementary groups. Without the primary one among them a set-group-ID program could drop it, and with
// it a rule that denies the group something (CVE-2022-2989).
func groups(c Container, p Process) []uint32 {
	if c.KeepGroups() || p.UID == 0 && len(p.Groups) == 0 || slices.Contains(p.Groups, p.GID) {
		return p.Groups
	}
	return append([]uint32{p.GID}, p.Groups...)
}

func annotations(c Container) (map[string]string, error) {
	m := map[string]string{}
	if c.KeepGroups() {
		if len(c.Groups) > 1 {
			return nil, fmt.Errorf("--group-add=%s stands alone, but there are %d groups", keepGroups, len(c.Groups))
		}
		m["run.oci.keep_original_groups"] = "1"
	}
	for _, a := range c.Annotations {
		name, value, ok := strings.Cut(a, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("annotation %q is not NAME=VALUE", a)
		}
		if err := CheckAnnotation(a); err != nil {
			return nil, err
		}
		m[name] = value
	}
	return m, nil
}

// CheckAnnotation refuses the annotations that a runtime turns into properties of a systemd unit: code execution as root
// for whoever sets one (CVE-2024-3154).
func CheckAnnotation(a string) error {
	if strings.HasPrefix(a, "org.systemd.property.") {
		return fmt.Errorf("annotation %q would set a property of a systemd unit; write it into the unit file's [Service] section", a)
	}
	return nil
}
