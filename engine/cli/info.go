package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/config"
	"github.com/berth-pods/berth/engine/format"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/engine/store"
	"github.com/berth-pods/berth/installed"
)

func infoVerb() Verb {
	return Verb{
		Name: "info", Usage: "[OPTION…]", Summary: "show what berth finds on this machine: programs, storage, limits",
		Text:  "What is older than berth needs is named on stderr.",
		Flags: func(set *pflag.FlagSet) { infoFlags(set, new(string)) }, Userns: namespaceNeeded, Run: runInfo,
	}
}

func infoFlags(set *pflag.FlagSet, form *string) {
	set.StringVarP(form, "format", "f", "", "`FORM` of the output: json, or a template such as {{.Store.GraphRoot}}; YAML when it is not given")
	set.BoolP("debug", "D", false, "accepted for Podman's sake")
}

// information has the names of Podman's `info --format json`, and berth's own.
type information struct {
	Host       infoHost          `json:"host"`
	Store      infoStore         `json:"store"`
	Registries map[string]any    `json:"registries"`
	Plugins    infoPlugins       `json:"plugins"`
	Version    versionOf         `json:"version"`
	Berth      map[string]string `json:"berth"`
}

type infoProgram struct {
	Name    string `json:"name,omitempty"`
	Path    string `json:"path"`
	Package string `json:"package"`
	Version string `json:"version"`
}

type infoHelper struct {
	Executable string `json:"executable"`
	Package    string `json:"package"`
	Version    string `json:"version"`
}

type infoHost struct {
	Arch               string       `json:"arch"`
	BuildahVersion     string       `json:"buildahVersion"`
	CgroupControllers  []string     `json:"cgroupControllers"`
	CgroupManager      string       `json:"cgroupManager"`
	CgroupVersion      string       `json:"cgroupVersion"`
	Conmon             infoProgram  `json:"conmon"`
	CPUs               int          `json:"cpus"`
	DatabaseBackend    string       `json:"databaseBackend"`
	Distribution       infoSystem   `json:"distribution"`
	EventLogger        string       `json:"eventLogger"`
	FreeLocks          int          `json:"freeLocks"`
	Hostname           string       `json:"hostname"`
	IDMappings         infoMaps     `json:"idMappings"`
	Kernel             string       `json:"kernel"`
	Linkmode           string       `json:"linkmode"`
	LogDriver          string       `json:"logDriver"`
	MemFree            int64        `json:"memFree"`
	MemTotal           int64        `json:"memTotal"`
	NetworkBackend     string       `json:"networkBackend"`
	NetworkBackendInfo infoNetwork  `json:"networkBackendInfo"`
	OCIRuntime         infoProgram  `json:"ociRuntime"`
	OS                 string       `json:"os"`
	Pasta              infoHelper   `json:"pasta"`
	RemoteSocket       infoSocket   `json:"remoteSocket"`
	RootlessNetworkCmd string       `json:"rootlessNetworkCmd"`
	Security           infoSecurity `json:"security"`
	ServiceIsRemote    bool         `json:"serviceIsRemote"`
	Slirp4netns        infoHelper   `json:"slirp4netns"`
	SwapFree           int64        `json:"swapFree"`
	SwapTotal          int64        `json:"swapTotal"`
	Uptime             string       `json:"uptime"`
	Variant            string       `json:"variant"`
}

type infoSystem struct {
	Codename     string `json:"codename,omitempty"`
	Distribution string `json:"distribution"`
	Version      string `json:"version"`
}

type infoMaps struct {
	GIDMap []infoMap `json:"gidmap"`
	UIDMap []infoMap `json:"uidmap"`
}

type infoMap struct {
	ContainerID int `json:"container_id"`
	HostID      int `json:"host_id"`
	Size        int `json:"size"`
}

type infoNetwork struct {
	Backend string      `json:"backend"`
	DNS     infoProgram `json:"dns"`
	infoProgram
}

type infoSocket struct {
	Exists bool   `json:"exists"`
	Path   string `json:"path"`
}

type infoSecurity struct {
	AppArmor       bool   `json:"apparmorEnabled"`
	Capabilities   string `json:"capabilities"`
	Rootless       bool   `json:"rootless"`
	Seccomp        bool   `json:"seccompEnabled"`
	SeccompProfile string `json:"seccompProfilePath"`
	SELinux        bool   `json:"selinuxEnabled"`
}

