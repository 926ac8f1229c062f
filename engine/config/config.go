// Package config reads containers.conf(5), of which it knows the keys that the engine honours, and finds the programs and
// files that it names.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"syscall"

	"github.com/BurntSushi/toml"
)

// Config is the part of containers.conf that the engine honours.
type Config struct {
	Containers struct {
		SeccompProfile string `toml:"seccomp_profile"`
		AppArmor       string `toml:"apparmor_profile"`
		Label          *bool  `toml:"label"`
		Env            List   `toml:"env"`

		Annotations   List   `toml:"annotations"`
		BaseHostsFile string `toml:"base_hosts_file"`
		Capabilities  List   `toml:"default_capabilities"`
		CgroupConf    List   `toml:"cgroup_conf"`
		CgroupNS      string `toml:"cgroupns"`
		DNSOptions    List   `toml:"dns_options"`
		DNSSearches   List   `toml:"dns_searches"`
		DNSServers    List   `toml:"dns_servers"`
		Devices       List   `toml:"devices"`
		EnvHost       *bool  `toml:"env_host"`
		HTTPProxy     *bool  `toml:"http_proxy"`
		HostAddress   string `toml:"host_containers_internal_ip"`
		IPCNS         string `toml:"ipcns"`
		Init          *bool  `toml:"init"`
		InitPath      string `toml:"init_path"`
		InterfaceName string `toml:"interface_name"`
		Keyring       *bool  `toml:"keyring"`
		LogDriver     string `toml:"log_driver"`
		LogPath       string `toml:"log_path"`
		LogSizeMax    int64  `toml:"log_size_max"`
		LogTag        string `toml:"log_tag"`
		Mounts        List   `toml:"mounts"`
		NameAsHost    *bool  `toml:"container_name_as_hostname"`
		NetNS         string `toml:"netns"`
		NoHosts       *bool  `toml:"no_hosts"`
		OOMScoreAdj   *int   `toml:"oom_score_adj"`
		PIDNS         string `toml:"pidns"`
		PidsLimit     int64  `toml:"pids_limit"`
		Privileged    *bool  `toml:"privileged"`
		ReadOnly      *bool  `toml:"read_only"`
		ShmSize       string `toml:"shm_size"`
		Sysctls       List   `toml:"default_sysctls"`
		Timezone      string `toml:"tz"`
		UTSNS         string `toml:"utsns"`
		Ulimits       List   `toml:"default_ulimits"`
		Umask         string `toml:"umask"`
		UserNS        string `toml:"userns"`
		Volumes       List   `toml:"volumes"`
	} `toml:"containers"`
	Engine struct {
		Runtime           string              `toml:"runtime"`
		Runtimes          map[string][]string `toml:"runtimes"`
		HelperBinariesDir List                `toml:"helper_binaries_dir"`
		HooksDir          List                `toml:"hooks_dir"`
		CDISpecDirs       List                `toml:"cdi_spec_dirs"`
		AddCompression    List                `toml:"add_compression"`
		CompressionFormat string              `toml:"compression_format"`
		CompressionLevel  *uint               `toml:"compression_level"`
		DetachKeys        *string             `toml:"detach_keys"`
		Env               List                `toml:"env"`
		EventsLogger      string              `toml:"events_logger"`
		ImageVolumeMode   string              `toml:"image_volume_mode"`
		ManyInArchive     *bool               `toml:"multi_image_archive"`
		NoPivot           bool                `toml:"no_pivot_root"`
		PodExitPolicy     string              `toml:"pod_exit_policy"`
		PullPolicy        string              `toml:"pull_policy"`
		Retry             *uint               `toml:"retry"`
		RetryDelay        string              `toml:"retry_delay"`
		StopTimeout       *int64              `toml:"stop_timeout"`
		VolumePath        string              `toml:"volume_path"`
	} `toml:"engine"`
	Secrets struct {
		Driver string            `toml:"driver"`
		Opts   map[string]string `toml:"opts"`
	} `toml:"secrets"`
	Network struct {
		NetworkConfigDir string `toml:"network_config_dir"`
		FirewallDriver   string `toml:"firewall_driver"`
		DefaultNetwork   string `toml:"default_network"`
		DefaultSubnet    string `toml:"default_subnet"`
		Pools            []Pool `toml:"default_subnet_pools"`

		DNSPort         uint16 `toml:"dns_bind_port"`
		PastaOptions    List   `toml:"pasta_options"`
		RootlessProgram string `toml:"default_rootless_network_cmd"`
	} `toml:"network"`
}

