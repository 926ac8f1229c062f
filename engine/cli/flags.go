package cli

import (
	"fmt"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/spec"
)

// runFlag is a row of the flag table of run: a flag, the field of the container that it fills, and its text. Help, man
// page and completion come from here.
type runFlag struct {
	name, short string
	arg         string // what the value is, as the help shows it; "" for a switch
	doc         string
	bind        func(c *spec.Container) pflag.Value
}

// runFlags is the flag table of run and create. Flags that belong together have a file of their own.
var runFlags = flagTable(commonFlags, podRunFlags, limitFlags, namespaceFlags, systemdFlags, securityFlags, processFlags, pullFlags, healthFlags)

var commonFlags = []runFlag{
	{"add-host", "", "NAME:IP", "add a line to /etc/hosts; IP may be host-gateway", list(func(c *spec.Container) *[]string { return &c.AddHosts })},
	{"annotation", "", "NAME=VALUE", "add an annotation to the OCI configuration", list(func(c *spec.Container) *[]string { return &c.Annotations })},
	{"cap-add", "", "CAPABILITY", "add a capability, or ALL", list(func(c *spec.Container) *[]string { return &c.CapAdd })},
	{"cap-drop", "", "CAPABILITY", "drop a capability, or ALL", list(func(c *spec.Container) *[]string { return &c.CapDrop })},
	{"cgroups", "", "MODE", "split: a cgroup below the caller's own; enabled; disabled", text(func(c *spec.Container) *string { return &c.Cgroups })},
	{"cidfile", "", "FILE", "write the container's ID to a file, which goes with the container", callersFile(func(c *spec.Container) *string { return &c.CIDFile })},
	{"detach", "d", "", "leave the container running and end", toggle(func(c *spec.Container) *bool { return &c.Detach })},
	{"device", "", "HOST[:PATH][:rwm]", "give a device of the host", list(func(c *spec.Container) *[]string { return &c.Devices })},
	{"dns", "", "IP", "use this name server", list(func(c *spec.Container) *[]string { return &c.DNS })},
	{"dns-option", "", "OPTION", "set an option of resolv.conf(5)", list(func(c *spec.Container) *[]string { return &c.DNSOptions })},
	{"dns-search", "", "DOMAIN", "set a search domain; . for none", list(func(c *spec.Container) *[]string { return &c.DNSSearch })},
	{"entrypoint", "", "COMMAND", "replace the image's entry point: a program, a JSON array of words, or nothing", optional(func(c *spec.Container) **string { return &c.Entrypoint })},
	{"env", "e", "NAME[=VALUE]", "set a variable, or copy it from the caller", list(func(c *spec.Container) *[]string { return &c.Environment })},
	{"env-file", "", "FILE", "read variables from a file", callersFiles(func(c *spec.Container) *[]string { return &c.EnvFiles }, "-")},
	{"env-host", "", "", "copy all variables of the caller", toggle(func(c *spec.Container) *bool { return &c.EnvHost })},
	{"expose", "", "PORT", "note a port that the container listens on", list(func(c *spec.Container) *[]string { return &c.Expose })},
	{"gidmap", "", "[+ug]CONTAINER:[@]HOST[:COUNT]", "map groups, as --uidmap does users", list(func(c *spec.Container) *[]string { return &c.GIDMaps })},
	{"group-add", "", "GROUP", "add a supplementary group", list(func(c *spec.Container) *[]string { return &c.Groups })},
	{"hostname", "h", "NAME", "set the host name", text(func(c *spec.Container) *string { return &c.HostName })},
	{"hosts-file", "", "FILE", "what /etc/hosts begins with: a file of the host's (default /etc/hosts), image for the image's own, or none", callersFile(func(c *spec.Container) *string { return &c.HostsBase }, "image", "none")},
	{"http-proxy", "", "", "copy the caller's proxy variables", toggle(func(c *spec.Container) *bool { return &c.HTTPProxy })},
	{"image-volume", "", "MODE", "what volumes of the image become: anonymous, tmpfs or ignore", text(func(c *spec.Container) *string { return &c.ImageVolume })},
	{"init", "", "", "run an init as PID 1, which reaps and hands signals on", toggle(func(c *spec.Container) *bool { return &c.Init })},
	{"ip", "", "ADDRESS", "use this IPv4 address of the network", text(func(c *spec.Container) *string { return &c.IP })},
	{"ip6", "", "ADDRESS", "use this IPv6 address of the network", text(func(c *spec.Container) *string { return &c.IP6 })},
	{"label", "l", "NAME=VALUE", "add a label", list(func(c *spec.Container) *[]string { return &c.Labels })},
	{"log-driver", "", "DRIVER", "where the output goes: journald, k8s-file (json-file), passthrough or none", text(func(c *spec.Container) *string { return &c.LogDriver })},
	{"log-opt", "", "NAME=VALUE", "set an option of the log driver: path, max-size, tag or label", options(func(c *spec.Container) *[]string { return &c.LogOpts }, "path")},
	{"mac-address", "", "ADDRESS", "use this hardware address on the network", text(func(c *spec.Container) *string { return &c.MAC })},
	{"mount", "", "type=TYPE,…", "mount a volume, a path of the host (bind), all that a pattern matches (glob), an image, a tmpfs, ramfs or devpts; the keys are source, target, readonly and the options of --volume", func(c *spec.Container) pflag.Value { return mountValue{c} }},
	{"name", "", "NAME", "name the container", text(func(c *spec.Container) *string { return &c.Name })},
	{"network", "", "MODE", "none, host, private, bridge, the name of a network with options as NAME:ip=,ip6=,mac=,alias=,interface_name=,host_interface_name=, pasta[:OPTIONS], container:NAME, or ns:PATH; several networks are named one by one", list(func(c *spec.Container) *[]string { return &c.Networks })},
	{"network-alias", "", "NAME", "add a name on the networks", list(func(c *spec.Container) *[]string { return &c.Aliases })},
	{"no-hosts", "", "", "leave the image's /etc/hosts alone", toggle(func(c *spec.Container) *bool { return &c.NoHosts })},
	{"oom-score-adj", "", "N", "adjust the out-of-memory score, from -1000 to 1000; a user's is not below the user's own", optionalInt(func(c *spec.Container) **int { return &c.OOMScoreAdj })},
	{"pidfile", "", "FILE", "write the PID of the container's PID 1 to a file", callersFile(func(c *spec.Container) *string { return &c.PIDFile })},
	{"privileged", "", "", "give all capabilities and hide nothing", toggle(func(c *spec.Container) *bool { return &c.Privileged })},
	{"publish", "p", "[[IP:]HOST:]PORT[/PROTOCOL]", "forward a port of the host", list(func(c *spec.Container) *[]string { return &c.Publish })},
	{"publish-all", "P", "", "forward free ports of the host to all that the image and --expose name", toggle(func(c *spec.Container) *bool { return &c.PublishAll })},
	{"pull", "", "POLICY", "fetch the image: always, missing, newer or never", text(func(c *spec.Container) *string { return &c.Pull })},
	{"read-only", "", "", "make the root file system read-only", toggle(func(c *spec.Container) *bool { return &c.ReadOnly })},
	{"read-only-tmpfs", "", "", "with --read-only: a tmpfs on /run, /tmp and /var/tmp", toggle(func(c *spec.Container) *bool { return &c.ReadOnlyTmpfs })},
	{"replace", "", "", "remove a container of the same name first", toggle(func(c *spec.Container) *bool { return &c.Replace })},
	{"requires", "", "CONTAINER[,…]", "start these containers first, if they do not run", list(func(c *spec.Container) *[]string { return &c.Requires })},
	{"restart", "", "POLICY", "when systemd starts the container again: no, always, unless-stopped, on-failure, on-failure:N", text(func(c *spec.Container) *string { return &c.Restart })},
	{"retry", "", "N", "how often a failed pull is tried again", text(func(c *spec.Container) *string { return &c.Retry })},
	{"retry-delay", "", "TIME", "pause between tries of a pull", text(func(c *spec.Container) *string { return &c.RetryDelay })},
	{"rm", "", "", "remove the container when it has ended", toggle(func(c *spec.Container) *bool { return &c.Remove })},
	{"rootfs", "", "", "IMAGE is the path of a root file system", toggle(func(c *spec.Container) *bool { return &c.Rootfs })},
	{"sdnotify", "", "WHO", "who tells systemd READY=1: conmon (berth, when the program has started), container, ignore", text(func(c *spec.Container) *string { return &c.SDNotify })},
	{"secret", "", "NAME[,KEY=VALUE…]", "give a secret, or a credential of the unit: type=mount (a file) or env, target, uid, gid, mode", list(func(c *spec.Container) *[]string { return &c.Secrets })},
	{"security-opt", "", "OPTION", "no-new-privileges, seccomp=FILE|unconfined, apparmor=PROFILE, mask=PATHS, unmask=PATHS|ALL, proc-opts=OPTIONS, label=…", options(func(c *spec.Container) *[]string { return &c.SecurityOpts }, "seccomp", "unconfined")},
	{"shm-size", "", "SIZE", "size of /dev/shm", text(func(c *spec.Container) *string { return &c.ShmSize })},
	{"stop-signal", "", "SIGNAL", "signal that asks the container to end", text(func(c *spec.Container) *string { return &c.StopSignal })},
	{"stop-timeout", "", "SECONDS", "how long the container may take to end", seconds(func(c *spec.Container) *time.Duration { return &c.StopTimeout })},
	{"subgidname", "", "NAME", "map groups to the ranges of this name in /etc/subgid", text(func(c *spec.Container) *string { return &c.SubGIDName })},
	{"subuidname", "", "NAME", "map users to the ranges of this name in /etc/subuid", text(func(c *spec.Container) *string { return &c.SubUIDName })},
	{"sysctl", "", "NAME=VALUE", "set a kernel parameter of the container's namespaces", list(func(c *spec.Container) *[]string { return &c.Sysctls })},
	{"tmpfs", "", "PATH[:OPTIONS]", "mount a tmpfs", list(func(c *spec.Container) *[]string { return &c.Tmpfs })},
	{"uidmap", "", "[+ug]CONTAINER:[@]HOST[:COUNT]", "map users in a namespace of the container's own; + leaves the default map for the others, @ marks an ID of the machine, u and g say which are meant", list(func(c *spec.Container) *[]string { return &c.UIDMaps })},
	{"userns", "", "MODE", "user namespace: host, private, keep-id[:uid=,gid=,size=], auto[:size=,uidmapping=,gidmapping=], nomap, ns:PATH, container:NAME", text(func(c *spec.Container) *string { return &c.UserNS })},
	{"tz", "", "ZONE", "time zone, as /etc/localtime; local for the host's", text(func(c *spec.Container) *string { return &c.Timezone })},
	{"ulimit", "", "NAME=SOFT[:HARD]", "set a resource limit", list(func(c *spec.Container) *[]string { return &c.Ulimits })},
	{"umask", "", "MODE", "umask of the container's program", text(func(c *spec.Container) *string { return &c.Umask })},
	{"user", "u", "USER[:GROUP]", "run as this user", text(func(c *spec.Container) *string { return &c.User })},
	{"volume", "v", "[SOURCE:]PATH[:OPTIONS]", "show a volume or a path of the host; one that begins with a dot is below the working directory", func(c *spec.Container) pflag.Value { return volumeValue{listValue{&c.Volumes}} }},
	{"volumes-from", "", "CONTAINER[:OPTIONS]", "show the volumes of another container; ro makes them read-only", list(func(c *spec.Container) *[]string { return &c.VolumesFrom })},
	{"workdir", "w", "PATH", "start in this directory", text(func(c *spec.Container) *string { return &c.WorkDir })},
}

