package spec

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// defaultCapabilities are Podman's, for files that rely on them.
var defaultCapabilities = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE",
	"CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
}

// allCapabilities are those of capabilities(7) up to Linux 6.x.
var allCapabilities = []string{
	"CAP_AUDIT_CONTROL", "CAP_AUDIT_READ", "CAP_AUDIT_WRITE", "CAP_BLOCK_SUSPEND", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_IPC_LOCK", "CAP_IPC_OWNER",
	"CAP_KILL", "CAP_LEASE", "CAP_LINUX_IMMUTABLE", "CAP_MAC_ADMIN", "CAP_MAC_OVERRIDE", "CAP_MKNOD", "CAP_NET_ADMIN",
	"CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_RAW", "CAP_PERFMON", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP",
	"CAP_SETUID", "CAP_SYSLOG", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_CHROOT", "CAP_SYS_MODULE", "CAP_SYS_NICE",
	"CAP_SYS_PACCT", "CAP_SYS_PTRACE", "CAP_SYS_RAWIO", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG",
	"CAP_WAKE_ALARM",
}

// capabilities works out the sets of the container's PID 1. A user other than root has none in effect but those that
// were added, and they stay through an exec only when they are inheritable and ambient too (capabilities(7)). In every
// other case the inheritable set is empty (CVE-2022-27649).
func capabilities(c Container, p Process) (*specs.LinuxCapabilities, error) {
	base := defaultCapabilities
	if len(c.DefaultCapabilities) > 0 {
		names, all, err := capabilityNames(c.DefaultCapabilities)
		if err != nil {
			return nil, fmt.Errorf("containers.conf: default_capabilities: %w", err)
		}
		if base = names; all {
			base = allCapabilities
		}
	}
	if c.Privileged {
		base = allCapabilities
	}
	added, addAll, err := capabilityNames(c.CapAdd)
	if err != nil {
		return nil, err
	}
	dropped, dropAll, err := capabilityNames(c.CapDrop)
	if err != nil {
		return nil, err
	}
	if addAll {
		base = allCapabilities
	}
	if dropAll {
		base = nil
	}
	set := map[string]bool{}
	for _, name := range base {
		set[name] = true
	}
	for _, name := range dropped {
		delete(set, name)
	}
	for _, name := range added {
		set[name] = true
	}
	bounding := SortedKeys(set)
	if p.UID == 0 {
		return &specs.LinuxCapabilities{Bounding: bounding, Effective: bounding, Permitted: bounding}, nil
	}
	if addAll && !dropAll {
		added = bounding
	}
	if len(added) == 0 {
		return &specs.LinuxCapabilities{Bounding: bounding}, nil
	}
	own := slices.Compact(slices.Sorted(slices.Values(added)))
	return &specs.LinuxCapabilities{Bounding: bounding, Effective: own, Permitted: own, Inheritable: own, Ambient: own}, nil
}

// WantsAllCapabilities reports whether the container is to have whatever the caller has.
func WantsAllCapabilities(c Container) bool {
	_, all, err := capabilityNames(c.CapAdd)
	return c.Privileged || all && err == nil
}

// limitCapabilities takes out what the caller lacks and so cannot give.
func limitCapabilities(caps *specs.LinuxCapabilities, bounding []string) {
	if bounding == nil {
		return
	}
	for _, set := range []*[]string{&caps.Bounding, &caps.Effective, &caps.Permitted, &caps.Inheritable, &caps.Ambient} {
		*set = slices.DeleteFunc(slices.Clone(*set), func(name string) bool { return !slices.Contains(bounding, name) })
	}
}

// CapabilityNames names the capabilities of a set as /proc/PID/status writes it, in hexadecimal digits.
func CapabilityNames(hex string) ([]string, error) {
	mask, err := strconv.ParseUint(hex, 16, 64)
	if err != nil {
		return nil, err
	}
	list := []string{}
	for i, name := range capabilityNumbers {
		if mask&(1<<i) != 0 {
			list = append(list, "CAP_"+name)
		}
	}
	return list, nil
}

// capabilityNumbers are the names by number, capabilities(7).
var capabilityNumbers = strings.Fields(`CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
	NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
	SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG
	WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`)

// capabilityNames normalises names ("net_admin", "CAP_NET_ADMIN", comma-separated) and reports whether ALL was among them.
func capabilityNames(list []string) (names []string, all bool, err error) {
	for _, words := range list {
		for _, word := range strings.Split(words, ",") {
			name := strings.ToUpper(strings.TrimSpace(word))
			if name == "ALL" {
				all = true
				continue
			}
			if !strings.HasPrefix(name, "CAP_") {
				name = "CAP_" + name
			}
			if !slices.Contains(allCapabilities, name) {
				return nil, false, fmt.Errorf("unknown capability %q; capabilities(7) lists the names", word)
			}
			names = append(names, name)
		}
	}
	return names, all, nil
}