// List is a list that one more file may add to, with {append=true} as one of its words, and else replaces.
type List []string

// UnmarshalTOML reads a list.
func (l *List) UnmarshalTOML(v any) error {
	items, ok := v.([]any)
	if !ok {
		return errors.New("a list is wanted")
	}
	list := List{}
	for _, item := range items {
		switch item := item.(type) {
		case string:
			list = append(list, item)
		case map[string]any:
			if on, _ := item["append"].(bool); on {
				list = append(slices.Clone(*l), list...)
			}
		default:
			return fmt.Errorf("%v in a list is no text", item)
		}
	}
	*l = list
	return nil
}

// Pool is where new networks get their subnets from.
type Pool struct {
	Base string `toml:"base"`
	Size int    `toml:"size"` // bits of each subnet
}

// Load reads the files in their order, later ones overriding: the distribution's, the administrator's and, for a user,
// the user's own, each with its drop-in directory. A missing file is no error. $CONTAINERS_CONF replaces all of them.
//
// Then come the modules, the file that $CONTAINERS_CONF_OVERRIDE names, and the other settings.
//
// Beside an error stands what all the rest says: who takes away goes on with that.
func Load(home string, rootless bool, s Settings) (Config, error) {
	c, err := load(home, rootless)
	errs := []error{err}
	for _, name := range s.Modules {
		path, err := module(name, home, rootless)
		if err == nil {
			err = c.readTrusted(path, rootless)
		}
		errs = append(errs, err)
	}
	if last := os.Getenv("CONTAINERS_CONF_OVERRIDE"); last != "" {
		errs = append(errs, c.read(last))
	}
	if s.Runtime != "" {
		c.Engine.Runtime = s.Runtime
	}
	if len(s.HooksDirs) > 0 {
		c.Engine.HooksDir = s.HooksDirs
	}
	if len(s.CDISpecDirs) > 0 {
		c.Engine.CDISpecDirs = s.CDISpecDirs
	}
	if s.NetworkConfigDir != "" {
		c.Network.NetworkConfigDir = s.NetworkConfigDir
	}
	if s.VolumePath != "" {
		c.Engine.VolumePath = s.VolumePath
	}
	errs = append(errs, c.check())
	return c, errors.Join(errs...)
}

// check refuses values that are none of those which containers.conf(5) lists, and takes them out.
func (c *Config) check() error {
	var errs []error
	refuse := func(name string, value *string, why string) {
		errs = append(errs, fmt.Errorf("containers.conf: %s=%q%s", name, *value, why))
		*value = ""
	}
	for _, k := range []struct {
		name  string
		value *string
		known []string
	}{
		{"events_logger", &c.Engine.EventsLogger, []string{"journald", "file", "none"}},
		{"default_rootless_network_cmd", &c.Network.RootlessProgram, []string{"pasta", "slirp4netns"}},
		{"pod_exit_policy", &c.Engine.PodExitPolicy, []string{"continue", "stop"}},
		{"interface_name", &c.Containers.InterfaceName, []string{"device"}},
	} {
		if *k.value != "" && !slices.Contains(k.known, *k.value) {
			refuse(k.name, k.value, ": known are "+strings.Join(k.known, ", "))
		}
	}
	for _, k := range []struct {
		name  string
		value *string
	}{{"log_path", &c.Containers.LogPath}, {"volume_path", &c.Engine.VolumePath}} {
		if *k.value != "" && !filepath.IsAbs(*k.value) {
			refuse(k.name, k.value, ": the path must be absolute")
		}
	}
	if ip := &c.Containers.HostAddress; *ip != "" && *ip != "none" {
		if _, err := netip.ParseAddr(*ip); err != nil {
			refuse("host_containers_internal_ip", ip, " is neither an IP address nor none")
		}
	}
	return errors.Join(errs...)
}

// Settings are what a command line says about the configuration.
type Settings struct {
	Modules                []string // names or absolute paths of further files
	Runtime                string
	HooksDirs, CDISpecDirs []string
	NetworkConfigDir       string
	VolumePath             string
}