// flagTable joins the parts of the table, sorted by name.
func flagTable(parts ...[]runFlag) []runFlag {
	all := slices.Concat(parts...)
	sort.Slice(all, func(i, j int) bool { return all[i].name < all[j].name })
	return all
}

// bindRunFlags declares the table's flags, filling c.
func bindRunFlags(set *pflag.FlagSet, c *spec.Container) {
	set.SetInterspersed(false) // the words after the image are the container's
	c.StopTimeout = engine.DefaultStopTimeout
	c.ReadOnlyTmpfs, c.HTTPProxy, c.Passwd, c.SigProxy = true, true, true, true
	for _, f := range runFlags {
		flag := set.VarPF(f.bind(c), f.name, f.short, f.usage())
		if f.arg == "" {
			flag.NoOptDefVal = "true"
		}
	}
	set.SetNormalizeFunc(oldSpelling)
}

// usage marks the value's name for pflag, which takes it from back quotes.
func (f runFlag) usage() string {
	if f.arg == "" {
		return f.doc
	}
	return f.doc + " (`" + f.arg + "`)"
}

// podUsage is the usage of the same flag for a pod.
func (f runFlag) podUsage() string {
	for name, doc := range map[string]string{
		"cgroup-parent": "the pod's own slice, which its containers are in, is below this one",
		"pid":           "with --share=+pid, the processes that the containers see: private (their own), host or ns:PATH",
		"restart":       "the --restart of the containers that say nothing themselves, and have no unit file",
		"uidmap":        "map users in a user namespace of the pod's own, as run does it",
		"gidmap":        "map groups in a user namespace of the pod's own, as run does it",
		"userns":        "user namespace of all the containers: host, private, keep-id[:uid=,gid=,size=], auto[:size=,uidmapping=,gidmapping=], nomap, ns:PATH",
		"uts":           "the containers' host name: private (the pod's), host or ns:PATH",
	} {
		if f.name == name {
			f.doc = doc
		}
	}
	return f.usage()
}