// maskedPaths hide what tells about or reaches into the host; the union of what Podman and Docker hide.
var maskedPaths = []string{
	"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
	"/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/dev/block", "/sys/devices/virtual/powercap", "/sys/firmware",
	selinuxPlace,
}

const selinuxPlace = "/sys/fs/selinux"

var readonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}

type security struct {
	noNewPrivileges bool
	unconfined      bool   // no seccomp filter
	seccomp         string // path of a profile; "" for the default one
	apparmor        string
	procOptions     []string // of proc(5)
	labels          []string // options about the labels of SELinux
	nested          bool     // the container may ask and load SELinux
	masked          []string
	readonly        []string
}

// SeccompProfile is the path of the profile that the options name: "" for the default one, "unconfined" for none.
func SeccompProfile(c Container) (string, error) {
	s, err := parseSecurity(c)
	switch {
	case err != nil:
		return "", err
	case s.unconfined || c.Privileged:
		return "unconfined", nil
	}
	return s.seccomp, nil
}

// parseSecurity reads the --security-opt words; KEY=VALUE and KEY:VALUE are the same.
func parseSecurity(c Container) (security, error) {
	s := security{masked: maskedPaths, readonly: readonlyPaths}
	if c.Privileged {
		s.masked, s.readonly = nil, nil
	}
	for _, opt := range c.SecurityOpts {
		key, value := cutAny(opt, "=:")
		switch key {
		case "no-new-privileges":
			s.noNewPrivileges = value == "" || isTrue(value)
		case "seccomp":
			s.unconfined, s.seccomp = value == "unconfined", value
			if s.unconfined {
				s.seccomp = ""
			}
		case "apparmor":
			s.apparmor = value
		case "mask":
			s.masked = append(append([]string{}, s.masked...), splitNonEmpty(value, ":")...)
		case "unmask":
			s.masked, s.readonly = unmask(s.masked, value), unmask(s.readonly, value)
		case "proc-opts":
			s.procOptions = append(s.procOptions, splitNonEmpty(value, ",")...)
		case "label":
			if err := checkLabel(opt, value); err != nil {
				return s, err
			}
			if value == "nested" {
				s.nested = true
			} else {
				s.labels = append(s.labels, strings.Replace(value, "=", ":", 1))
			}
		default:
			return s, fmt.Errorf("unknown security option %q; known are no-new-privileges, seccomp, apparmor, mask, unmask, proc-opts, label", opt)
		}
	}
	if s.nested {
		s.masked = unmask(s.masked, selinuxPlace)
	}
	return s, nil
}

// checkLabel reads an option of SELinux, which has no effect where there is none.
func checkLabel(opt, value string) error {
	key, _ := cutAny(value, ":=")
	if !slices.Contains([]string{"disable", "nested", "user", "role", "type", "level", "filetype"}, key) {
		return fmt.Errorf("security option %q: known are disable, nested, user:, role:, type:, level: and filetype:", opt)
	}
	return nil
}

// profile is the AppArmor profile: what was asked for, else the host's default one.
func (s security) profile(in Input) string {
	switch {
	case s.apparmor == "unconfined", s.apparmor == "" && in.Container.Privileged:
		return ""
	case s.apparmor == "":
		return in.Host.AppArmor
	}
	return s.apparmor
}

func unmask(paths []string, value string) []string {
	if strings.EqualFold(value, "ALL") {
		return nil
	}
	open := splitNonEmpty(value, ":")
	var left []string
	for _, p := range paths {
		if !slices.ContainsFunc(open, func(o string) bool { ok, _ := path.Match(o, p); return ok || o == p }) {
			left = append(left, p)
		}
	}
	return left
}

func cutAny(s, seps string) (key, value string) {
	if i := strings.IndexAny(s, seps); i >= 0 {
		return s[:i], s[i+1:]
	}
	return s, ""
}

func splitNonEmpty(s, sep string) []string {
	var list []string
	for _, w := range strings.Split(s, sep) {
		if w != "" {
			list = append(list, w)
		}
	}
	return list
}

func isTrue(s string) bool {
	switch strings.ToLower(s) {
	case "1", "t", "true", "y", "yes", "on":
		return true
	}
	return false
}

// DefaultCapabilities are those of a container that nothing else is said of.
func DefaultCapabilities() []string { return slices.Clone(defaultCapabilities) }
