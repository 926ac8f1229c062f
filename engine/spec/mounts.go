package spec

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// DefaultShmSize is that of /dev/shm, in bytes.
const DefaultShmSize = 65536 << 10

// mounts lists the kernel's file systems first, then ours and the user's, parents before children. A later mount on the
// same place wins, so that a volume may replace anything of ours.
func mounts(in Input) ([]specs.Mount, error) {
	list, err := kernelMounts(in)
	if err != nil {
		return nil, err
	}
	byPlace := map[string]specs.Mount{}
	if in.Systemd {
		own, err := systemdMounts(in.Container)
		if err != nil {
			return nil, err
		}
		for _, m := range own {
			byPlace[m.Destination] = m
		}
	}
	for _, f := range in.Files {
		m := bindMount(f)
		if in.Container.ReadOnly {
			m.Options = readOnly(m.Options)
		}
		byPlace[f.Destination] = m
		for _, dir := range in.Container.ChrootDirs {
			if !path.IsAbs(dir) {
				return nil, fmt.Errorf("--chrootdirs=%s is no absolute path", dir)
			}
			if slices.Contains([]string{"/etc/hosts", "/etc/resolv.conf", "/etc/hostname"}, f.Destination) {
				there := m
				there.Destination = path.Join(dir, f.Destination)
				byPlace[there.Destination] = there
			}
		}
	}
	if in.Container.ReadOnly && in.Container.ReadOnlyTmpfs {
		for _, p := range []string{"/run", "/tmp", "/var/tmp"} {
			if _, ok := byPlace[p]; ok {
				continue
			}
			byPlace[p] = tmpfsMount(p, []string{"rw", "nosuid", "nodev", "mode=1777"})
		}
	}
	for _, t := range in.Container.Tmpfs {
		m, err := ParseTmpfs(t)
		if err != nil {
			return nil, err
		}
		byPlace[m.Destination] = m
	}
	for _, word := range in.Container.Mounts {
		m, _, err := ParseSpecialMount(word)
		if err != nil {
			return nil, err
		}
		if mount, ok := m.kernelMount(); ok {
			byPlace[m.Destination] = mount
		}
	}
	for _, v := range append(deviceMounts(in), in.Volumes...) {
		byPlace[v.Destination] = bindMount(v)
	}
	var own []specs.Mount
	for _, place := range SortedKeys(byPlace) {
		m := byPlace[place]
		if err := CheckPlace(m); err != nil {
			return nil, err
		}
		// In the place of the one it replaces, so that /dev/pts stays above another /dev.
		if i := slices.IndexFunc(list, func(k specs.Mount) bool { return k.Destination == place }); i >= 0 {
			list[i] = m
			continue
		}
		own = append(own, m)
	}
	return append(list, own...), nil
}

// procFiles are those that another file may stand in for, to tell the container about its own limits (lxcfs).
var procFiles = []string{"cpuinfo", "diskstats", "loadavg", "meminfo", "slabinfo", "stat", "swaps", "uptime"}

// CheckPlace refuses what would stand in for /proc or /dev. The runtime writes a process's labels through /proc
// (CVE-2019-16884, CVE-2019-19921) and makes devices in /dev (CVE-2026-41579): both must be what they seem to be. The
// host's own may be shown, since that is asked for by name.
func CheckPlace(m specs.Mount) error {
	below, inProc := strings.CutPrefix(m.Destination, "/proc/")
	switch {
	case m.Destination == "/proc" && m.Source != "/proc", inProc && !slices.Contains(procFiles, below):
		return fmt.Errorf("mount on %s: nothing may stand in for the kernel's own /proc; of its files, %s may be replaced", m.Destination, strings.Join(procFiles, ", "))
	case m.Destination == "/dev" && m.Source != "/dev" && m.Type != "tmpfs":
		return fmt.Errorf("mount on /dev: only the host's /dev, or a tmpfs, may stand in for the container's")
	}
	return nil
}