// oldSpelling maps the spellings that Podman and Docker also take.
func oldSpelling(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	switch name {
	case "net":
		name = "network"
	case "dns-opt":
		name = "dns-option"
	case "healthcheck-command":
		name = "health-cmd"
	case "healthcheck-interval", "healthcheck-retries", "healthcheck-start-period", "healthcheck-timeout":
		name = "health" + strings.TrimPrefix(name, "healthcheck")
	case "override-arch", "override-os", "override-variant":
		name = strings.TrimPrefix(name, "override-")
	}
	return pflag.NormalizedName(name)
}

// The kinds of value. Each writes straight into a field of the container.

type textValue struct{ p *string }

func (v textValue) Set(s string) error { *v.p = s; return nil }
func (v textValue) String() string     { return "" }
func (v textValue) Type() string       { return "string" }

type listValue struct{ p *[]string }

func (v listValue) Set(s string) error { *v.p = append(*v.p, s); return nil }
func (v listValue) String() string     { return "" }
func (v listValue) Type() string       { return "strings" }

// apart divides words with commas. pflag would do it too, with 10 KB of code.
func apart(words []string) []string {
	if len(words) == 0 {
		return nil
	}
	return strings.Split(strings.Join(words, ","), ",")
}

type boolValue struct{ p *bool }

