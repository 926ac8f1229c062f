package rootless

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	sysuser "github.com/moby/sys/user"
	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/proc"
)

// What a check comes to.
const (
	CheckOK    = "ok"
	CheckNote  = "note"  // works, with less than all
	CheckWrong = "wrong" // must be mended
)

// Check is one thing that a user's containers need of the machine.
type Check struct {
	Name  string `json:"name"`
	State string `json:"state"`
	Found string `json:"found"`          // what is there, or what is wrong with it
	Mend  string `json:"mend,omitempty"` // the command to run, or the line to write and where
}

// Machine is where a user's containers are to run. Root is "/" but for tests.
type Machine struct {
	Root string
	User sysuser.User
	// Runtime is XDG_RUNTIME_DIR where the user himself is asking; "-" where it is another, who cannot tell.
	Runtime string
	// FileSystem names the kind of file system that a path is on; tests have their own.
	FileSystem func(path string) (string, error)
}

// Examine makes all checks, in an order in which they can be mended.
func (m *Machine) Examine() []Check {
	checks := []Check{m.subIDs("subuid"), m.subIDs("subgid"), m.mapper("newuidmap"), m.mapper("newgidmap")}
	checks = append(checks, m.userNamespaces()...)
	return append(checks, m.linger(), m.runtimeDir(), m.delegation(), m.home(), m.overlay(), m.tun(), m.program("pasta", "passt"),
		m.program("nsenter", "util-linux"), m.ports())
}

func (m *Machine) path(p string) string { return filepath.Join(m.Root, p) }

// read returns what a file says, without the end of its line; "" when it cannot be read.
func (m *Machine) read(p string) string {
	text, _ := os.ReadFile(m.path(p))
	return strings.TrimSpace(string(text))
}

func ok(name, found string) Check { return Check{Name: name, State: CheckOK, Found: found} }

// wrong is a check that something must be mended for. It is not laid into its many callers: berth is to stay small.
//
//go:noinline
func wrong(name, mend, found string, args ...any) Check {
	return Check{Name: name, State: CheckWrong, Mend: mend, Found: fmt.Sprintf(found, args...)}
}

// subIDs looks at the user's ranges in /etc/subuid or /etc/subgid.
func (m *Machine) subIDs(name string) Check {
	file := "/etc/" + name
	all, err := readSubIDs(m.path(file), func(string) bool { return true })
	if err != nil {
		return wrong(name, "correct "+file+", which has lines like "+m.User.Name+":100000:65536", "%s cannot be read: %v", file, err)
	}
	mine := func(s SubID) bool { return s.Name == m.User.Name || s.Name == strconv.Itoa(m.User.Uid) }
	var count int64
	var texts []string
	for _, s := range all {
		if !mine(s) {
			continue
		}
		count += s.Count
		texts = append(texts, fmt.Sprintf("%d:%d", s.Start, s.Count))
		for _, o := range all {
			if !mine(o) && o.Start < s.Start+s.Count && s.Start < o.Start+o.Count {
				return wrong(name, "change one of the two lines in "+file+", and then the owners of the files that have these IDs",
					"the range %d:%d is that of %q too, who can change the files of %s's containers", s.Start, s.Count, o.Name, m.User.Name)
			}
		}
	}
	switch {
	case count == 0:
		return wrong(name, "berth setup userns --user "+m.User.Name, "%s gives no range to %q: containers have one ID only", file, m.User.Name)
	case count < userCount:
		return wrong(name, "give the line of "+m.User.Name+" in "+file+" 65536 IDs", "%d IDs: images with files of higher owners cannot be unpacked", count)
	}
	return ok(name, strings.Join(texts, ","))
}

// binDirs are those of a usual PATH: root's own may be another than the user's.
var binDirs = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// find returns where a program is; "" for nowhere.
func (m *Machine) find(program string) string {
	for _, dir := range binDirs {
		p := filepath.Join(dir, program)
		if st, err := os.Stat(m.path(p)); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return p
		}
	}
	return ""
}

// install is the command that installs a package on this kind of machine.
func (m *Machine) install(debian, fedora string) string {
	for _, line := range strings.Split(m.read("/etc/os-release"), "\n") {
		key, value, _ := strings.Cut(line, "=")
		words := strings.Fields(strings.Trim(value, `"'`))
		switch {
		case key != "ID" && key != "ID_LIKE":
		case slices.Contains(words, "debian"):
			return "apt-get install " + debian
		case slices.Contains(words, "fedora") || slices.Contains(words, "rhel"):
			return "dnf install " + fedora
		}
	}
	return "install the package " + debian + ", which some distributions name " + fedora
}