// kernelMounts are /proc, /dev, /sys and what stands in them.
func kernelMounts(in Input) ([]specs.Mount, error) {
	shm := uint64(DefaultShmSize)
	if in.Container.ShmSize != "" {
		var err error
		if shm, err = ParseBytes(in.Container.ShmSize); err != nil {
			return nil, fmt.Errorf("shm size: %w", err)
		}
	}
	security, err := parseSecurity(in.Container)
	if err != nil {
		return nil, err
	}
	sysMode, cgroupMode := "ro", "ro"
	if in.Container.Privileged {
		sysMode, cgroupMode = "rw", "rw"
	}
	if in.Systemd {
		cgroupMode = "rw"
	}
	pts := []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}
	if _, mapped := in.IDs.GID(5); mapped && !in.Host.Rootless {
		pts = append(pts, "gid=5")
	}
	list := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: append([]string{"nosuid", "noexec", "nodev"}, security.procOptions...)},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: pts},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", fmt.Sprintf("size=%d", shm)}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", sysMode}},
	}
	list = shareMounts(in, list)
	if in.nested() && in.NetHost {
		// sysfs shows the network namespace, so the kernel lets only its owner mount one (sysfs(5)).
		i := slices.IndexFunc(list, func(m specs.Mount) bool { return m.Destination == "/sys" })
		list[i] = specs.Mount{Destination: "/sys", Type: "none", Source: "/sys", Options: []string{"rbind", "nosuid", "noexec", "nodev", "ro"}}
	}
	if in.HostCgroups != "" {
		options := []string{"bind", "rprivate", "nosuid", "noexec", "nodev", cgroupMode}
		return append(list, bindMount(Mount{Source: in.HostCgroups, Destination: "/sys/fs/cgroup", Options: options})), nil
	}
	return append(list, specs.Mount{
		Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup",
		Options: []string{"nosuid", "noexec", "nodev", "relatime", cgroupMode},
	}), nil
}

// shareMounts replaces the file systems that show a namespace by those of whom it is shared with.
func shareMounts(in Input, list []specs.Mount) []specs.Mount {
	bind := func(place, source string, options ...string) {
		for i, m := range list {
			if m.Destination == place {
				list[i] = specs.Mount{Destination: place, Type: "bind", Source: source, Options: append([]string{"rbind", "rprivate"}, options...)}
			}
		}
	}
	if in.Shm != "" {
		bind("/dev/shm", in.Shm, "rw", "nosuid", "noexec", "nodev")
	}
	ipc := in.Container.Namespaces.mode(specs.IPCNamespace)
	if ipc == "none" {
		list = slices.DeleteFunc(list, func(m specs.Mount) bool { return m.Destination == "/dev/shm" })
	}
	if in.Host.Rootless { // who does not own a namespace may not mount what shows it
		if ipc == "host" {
			bind("/dev/mqueue", "/dev/mqueue", "nosuid", "noexec", "nodev")
		}
		if in.Container.Namespaces.mode(specs.PIDNamespace) == "host" {
			bind("/proc", "/proc", "nosuid", "noexec", "nodev")
		}
	}
	return list
}

func bindMount(m Mount) specs.Mount {
	options := m.Options
	if options == nil {
		options = []string{"rbind", "rprivate", "rw"}
	}
	return specs.Mount{Destination: m.Destination, Type: "bind", Source: m.Source, Options: options}
}

// readOnly replaces rw; the options of the caller stay as they are.
func readOnly(options []string) []string {
	out := slices.Clone(options)
	for i, o := range out {
		if o == "rw" {
			out[i] = "ro"
		}
	}
	return out
}

func tmpfsMount(place string, options []string) specs.Mount {
	return specs.Mount{Destination: place, Type: "tmpfs", Source: "tmpfs", Options: options}
}

// ParseTmpfs reads PATH[:OPTION,…]; the options are those of tmpfs(5).
func ParseTmpfs(s string) (specs.Mount, error) {
	place, opts, _ := strings.Cut(s, ":")
	if !path.IsAbs(place) {
		return specs.Mount{}, fmt.Errorf("tmpfs %q: the path in the container must be absolute", s)
	}
	if path.Clean(place) == "/" {
		return specs.Mount{}, fmt.Errorf("tmpfs %q would hide the container's whole root file system", s)
	}
	options, copyUp := []string{"rw", "nosuid", "nodev"}, true
	for _, o := range splitNonEmpty(opts, ",") {
		switch o {
		case "tmpcopyup", "notmpcopyup":
			copyUp = o == "tmpcopyup"
			continue
		}
		if !tmpfsTakes(o) {
			return specs.Mount{}, fmt.Errorf("tmpfs %q: the kernel does not take %s; sizes are as 64m or 50%%, and modes as 1777", s, o)
		}
		options = append(options, o)
	}
	if copyUp { // the runtime puts into it what the image has there
		options = append(options, "tmpcopyup")
	}
	return tmpfsMount(path.Clean(place), options), nil
}