func (v boolValue) Set(s string) error {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return fmt.Errorf("%q is neither true nor false", s)
	}
	*v.p = b
	return nil
}
func (v boolValue) String() string { return "" }
func (v boolValue) Type() string   { return "bool" }

type optionalValue struct{ p **string }

func (v optionalValue) Set(s string) error { *v.p = &s; return nil }
func (v optionalValue) String() string     { return "" }
func (v optionalValue) Type() string       { return "bool" } // a switch says nothing of a value in the help

type optionalIntValue struct{ p **int }

func (v optionalIntValue) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil {
		return fmt.Errorf("%q is not a number", s)
	}
	*v.p = &n
	return nil
}
func (v optionalIntValue) String() string { return "" }
func (v optionalIntValue) Type() string   { return "int" }

type secondsValue struct{ p *time.Duration }

func (v secondsValue) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < -1 {
		return fmt.Errorf("%q is not a number of seconds; -1 means no limit", s)
	}
	*v.p = time.Duration(n) * time.Second
	return nil
}
func (v secondsValue) String() string { return "" }
func (v secondsValue) Type() string   { return "int" }

// ignoredValue is a flag that is understood and does nothing. One whose user may rely on it is noted, to be told.
type ignoredValue struct {
	name string
	note *[]string
}

func (v ignoredValue) Set(string) error {
	if v.note != nil && !slices.Contains(*v.note, v.name) {
		*v.note = append(*v.note, v.name)
	}
	return nil
}
func (v ignoredValue) String() string { return "" }
func (v ignoredValue) Type() string   { return "bool" }

// mountValue writes a --mount as the volume or tmpfs that it is, where it is one.
type mountValue struct{ c *spec.Container }