// module finds a module: a user's own, the administrator's, the distribution's (containers.conf(5), MODULES).
func module(name, home string, rootless bool) (string, error) {
	if filepath.IsAbs(name) {
		if _, err := os.Stat(name); err != nil {
			return "", fmt.Errorf("module %q: the host has no such file", name)
		}
		return name, nil
	}
	places := []string{"/etc/containers", "/usr/share/containers"}
	if rootless && home != "" {
		places = append([]string{filepath.Join(configHome(home), "containers")}, places...)
	}
	for i, place := range places {
		places[i] = filepath.Join(place, "containers.conf.modules")
		path := filepath.Join(places[i], name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("module %q: none of %s has it", name, strings.Join(places, ", "))
}

// configHome is where a user's programs look for their settings (XDG Base Directory Specification).
func configHome(home string) string {
	if dir := os.Getenv("XDG_CONFIG_HOME"); dir != "" {
		return dir
	}
	return filepath.Join(home, ".config")
}

func load(home string, rootless bool) (Config, error) {
	var c Config
	if own := os.Getenv("CONTAINERS_CONF"); own != "" {
		return c, c.read(own)
	}
	bases := []string{"/usr/share/containers/containers.conf", "/etc/containers/containers.conf"}
	if rootless && home != "" {
		bases = append(bases, filepath.Join(configHome(home), "containers/containers.conf"))
	}
	var errs []error
	for _, base := range bases {
		dropins, _ := filepath.Glob(base + ".d/*.conf")
		sort.Strings(dropins)
		for _, path := range append([]string{base}, dropins...) {
			errs = append(errs, c.readTrusted(path, rootless))
		}
	}
	return c, errors.Join(errs...)
}

// checkOwner refuses a file that others than root may write to: it names programs that are run as root. Who may write to its directory
// can put no other one there that root owns.
func checkOwner(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil // what cannot be read is passed over
	}
	const nobody = 65534 // whom root's files belong to where the machine is itself in a user namespace (user_namespaces(7), overflowuid)
	st := info.Sys().(*syscall.Stat_t)
	mode := info.Mode().Perm()
	if st.Uid != 0 && st.Uid != nobody || mode&0o002 != 0 || mode&0o020 != 0 && st.Gid != 0 && st.Gid != nobody {
		return fmt.Errorf("%s can be written to by others: what is in it is not trusted; make it root's, with mode 0644", path)
	}
	return nil
}

// readTrusted reads a file that is found by its place or by its name. The two that variables name are the caller's own word.
func (c *Config) readTrusted(path string, rootless bool) error {
	if !rootless {
		if err := checkOwner(path); err != nil {
			return err
		}
	}
	return c.read(path)
}

func (c *Config) read(path string) error {
	text, err := os.ReadFile(path)
	if err == nil {
		if _, err = toml.Decode(uncommented(string(text)), c); err != nil {
			_, err = toml.Decode(string(text), c) // again, for the number of the line
		}
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	var syntax toml.ParseError
	if errors.As(err, &syntax) {
		return fmt.Errorf("%s:%d: %s", path, syntax.Position.Line, syntax.Message)
	}
	if err != nil {
		return fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "toml: "))
	}
	return nil
}

// uncommented leaves out empty lines and those that are comments, of which distributions' files have hundreds: the decoder takes
// milliseconds for them. In strings of several lines they are none.
func uncommented(text string) string {
	if strings.Contains(text, `"""`) || strings.Contains(text, `'''`) {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if rest := strings.TrimSpace(line); rest != "" && rest[0] != '#' {
			b.WriteString(line)
		}
	}
	return b.String()
}

// SetEnvironment gives this process, and those that it starts, the variables that env= of [engine] says.
func (c Config) SetEnvironment() error {
	for _, e := range c.Engine.Env {
		name, value, ok := strings.Cut(e, "=")
		if !ok || name == "" {
			return fmt.Errorf("containers.conf: env=%q of [engine] is not NAME=VALUE", e)
		}
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("containers.conf: env=%q of [engine]: %w", e, err)
		}
	}
	return nil
}

// helperDirs are where distributions put the programs that are not for people.
var helperDirs = []string{"/usr/local/libexec/podman", "/usr/local/lib/podman", "/usr/libexec/podman", "/usr/lib/podman"}