// mapper looks at one of the two programs that may map more than the user's own ID.
func (m *Machine) mapper(name string) Check {
	p := m.find(name)
	if p == "" {
		return wrong(name, m.install("uidmap", "shadow-utils"), "the program is not there")
	}
	st, err := os.Stat(m.path(p))
	if err != nil {
		return wrong(name, m.install("uidmap", "shadow-utils"), "%v", err)
	}
	if st.Mode()&fs.ModeSetuid != 0 {
		return ok(name, p+", set-user-ID")
	}
	// A file with capabilities has the attribute, whatever they are: the packages set the right ones.
	if n, err := unix.Getxattr(m.path(p), "security.capability", nil); err == nil && n > 0 {
		return ok(name, p+", with file capabilities")
	}
	return wrong(name, "chmod u+s "+p, "%s is neither set-user-ID nor has it capabilities: it may map no IDs", p)
}

// userNamespaces looks at the three settings that can forbid them. The first and the last are of some kernels only.
func (m *Machine) userNamespaces() []Check {
	var list []Check
	for _, s := range []struct{ key, good, found string }{
		{"kernel.unprivileged_userns_clone", "1", "users may make no user namespaces"},
		{"user.max_user_namespaces", "15000", "there may be no user namespaces"},
		{"kernel.apparmor_restrict_unprivileged_userns", "0", "AppArmor lets only programs with a profile make user namespaces"},
	} {
		value := m.read("/proc/sys/" + strings.ReplaceAll(s.key, ".", "/"))
		forbids := value == "0"
		if s.good == "0" {
			forbids = value == "1" && !m.profile()
		}
		switch {
		case forbids:
			file := "/etc/sysctl.d/90-berth.conf"
			list = append(list, wrong(s.key, fmt.Sprintf("echo %s=%s >>%s && sysctl -p %[3]s", s.key, s.good, file), "%s: %s", value, s.found))
		case value == "":
			list = append(list, ok(s.key, "not of this kernel"))
		default:
			list = append(list, ok(s.key, value))
		}
	}
	return list
}

// noUserNamespace says that the kernel made none, and which settings of the machine forbid it.
func noUserNamespace(m *Machine, err error) error {
	settings := ""
	for _, c := range m.userNamespaces() {
		if c.State == CheckWrong {
			settings += fmt.Sprintf("; %s is %s: root can mend that by `%s`", c.Name, c.Found, c.Mend)
		}
	}
	if settings == "" {
		return proc.NoNamespace("user", err)
	}
	return fmt.Errorf("make user namespace: %w%s", err, settings)
}

// profile tells whether AppArmor has a profile that lets berth make user namespaces.
func (m *Machine) profile() bool {
	files, _ := filepath.Glob(m.path("/etc/apparmor.d/*"))
	for _, f := range files {
		text, _ := os.ReadFile(f)
		if strings.Contains(string(text), "bin/berth") && strings.Contains(string(text), "userns,") {
			return true
		}
	}
	return false
}

func (m *Machine) linger() Check {
	if _, err := os.Stat(m.path("/var/lib/systemd/linger/" + m.User.Name)); err != nil {
		return wrong("linger", "loginctl enable-linger "+m.User.Name,
			"not set: containers are stopped when the user logs out, and not started at boot")
	}
	return ok("linger", "set")
}

// runtimeDir looks for the directory that the user's service manager makes.
func (m *Machine) runtimeDir() Check {
	const name = "XDG_RUNTIME_DIR"
	dir := fmt.Sprintf("/run/user/%d", m.User.Uid)
	st, err := os.Stat(m.path(dir))
	switch {
	case err != nil || !st.IsDir():
		return wrong(name, "loginctl enable-linger "+m.User.Name, "%s is not there: the user's service manager does not run", dir)
	case m.Runtime == "":
		return wrong(name, "export XDG_RUNTIME_DIR="+dir+", or log in by ssh or `machinectl shell "+m.User.Name+"@`",
			"not set here: su and sudo do not start a session")
	case m.Runtime != "-" && filepath.Clean(m.Runtime) != dir:
		return wrong(name, "export XDG_RUNTIME_DIR="+dir, "%s is not the user's: %s is", m.Runtime, dir)
	}
	if _, err := os.Stat(m.path(dir + "/bus")); err != nil {
		return wrong(name, m.install("dbus-user-session", "dbus-daemon"), "%s has no bus: the user's service manager cannot be asked", dir)
	}
	return ok(name, dir)
}