type infoStore struct {
	ConfigFile     string            `json:"configFile"`
	ContainerStore infoContainers    `json:"containerStore"`
	Driver         string            `json:"graphDriverName"`
	Options        map[string]string `json:"graphOptions"`
	GraphRoot      string            `json:"graphRoot"`
	Allocated      uint64            `json:"graphRootAllocated"`
	Used           uint64            `json:"graphRootUsed"`
	Status         map[string]string `json:"graphStatus"`
	ImageStore     infoImages        `json:"imageStore"`
	RunRoot        string            `json:"runRoot"`
	Transient      bool              `json:"transientStore"`
	VolumePath     string            `json:"volumePath"`
}

type infoContainers struct {
	Number  int `json:"number"`
	Paused  int `json:"paused"`
	Running int `json:"running"`
	Stopped int `json:"stopped"`
}

type infoImages struct {
	Number int `json:"number"`
}

type infoPlugins struct {
	Authorization []string `json:"authorization"`
	Log           []string `json:"log"`
	Network       []string `json:"network"`
	Volume        []string `json:"volume"`
}

func runInfo(ctx context.Context, env *Env, args []string) error {
	var form string
	set := newFlagSet("info")
	infoFlags(set, &form)
	if err := parseAlone(set, args); err != nil {
		return err
	}
	conf, err := loadConfig()
	if err != nil {
		return err
	}
	i := information{Host: hostInfo(ctx, env, conf), Registries: map[string]any{}, Version: thisVersion()}
	if i.Store, err = storeInfo(); err != nil {
		return err
	}
	for _, line := range tooOld(i.Host, programInfo(ctx, env, "systemctl").Version) {
		fmt.Fprintln(env.Err, "Warning:", line)
	}
	i.Plugins = infoPlugins{Log: spec.LogDrivers(), Network: []string{"bridge", "macvlan", "ipvlan"}, Volume: []string{"local"}}
	i.Berth = map[string]string{"runDir": runDirs().Run, "keeperSocket": keeperSocket(), "libexecDir": installed.LibexecDir}
	i.Berth["keeper"] = "nobody listens for it"
	if exists(i.Berth["keeperSocket"]) { // to connect would start it
		i.Berth["keeper"] = "listens"
	}
	switch form {
	case "json":
		return printJSON(env.Out, i)
	case "":
		return printYAML(env.Out, i)
	}
	if err := checkForm(form); err != nil {
		return err
	}
	return format.Rows(env.Out, form, []information{i})
}

// tooOld names what is older than README.md says that it may be.
func tooOld(h infoHost, systemd string) (list []string) {
	for _, f := range []struct{ said, before, least string }{
		{"Linux " + h.Kernel, "Linux ", "5.14"}, {h.OCIRuntime.Version, "crun version ", "1.21"}, {systemd, "systemd ", "252"},
	} {
		said, known := strings.CutPrefix(f.said, f.before)
		found, wanted := [2]int{}, [2]int{}
		fmt.Sscanf(f.least, "%d.%d", &wanted[0], &wanted[1])
		if n, _ := fmt.Sscanf(said, "%d.%d", &found[0], &found[1]); !known || n == 0 || slices.Compare(found[:], wanted[:]) >= 0 {
			continue
		}
		version := strconv.Itoa(found[0])
		if strings.Contains(f.least, ".") {
			version += "." + strconv.Itoa(found[1])
		}
		list = append(list, fmt.Sprintf("%s %s is older than %s, which berth needs", strings.Fields(f.before)[0], version, f.least))
	}
	return list
}

// programInfo asks a program for its version; one that is not there has none.
func programInfo(ctx context.Context, env *Env, path string) infoProgram {
	p := infoProgram{Path: path}
	if out, err := env.Run(ctx, proc.Command{Path: path, Args: []string{"--version"}}); err == nil {
		p.Version = strings.TrimSpace(string(out))
	}
	return p
}

func hostInfo(ctx context.Context, env *Env, conf config.Config) infoHost {
	h := infoHost{
		Arch: runtime.GOARCH, OS: runtime.GOOS, CgroupManager: "systemd", CgroupVersion: "v2", CPUs: runtime.NumCPU(), EventLogger: "journald", Linkmode: "static",
		LogDriver: spec.LogJournald, NetworkBackend: "netavark", OCIRuntime: programInfo(ctx, env, conf.Runtime()), RootlessNetworkCmd: "pasta",
		Pasta: infoHelper{Executable: conf.Helper("pasta")}, Distribution: distribution("/etc/os-release"), CgroupControllers: []string{},
	}
	h.OCIRuntime.Name = filepath.Base(conf.Runtime())
	h.NetworkBackendInfo = infoNetwork{"netavark", programInfo(ctx, env, conf.Helper("aardvark-dns")), programInfo(ctx, env, conf.Helper("netavark"))}
	if text, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", ownCgroupPath(), "cgroup.controllers")); err == nil {
		h.CgroupControllers = strings.Fields(string(text))
	}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		h.Kernel, h.Hostname = unix.ByteSliceToString(uts.Release[:]), unix.ByteSliceToString(uts.Nodename[:])
	}
	h.memory()
	h.RemoteSocket.Path = "/run/podman/podman.sock"
	if rootlessMode() {
		h.RemoteSocket.Path = filepath.Join(rootless.RuntimeDir(), "podman/podman.sock")
		h.IDMappings = infoMaps{GIDMap: idMap("/proc/self/gid_map"), UIDMap: idMap("/proc/self/uid_map")}
	}
	h.RemoteSocket.Exists = exists(h.RemoteSocket.Path)
	h.Security = infoSecurity{
		AppArmor: conf.AppArmor() != "", Rootless: rootlessMode(), Seccomp: true, SELinux: exists("/sys/fs/selinux/enforce"),
		Capabilities: strings.Join(spec.DefaultCapabilities(), ","),
	}
	return h
}