func (v mountValue) Set(s string) error {
	if _, special, err := spec.ParseSpecialMount(s); special || err != nil {
		if err == nil {
			v.c.Mounts = append(v.c.Mounts, s)
		}
		return err
	}
	volume, tmpfs, err := spec.ParseMount(s)
	switch {
	case err != nil:
		return err
	case tmpfs != "":
		v.c.Tmpfs = append(v.c.Tmpfs, tmpfs)
	default:
		return volumeValue{listValue{&v.c.Volumes}}.Set(volume)
	}
	return nil
}
func (v mountValue) String() string { return "" }
func (v mountValue) Type() string   { return "string" }

// volumeValue is a list of --volume words. A path that begins with a dot, which no name of a volume does, is one of the
// caller's working directory.
type volumeValue struct{ listValue }

func (v volumeValue) Set(s string) error {
	source, rest, ok := strings.Cut(s, ":")
	if ok && strings.HasPrefix(source, ".") {
		path, err := callersPath(source)
		if err != nil {
			return fmt.Errorf("volume %q: %w", s, err)
		}
		s = path + ":" + rest
	}
	return v.listValue.Set(s)
}

// callersPath is a path of the caller's: whoever looks for it later has another working directory. Some words are no paths.
func callersPath(s string, words ...string) (string, error) {
	if s == "" || slices.Contains(words, s) {
		return s, nil
	}
	return filepath.Abs(s)
}

// pathValue is a file or a directory of the caller's.
type pathValue struct {
	textValue
	words []string // that are none
}

func (v pathValue) Set(s string) error {
	path, err := callersPath(s, v.words...)
	if err != nil {
		return err
	}
	return v.textValue.Set(path)
}

// pathsValue is a list of them. A mark in front of a name stays in front of the path.
type pathsValue struct {
	listValue
	mark string
}

func (v pathsValue) Set(s string) error {
	name := strings.TrimPrefix(s, v.mark)
	path, err := callersPath(name)
	if err != nil {
		return err
	}
	return v.listValue.Set(s[:len(s)-len(name)] + path)
}

// optionsValue is a list of NAME=VALUE, in which what has one of the names is a file of the caller's.
type optionsValue struct {
	listValue
	name  string
	words []string // that are none
}

func (v optionsValue) Set(s string) error {
	if value, ok := strings.CutPrefix(s, v.name); ok && value != "" && strings.ContainsRune("=:", rune(value[0])) {
		path, err := callersPath(value[1:], v.words...)
		if err != nil {
			return err
		}
		s = v.name + "=" + path
	}
	return v.listValue.Set(s)
}

// ignored is a flag that never had or no longer has a meaning here.
func ignored(*spec.Container) pflag.Value { return ignoredValue{} }

// without is a flag whose effect this system does not have; the user is told so.
func without(name string) binder {
	return func(c *spec.Container) pflag.Value { return ignoredValue{name, &c.NoEffect} }
}

type binder = func(*spec.Container) pflag.Value

func text(f func(*spec.Container) *string) binder {
	return func(c *spec.Container) pflag.Value { return textValue{f(c)} }
}

func callersFile(f func(*spec.Container) *string, words ...string) binder {
	return func(c *spec.Container) pflag.Value { return pathValue{textValue{f(c)}, words} }
}

func callersFiles(f func(*spec.Container) *[]string, mark string) binder {
	return func(c *spec.Container) pflag.Value { return pathsValue{listValue{f(c)}, mark} }
}

func options(f func(*spec.Container) *[]string, name string, words ...string) binder {
	return func(c *spec.Container) pflag.Value { return optionsValue{listValue{f(c)}, name, words} }
}

func list(f func(*spec.Container) *[]string) binder {
	return func(c *spec.Container) pflag.Value { return listValue{f(c)} }
}

func toggle(f func(*spec.Container) *bool) binder {
	return func(c *spec.Container) pflag.Value { return boolValue{f(c)} }
}

func optional(f func(*spec.Container) **string) binder {
	return func(c *spec.Container) pflag.Value { return optionalValue{f(c)} }
}

func optionalInt(f func(*spec.Container) **int) binder {
	return func(c *spec.Container) pflag.Value { return optionalIntValue{f(c)} }
}

func seconds(f func(*spec.Container) *time.Duration) binder {
	return func(c *spec.Container) pflag.Value { return secondsValue{f(c)} }
}
