package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// ProcessFlags are the flags about the container's program, beyond those that a unit file usually has.
type ProcessFlags struct {
	EnvMerge    []string      `json:"envMerge,omitempty"` // NAME=TEMPLATE
	UnsetEnv    []string      `json:"unsetEnv,omitempty"`
	UnsetEnvAll bool          `json:"unsetEnvAll,omitempty"`
	LabelFiles  []string      `json:"labelFiles,omitempty"`
	InitPath    string        `json:"initPath,omitempty"`
	Interactive bool          `json:"interactive,omitempty"`
	Personality string        `json:"personality,omitempty"`
	PreserveFD  []string      `json:"-"` // files of one process are nothing to another
	PreserveFDs string        `json:"-"`
	SigProxy    bool          `json:"sigProxy,omitempty"`
	TTY         bool          `json:"tty,omitempty"`
	Attach      []string      `json:"-"` // stdin, stdout, stderr; nil: all that there is
	DetachKeys  *string       `json:"-"`
	Timeout     time.Duration `json:"timeout,omitempty"`
}

// Attached tells whether a container in the foreground is connected with a stream: stdin, stdout or stderr.
func (f ProcessFlags) Attached(stream string) bool {
	return len(f.Attach) == 0 || slices.Contains(f.Attach, stream)
}

// DefaultPath is PATH in a container whose image sets none.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Args are the words of the container's PID 1.
func Args(c Container, image ImageConfig) ([]string, error) {
	entrypoint, err := Entrypoint(c, image)
	if err != nil {
		return nil, err
	}
	args := slices.Concat(entrypoint, Command(c, image))
	if len(args) == 0 {
		return nil, errors.New("nothing to run: the image has no command; give one after the image (Exec= in a unit file)")
	}
	if c.Init {
		args = append([]string{InitPlace, "--"}, args...)
	}
	return args, nil
}

// Entrypoint are the words before the command: the container's own, or else the image's.
func Entrypoint(c Container, image ImageConfig) ([]string, error) {
	if c.Entrypoint == nil {
		return image.Entrypoint, nil
	}
	return entrypointWords(*c.Entrypoint)
}

// Command are the words after the entry point. An entry point given on the command line drops the image's Cmd too.
func Command(c Container, image ImageConfig) []string {
	if len(c.Command) > 0 || c.Entrypoint != nil {
		return c.Command
	}
	return image.Cmd
}

// InitPlace is where the host's init program is shown in a container that wants one.
const InitPlace = "/run/podman-init"

func entrypointWords(s string) ([]string, error) {
	switch {
	case s == "":
		return nil, nil
	case strings.HasPrefix(s, "["):
		var words []string
		if err := json.Unmarshal([]byte(s), &words); err != nil {
			return nil, fmt.Errorf("entry point %q begins like a JSON array of strings, but is none: %w", s, err)
		}
		return words, nil
	}
	return []string{s}, nil
}

// ProxyVariables tell programs how to reach the world.
var ProxyVariables = []string{"http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY"}

// Environment is the container's environment: defaults, the caller's where asked for, then the image's, then what was
// set, sorted by name. A variable of the image without a value is dropped: it must never take one from the host.
func Environment(in Input) ([]string, error) {
	env := imageEnvironment(in)
	for _, e := range in.Container.EnvMerge {
		name, template, ok := strings.Cut(e, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("merged variable %q is not NAME=VALUE", e)
		}
		env[name] = os.Expand(template, func(n string) string { return env[n] })
	}
	for _, e := range in.Container.Environment {
		if err := setVariable(env, e, in.Host.Environment); err != nil {
			return nil, err
		}
	}
	if in.Host.NotifyPath != "" {
		env["NOTIFY_SOCKET"] = in.Host.NotifyPath
	}
	if in.Host.ListenFDs > 0 {
		env["LISTEN_FDS"] = strconv.Itoa(in.Host.ListenFDs)
		env["LISTEN_PID"] = "1"
		if names, ok := in.Host.Environment["LISTEN_FDNAMES"]; ok {
			env["LISTEN_FDNAMES"] = names
		}
	}
	return sortedEnvironment(env), nil
}