// Helper finds a helper program such as netavark. When there is none it returns the usual place, for the error message.
func (c Config) Helper(name string) string {
	for _, dir := range append(append([]string{}, c.Engine.HelperBinariesDir...), helperDirs...) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return filepath.Join("/usr/lib/podman", name)
}

// Runtime is the path of the OCI runtime: what runtime= says, else crun, else runc.
func (c Config) Runtime() string {
	name := c.Engine.Runtime
	if strings.Contains(name, "/") {
		return name
	}
	names := []string{"crun", "runc"}
	if name != "" {
		names = []string{name}
	}
	for _, n := range names {
		for _, path := range c.Engine.Runtimes[n] {
			if _, err := os.Stat(path); err == nil {
				return path
			}
		}
		if path, err := exec.LookPath(n); err == nil {
			return path
		}
	}
	return filepath.Join("/usr/bin", names[0])
}

// NetworkDirs are the directories with network definitions, the first for writing.
func (c Config) NetworkDirs(graphRoot string, rootless bool) []string {
	switch {
	case c.Network.NetworkConfigDir != "":
		return []string{c.Network.NetworkConfigDir}
	case rootless:
		return []string{filepath.Join(graphRoot, "networks")}
	}
	return []string{"/etc/containers/networks", "/run/containers/networks", "/usr/share/containers/networks"}
}

// HookDirs are the directories of OCI hooks, the later ones counting more.
func (c Config) HookDirs() []string {
	if len(c.Engine.HooksDir) > 0 {
		return c.Engine.HooksDir
	}
	return []string{"/usr/share/containers/oci/hooks.d", "/etc/containers/oci/hooks.d"}
}

// CDIDirs are the directories that describe devices, the later ones counting more.
func (c Config) CDIDirs() []string {
	if len(c.Engine.CDISpecDirs) > 0 {
		return c.Engine.CDISpecDirs
	}
	return []string{"/etc/cdi", "/var/run/cdi"}
}

// Keyring reports whether each container gets a session keyring of its own.
func (c Config) Keyring() bool { return c.Containers.Keyring == nil || *c.Containers.Keyring }

// Labels reports whether containers get labels of their own on a machine with SELinux.
func (c Config) Labels() bool { return c.Containers.Label == nil || *c.Containers.Label }

// AppArmor is the profile that containers get: what apparmor_profile= says, else berth's own, or else the one that Podman has
// loaded, if AppArmor is there and the kernel lets us read the list.
func (c Config) AppArmor() string {
	if enabled, err := os.ReadFile("/sys/module/apparmor/parameters/enabled"); err != nil || strings.TrimSpace(string(enabled)) != "Y" {
		return ""
	}
	if c.Containers.AppArmor != "" {
		return c.Containers.AppArmor
	}
	loaded, err := os.ReadFile("/sys/kernel/security/apparmor/profiles")
	if err != nil {
		return ""
	}
	return defaultProfile(string(loaded))
}

// ownProfile is what the file apparmor/berth-default has.
const ownProfile = "berth-default"

// defaultProfile picks one of the loaded profiles, each with its mode.
func defaultProfile(loaded string) string {
	found := ""
	for line := range strings.Lines(loaded) {
		name, mode, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch {
		case mode != "(enforce)":
		case name == ownProfile:
			return ownProfile
		case strings.HasPrefix(name, "containers-default-"):
			found = max(found, name)
		}
	}
	return found
}

// seccompFiles are the places of the default profile, the first that is there is taken.
var seccompFiles = []string{"/etc/containers/seccomp.json", "/usr/share/containers/seccomp.json"}

// Seccomp reads the seccomp profile at path, or the default one for "". Nil with no error: the host has no profile.
func (c Config) Seccomp(path string) ([]byte, error) {
	if path == "" {
		path = c.Containers.SeccompProfile
	}
	if path == "unconfined" {
		return nil, nil
	}
	if path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("seccomp profile: %w", err)
		}
		return data, nil
	}
	for _, p := range seccompFiles {
		data, err := os.ReadFile(p)
		if !errors.Is(err, fs.ErrNotExist) {
			return data, err
		}
	}
	return nil, nil
}