// delegated are the controllers that limits need, and those that only some need.
var (
	delegated     = []string{"cpu", "memory", "pids"}
	delegatedToo  = []string{"cpuset", "io"}
	delegationKey = "delegation"
)

// DelegationFile is the drop-in that hands all controllers to the managers of users, and what it says.
const (
	DelegationFile = "/etc/systemd/system/user@.service.d/berth-delegate.conf"
	DelegationText = "[Service]\nDelegate=cpu cpuset io memory pids\n"
)

// delegation tells which controllers of control groups the user's service manager may use.
func (m *Machine) delegation() Check {
	machine, err := os.ReadFile(m.path("/sys/fs/cgroup/cgroup.controllers"))
	if err != nil {
		return wrong(delegationKey, "boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line", "control groups are not those of version 2")
	}
	there := strings.Fields(string(machine))
	if missing := without(delegated, there); len(missing) > 0 {
		return wrong(delegationKey, "a container's host must hand them on; a kernel may need cgroup_enable=memory on its command line",
			"this machine itself lacks the controllers %s: no limits are kept", strings.Join(missing, " "))
	}
	group := fmt.Sprintf("/sys/fs/cgroup/user.slice/user-%d.slice/user@%[1]d.service", m.User.Uid)
	if _, err := os.Stat(m.path(group)); err != nil {
		return wrong(delegationKey, "loginctl enable-linger "+m.User.Name, "unknown: the user's service manager does not run")
	}
	has := strings.Fields(m.read(group + "/cgroup.controllers"))
	mend := fmt.Sprintf("write \"Delegate=cpu cpuset io memory pids\" below [Service] into %s, then systemctl daemon-reload", DelegationFile)
	if m.read(DelegationFile) == strings.TrimSpace(DelegationText) {
		mend = fmt.Sprintf("systemctl restart user@%d.service, which stops what the user runs, or boot: %s is not in force yet", m.User.Uid, DelegationFile)
	}
	if missing := without(delegated, has); len(missing) > 0 {
		return wrong(delegationKey, mend, "the user's manager has no %s: such limits of containers are not kept", strings.Join(missing, " "))
	}
	if missing := without(delegatedToo, has); len(missing) > 0 && len(without(missing, there)) == 0 {
		c := ok(delegationKey, strings.Join(has, " ")+"; no "+strings.Join(missing, " ")+": limits of these are not kept")
		c.State, c.Mend = CheckNote, mend
		return c
	}
	return ok(delegationKey, strings.Join(has, " "))
}

// LacksDelegation tells whether a drop-in would give the user's manager controllers that it has not, and is not there yet.
func (m *Machine) LacksDelegation() bool {
	c := m.delegation()
	return c.State != CheckOK && strings.HasPrefix(c.Mend, "write ")
}

// without are those of the words that are not among others.
func without(words, others []string) []string {
	var list []string
	for _, w := range words {
		if !slices.Contains(others, w) {
			list = append(list, w)
		}
	}
	return list
}

// unfit are the file systems on which files cannot be given to subordinate IDs, or which overlay does not take.
var unfit = map[string]string{
	"nfs": "the server knows nothing of subordinate IDs", "cifs": "it has no owners", "vfat": "it has no owners",
	"exfat": "it has no owners", "afs": "the server knows nothing of subordinate IDs", "ceph": "overlay does not take it",
	"gpfs": "overlay does not take it", "lustre": "overlay does not take it", "ecryptfs": "overlay does not take it", "9p": "overlay does not take it",
}

// home looks at where the images and containers are.
func (m *Machine) home() Check {
	dir := m.storage()
	p := dir
	for p != "/" {
		if _, err := os.Stat(m.path(p)); err == nil {
			break
		}
		p = filepath.Dir(p)
	}
	if st, err := os.Stat(m.path(m.User.Home)); err != nil || !st.IsDir() {
		return wrong("storage", "mkhomedir_helper "+m.User.Name, "the home %s is not there", m.User.Home)
	}
	kind, err := m.FileSystem(m.path(p))
	if err != nil {
		return wrong("storage", "let "+m.User.Name+" reach it", "%s: %v", p, err)
	}
	if why, bad := unfit[kind]; bad {
		return wrong("storage", fmt.Sprintf("write graphroot = \"/var/lib/containers-%s\" below [storage] into %s, and make that directory for %[1]s",
			m.User.Name, filepath.Join(m.User.Home, storageConf)), "%s is on %s: %s", p, kind, why)
	}
	return ok("storage", dir+", on "+kind)
}