// tmpfsTakes tells whether the value of an option is one for the kernel (shmem_parse_one). Those that are not its own the runtime knows.
func tmpfsTakes(option string) bool {
	name, value, _ := strings.Cut(option, "=")
	base, bits := 0, 64
	switch name {
	case "size":
		value = strings.TrimSuffix(value, "%")
		fallthrough
	case "nr_blocks", "nr_inodes": // memparse, which takes one letter
		if n := len(value); n > 0 && strings.IndexByte("kKmMgGtTpPeE", value[n-1]) >= 0 {
			value = value[:n-1]
		}
	case "mode":
		base, bits = 8, 32
	case "uid", "gid":
		bits = 32
	default:
		return true
	}
	_, err := strconv.ParseUint(value, base, bits)
	return err == nil
}

// Volume is a --volume word, read but not resolved.
type Volume struct {
	Source      string // absolute path, volume name, or "" for an anonymous volume
	Destination string
	Options     []string // mount options for the runtime
	NoCopy      bool     // leave a new volume empty
	Relabel     string   // z: all containers may use what is in it, as far as SELinux goes; Z: only this one; "" leaves the labels
	Chown       bool     // U: give it, and all that is in it, to the container's user
	Overlay     bool     // O: what the container writes is not seen in the source
	Upper, Work string   // of the overlay, where it is to be kept
	IDMap       *string  // idmap: owners are mapped, by the container's own map where it is ""
	Subpath     string   // of a volume: only what lies there is shown
	From        string   // the word of --volumes-from that it comes by
}

// Named reports whether the source is a volume and not a path of the host.
func (v Volume) Named() bool { return !strings.HasPrefix(v.Source, "/") }

// ParseVolume reads [SOURCE:]DESTINATION[:OPTION,…].
func ParseVolume(s string) (Volume, error) {
	parts := strings.SplitN(s, ":", 3)
	var v Volume
	opts := ""
	switch len(parts) {
	case 1:
		v.Destination = parts[0]
	case 2:
		v.Source, v.Destination = parts[0], parts[1]
	default:
		v.Source, v.Destination, opts = parts[0], parts[1], parts[2]
	}
	if len(parts) > 1 && v.Source == "" {
		return v, fmt.Errorf("volume %q has nothing before the first colon", s)
	}
	if !path.IsAbs(v.Destination) {
		return v, fmt.Errorf("volume %q: the path in the container must be absolute", s)
	}
	if v.Named() && v.Source != "" {
		if err := CheckName(v.Source); err != nil {
			return v, fmt.Errorf("volume %q: source is neither an absolute path nor a volume name: %w", s, err)
		}
	}
	v.Destination = path.Clean(v.Destination)
	if v.Destination == "/" {
		return v, fmt.Errorf("volume %q would hide the container's whole root file system", s)
	}
	return v, v.options(s, opts)
}

func (v *Volume) options(s, opts string) error {
	bind, propagation, access := "rbind", "rprivate", "rw"
	var rest []string
	for _, o := range splitNonEmpty(opts, ",") {
		switch o {
		case "ro", "rw":
			access = o
		case "bind", "rbind":
			bind = o
		case "private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable":
			propagation = o
		case "nosuid", "suid", "nodev", "dev", "noexec", "exec":
			rest = append(rest, o)
		case "copy":
		case "nocopy":
			v.NoCopy = true
		case "U":
			v.Chown = true
		case "O":
			v.Overlay = true
		case "idmap":
			v.IDMap = new(string)
		case "z", "Z":
			if v.Relabel != "" && v.Relabel != o {
				return fmt.Errorf("volume %q: z is for all containers, and Z for this one only; leave one of them out", s)
			}
			v.Relabel = o
		default:
			if err := v.option(o); err != nil {
				return fmt.Errorf("volume %q: %w", s, err)
			}
		}
	}
	if v.Named() { // a volume is for data; who wants more of it says so
		rest = withDefaults(rest)
	}
	v.Options = append([]string{bind, propagation, access}, rest...)
	return v.check(s)
}

// CheckName refuses what is not [a-zA-Z0-9][a-zA-Z0-9_.-]*, the names of containers and volumes. They become file names.
func CheckName(name string) error {
	if name == "" {
		return fmt.Errorf("empty name")
	}
	if len(name) > 200 {
		return fmt.Errorf("name of %d bytes is too long; 200 are allowed", len(name))
	}
	for i, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("_.-", r)) {
			return fmt.Errorf("name %q has %q in it; allowed are letters, digits and, after the first place, _ . -", name, r)
		}
	}
	return nil
}