// imageEnvironment are the defaults, the caller's variables and the image's, which win, without those that are not wanted.
func imageEnvironment(in Input) map[string]string {
	env := map[string]string{}
	if in.Container.UnsetEnvAll {
		return env
	}
	env["PATH"], env["container"] = DefaultPath, "berth"
	if in.Process.Home != "" {
		env["HOME"] = in.Process.Home
	}
	env["HOSTNAME"] = HostName(in.ID, in.Container)
	if in.Container.TTY {
		env["TERM"] = terminalType(in.Host.Environment)
	}
	if in.Systemd {
		env["container_uuid"] = in.ID[:min(32, len(in.ID))]
	}
	if in.Container.EnvHost {
		for name, value := range in.Host.Environment {
			if !OwnVariable(name) {
				env[name] = value
			}
		}
	}
	if in.Container.HTTPProxy {
		for _, name := range ProxyVariables {
			if value, ok := in.Host.Environment[name]; ok {
				env[name] = value
			}
		}
	}
	for _, e := range slices.Concat(in.Container.DefaultEnvironment, in.Image.Env) {
		if name, value, ok := strings.Cut(e, "="); ok && name != "" {
			env[name] = value
		}
	}
	for _, name := range in.Container.UnsetEnv {
		delete(env, name)
	}
	return env
}

// OwnVariable reports whether the variable is between berth and who called it, and would mislead the container.
func OwnVariable(name string) bool {
	return name == "NOTIFY_SOCKET" || strings.HasPrefix(name, "BERTH_") || strings.HasPrefix(name, "LISTEN_") || strings.HasPrefix(name, "_CONTAINERS_")
}

// setVariable adds NAME=VALUE; NAME alone or PREFIX* copies from host.
func setVariable(env map[string]string, e string, host map[string]string) error {
	name, value, ok := strings.Cut(e, "=")
	if name == "" {
		return fmt.Errorf("environment %q has no name before the =", e)
	}
	if strings.ContainsRune(e, 0) {
		return fmt.Errorf("environment variable %s contains a NUL byte", name)
	}
	switch {
	case ok:
		env[name] = value
	case strings.HasSuffix(name, "*"):
		for n, v := range host {
			if strings.HasPrefix(n, strings.TrimSuffix(name, "*")) && !OwnVariable(n) {
				env[n] = v
			}
		}
	default:
		if v, ok := host[name]; ok {
			env[name] = v
		}
	}
	return nil
}

func sortedEnvironment(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	sort.Strings(list)
	return list
}

// ParseLabelFile reads lines NAME[=VALUE]; empty lines and those that begin with # are passed over.
func ParseLabelFile(text string) []string {
	var list []string
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			list = append(list, line)
		}
	}
	return list
}