// memory reads what the machine has (proc_meminfo(5), sysinfo(2)).
func (h *infoHost) memory() {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return
	}
	defer f.Close()
	values := map[string]int64{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) > 1 {
			n, _ := strconv.ParseInt(words[1], 10, 64)
			values[words[0]] = n * 1024
		}
	}
	h.MemTotal, h.MemFree, h.SwapTotal, h.SwapFree = values["MemTotal:"], values["MemFree:"], values["SwapTotal:"], values["SwapFree:"]
	var s unix.Sysinfo_t
	if unix.Sysinfo(&s) == nil {
		up := time.Duration(s.Uptime) * time.Second
		h.Uptime = fmt.Sprintf("%dh %dm %d.00s", int(up.Hours()), int(up.Minutes())%60, int(up.Seconds())%60)
	}
}

// distribution reads os-release(5).
func distribution(path string) (s infoSystem) {
	text, err := os.ReadFile(path)
	if err != nil {
		return s
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"'`)
		switch name {
		case "ID":
			s.Distribution = value
		case "VERSION_ID":
			s.Version = value
		case "VERSION_CODENAME":
			s.Codename = value
		}
	}
	return s
}

// idMap reads a map of a user namespace (user_namespaces(7)).
func idMap(path string) (list []infoMap) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		var m infoMap
		if n, _ := fmt.Sscan(line, &m.ContainerID, &m.HostID, &m.Size); n == 3 {
			list = append(list, m)
		}
	}
	return list
}

func storeInfo() (infoStore, error) {
	p, err := (&store.Store{}).Place()
	if err != nil {
		return infoStore{}, err
	}
	volumes, err := volumes().Root()
	if err != nil {
		return infoStore{}, err
	}
	s := infoStore{
		ConfigFile: storageFile(), Driver: p.Driver, Options: spec.Labels(p.Options), GraphRoot: p.Root, ImageStore: infoImages{p.Images}, RunRoot: p.RunRoot,
		VolumePath: volumes, Status: map[string]string{"Backing Filesystem": backing(p.Root)},
	}
	var fs unix.Statfs_t
	if unix.Statfs(p.Root, &fs) == nil {
		s.Allocated, s.Used = fs.Blocks*uint64(fs.Bsize), (fs.Blocks-fs.Bfree)*uint64(fs.Bsize)
	}
	all, err := runDirs().All()
	for _, c := range all {
		s.ContainerStore.Number++
		switch status(c) {
		case "running":
			s.ContainerStore.Running++
		case "paused":
			s.ContainerStore.Paused++
		default:
			s.ContainerStore.Stopped++
		}
	}
	return s, err
}

// storageFile is the file that says where the store lies (containers-storage.conf(5)); "" when there is none.
func storageFile() string {
	files := []string{os.Getenv("CONTAINERS_STORAGE_CONF"), "/etc/containers/storage.conf", "/usr/share/containers/storage.conf"}
	if rootlessMode() {
		files = []string{os.Getenv("CONTAINERS_STORAGE_CONF"), filepath.Join(first(os.Getenv("XDG_CONFIG_HOME"), os.Getenv("HOME")+"/.config"), "containers/storage.conf")}
	}
	for _, f := range files {
		if f != "" && exists(f) {
			return f
		}
	}
	return ""
}

// backing names the file system below the store, as Podman does (statfs(2)).
func backing(dir string) string {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil {
		return ""
	}
	switch fs.Type {
	case unix.EXT4_SUPER_MAGIC:
		return "extfs"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs"
	}
	return fmt.Sprintf("0x%x", fs.Type)
}

// printYAML writes a value as people read it, with its fields sorted by their names.
func printYAML(w io.Writer, v any) error {
	data, err := marshal(v)
	if err != nil {
		return err
	}
	return format.YAML(w, data)
}