const storageConf = ".config/containers/storage.conf"

// storage is the user's directory of images and containers. Another's configuration is not loaded but looked through for the
// one line: the library would read that of who asks.
func (m *Machine) storage() string {
	dir := filepath.Join(m.User.Home, ".local/share/containers/storage")
	for _, line := range strings.Split(m.read(filepath.Join(m.User.Home, storageConf)), "\n") {
		key, value, found := strings.Cut(line, "=")
		if value = strings.Trim(strings.TrimSpace(value), `"'`); found && strings.TrimSpace(key) == "graphroot" && filepath.IsAbs(value) {
			dir = filepath.Clean(value)
		}
	}
	return dir
}

// overlay: Linux lets users mount it since 5.11.
func (m *Machine) overlay() Check {
	release := m.read("/proc/sys/kernel/osrelease")
	var major, minor int
	fmt.Sscanf(release, "%d.%d", &major, &minor)
	fuse := m.find("fuse-overlayfs")
	switch {
	case major > 5 || major == 5 && minor >= 11:
		return ok("overlay", "Linux "+release+" lets users mount it")
	case fuse == "":
		return wrong("overlay", m.install("fuse-overlayfs", "fuse-overlayfs"), "Linux %s does not let users mount it, and there is no fuse-overlayfs", release)
	}
	if _, err := os.Stat(m.path("/dev/fuse")); err != nil {
		return wrong("overlay", "modprobe fuse", "%s needs /dev/fuse, which is not there", fuse)
	}
	return ok("overlay", "by "+fuse)
}

// tun looks for the device by which pasta makes an interface.
func (m *Machine) tun() Check {
	st, err := os.Stat(m.path("/dev/net/tun"))
	switch {
	case err != nil:
		return wrong("/dev/net/tun", "modprobe tun && echo tun >/etc/modules-load.d/tun.conf", "not there: pasta has no interface to make")
	case st.Mode()&0o006 != 0o006:
		return wrong("/dev/net/tun", "chmod 666 /dev/net/tun", "users may not open it")
	}
	return ok("/dev/net/tun", "there")
}

func (m *Machine) program(name, pkg string) Check {
	if p := m.find(name); p != "" {
		return ok(name, p)
	}
	return wrong(name, m.install(pkg, pkg), "the program is not there")
}

// ports explains which ports a user may publish: nothing is wrong with the kernel's own setting.
func (m *Machine) ports() Check {
	const name = "net.ipv4.ip_unprivileged_port_start"
	value := m.read("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if n, err := strconv.Atoi(value); err != nil || n <= 80 {
		return ok(name, value)
	}
	return Check{
		Name: name, State: CheckNote, Found: "ports below " + value + " cannot be published",
		Mend: "echo " + name + "=80 >>/etc/sysctl.d/90-berth.conf && sysctl -p /etc/sysctl.d/90-berth.conf, if they are to be",
	}
}

// FileSystem names the kind of file system that a path is on, by the numbers of statfs(2).
func FileSystem(path string) (string, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return "", err
	}
	names := map[uint32]string{
		unix.NFS_SUPER_MAGIC: "nfs", 0xff534d42: "cifs", 0xfe534d42: "cifs", unix.MSDOS_SUPER_MAGIC: "vfat", 0x2011bab0: "exfat",
		unix.AFS_FS_MAGIC: "afs", 0x5346414f: "afs", 0x00c36400: "ceph", 0x47504653: "gpfs", 0x0bd00bd0: "lustre", 0xf15f: "ecryptfs",
		unix.V9FS_MAGIC: "9p", unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
		unix.TMPFS_MAGIC: "tmpfs", unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.FUSE_SUPER_MAGIC: "fuse", 0x2fc12fc1: "zfs",
	}
	if name := names[uint32(st.Type)]; name != "" {
		return name, nil
	}
	return fmt.Sprintf("file system %#x", uint32(st.Type)), nil
}