// ParseEnvFile reads lines NAME=VALUE, NAME or PREFIX*; empty lines and those that begin with # are passed over. Values
// are taken as they stand, quotes included, as Docker and Podman do.
func ParseEnvFile(path, text string) ([]string, error) {
	var list []string
	for i, line := range strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n") {
		line = strings.TrimLeft(strings.TrimSuffix(line, "\r"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		name, _, _ := strings.Cut(line, "=")
		if name == "" || strings.ContainsAny(name, " \t") {
			return nil, fmt.Errorf("%s:%d: %q is not NAME=VALUE", path, i+1, line)
		}
		list = append(list, line)
	}
	return list, nil
}

// keepGroups is the word of --group-add that hands the caller's own groups on.
const keepGroups = "keep-groups"

// KeepGroups reports whether the container's program has the groups of the caller.
func (c Container) KeepGroups() bool { return slices.Contains(c.Groups, keepGroups) }

// FileNumbers are the numbers of the open files that are handed on, sorted.
func FileNumbers(f ProcessFlags) ([]int, error) {
	var list []int
	if f.PreserveFDs != "" {
		n, err := strconv.Atoi(f.PreserveFDs)
		if err != nil || n < 0 || n > 1024 {
			return nil, fmt.Errorf("--preserve-fds=%s is no number of open files", f.PreserveFDs)
		}
		for i := range n {
			list = append(list, 3+i)
		}
	}
	for _, words := range f.PreserveFD {
		for _, word := range strings.Split(words, ",") {
			n, err := strconv.Atoi(word)
			if err != nil || n < 3 || n > 1024 {
				return nil, fmt.Errorf("--preserve-fd=%s is no number of an open file from 3 on", words)
			}
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

func personality(c Container) (*specs.LinuxPersonality, error) {
	switch domain := specs.LinuxPersonalityDomain(strings.ToUpper(c.Personality)); domain {
	case "":
		return nil, nil
	case specs.PerLinux, specs.PerLinux32:
		return &specs.LinuxPersonality{Domain: domain}, nil
	}
	return nil, fmt.Errorf("personality %q is neither LINUX nor LINUX32", c.Personality)
}

func parseUmask(s string) (uint32, error) {
	if s == "" {
		s = "0022"
	}
	v, err := strconv.ParseUint(s, 8, 32)
	if err != nil || v > 0o777 {
		return 0, fmt.Errorf("umask %q is not an octal number from 0000 to 0777", s)
	}
	return uint32(v), nil
}

// rlimits are the resource limits asked for. Without any, the container inherits those of its unit, which systemd shows
// as LimitNOFILE= and so on. Of several for one resource the last counts, as with Podman; "host" takes back all before it.
func rlimits(c Container) ([]specs.POSIXRlimit, error) {
	kinds := map[string]specs.POSIXRlimit{}
	for _, u := range c.Ulimits {
		if u == "host" {
			clear(kinds)
			continue
		}
		limit, err := parseUlimit(u)
		if err != nil {
			return nil, err
		}
		kinds[limit.Type] = limit
	}
	var list []specs.POSIXRlimit
	for _, limit := range kinds {
		list = append(list, limit)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Type < list[j].Type })
	return list, nil
}

// ulimitNames are the names of getrlimit(2) that a runtime knows.
var ulimitNames = map[string]bool{
	"as": true, "core": true, "cpu": true, "data": true, "fsize": true, "locks": true, "memlock": true, "msgqueue": true,
	"nice": true, "nofile": true, "nproc": true, "rss": true, "rtprio": true, "rttime": true, "sigpending": true, "stack": true,
}

func parseUlimit(s string) (specs.POSIXRlimit, error) {
	name, value, ok := strings.Cut(s, "=")
	name = strings.TrimPrefix(strings.ToLower(name), "rlimit_")
	if !ok || !ulimitNames[name] {
		return specs.POSIXRlimit{}, fmt.Errorf("ulimit %q is not NAME=SOFT[:HARD] with a name of getrlimit(2), such as nofile=1024:4096", s)
	}
	softText, hardText, ok := strings.Cut(value, ":")
	if !ok {
		hardText = softText
	}
	soft, err1 := parseLimit(softText)
	hard, err2 := parseLimit(hardText)
	if err1 != nil || err2 != nil || soft > hard {
		return specs.POSIXRlimit{}, fmt.Errorf("ulimit %q: SOFT[:HARD] are numbers, -1 for no limit, SOFT at most HARD", s)
	}
	return specs.POSIXRlimit{Type: "RLIMIT_" + strings.ToUpper(name), Soft: soft, Hard: hard}, nil
}

func parseLimit(s string) (uint64, error) {
	if s == "-1" || s == "unlimited" {
		return ^uint64(0), nil
	}
	return strconv.ParseUint(s, 10, 63)
}

// ipcSysctls, net.* and fs.mqueue.* belong to a namespace of the container; all others would change
// the host (namespaces(7)).
var ipcSysctls = []string{"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"}

func sysctls(c Container, netHost bool) (map[string]string, error) {
	m := map[string]string{}
	if !netHost {
		m["net.ipv4.ping_group_range"] = "0 0" // ping(8) works without a capability
	}
	for _, s := range c.Sysctls {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return nil, fmt.Errorf("sysctl %q is not NAME=VALUE", s)
		}
		switch {
		case strings.HasPrefix(name, "net."):
			if netHost {
				return nil, fmt.Errorf("sysctl %s cannot be set with the host's network: it would change the host", name)
			}
		case strings.HasPrefix(name, "fs.mqueue."), slices.Contains(ipcSysctls, name):
		default:
			return nil, fmt.Errorf("sysctl %s belongs to no namespace of a container: it would change the host; set it in /etc/sysctl.d", name)
		}
		m[name] = value
	}
	return m, nil
}
