package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/cgroup"
	"github.com/berth-pods/berth/engine/config"
	"github.com/berth-pods/berth/engine/events"
	"github.com/berth-pods/berth/engine/image/verb"
	"github.com/berth-pods/berth/engine/keeper"
	"github.com/berth-pods/berth/engine/network"
	"github.com/berth-pods/berth/engine/oci"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/sd"
	"github.com/berth-pods/berth/engine/selinux"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/engine/store"
	"github.com/berth-pods/berth/engine/usernet"
	"github.com/berth-pods/berth/installed"
)

// rootlessMode reports whether this is a user's berth, inside or outside of the user's namespace.
func rootlessMode() bool { return os.Getuid() != 0 || rootless.Inside() }

// runDirs is where the state of this boot lies, and what outlives it.
func runDirs() engine.Dirs {
	d := engine.Dirs{Run: "/run/berth"}
	if rootlessMode() {
		d.Run = filepath.Join(rootless.RuntimeDir(), "berth")
	}
	if root, err := (&store.Store{}).Root(); err == nil {
		d.Keep, d.KeepPods = filepath.Join(root, "overlay-containers"), filepath.Join(root, "berth-pods")
	}
	return d
}

// userManaged reports whether the units of these containers are of a user's manager, not of the system's.
func userManaged() bool { return rootlessMode() && !rootless.InService() }

// keeperSocket is the way to the keeper of the manager whose units these are: root's has another door for users.
func keeperSocket() string {
	if rootless.InService() {
		return keeper.SocketIn(rootless.ServiceDirs)
	}
	return keeper.SocketIn(runDirs().Run)
}

// newEngine wires the engine to the system.
func newEngine(env *Env) (*engine.Engine, error) {
	conf, err := loadConfig()
	if err != nil {
		return nil, err
	}
	images := &store.Store{}
	dirs := runDirs()
	host, err := hostFacts()
	if err != nil {
		return nil, err
	}
	graphRoot, err := images.Root()
	if err != nil {
		return nil, fmt.Errorf("storage configuration: %w", err)
	}
	e := &engine.Engine{
		Store:    images,
		Volumes:  volumes(),
		Secrets:  store.Secrets{Store: images, Run: env.Run, User: rootlessMode()},
		Runtime:  oci.Runtime{Path: conf.Runtime(), Run: env.Run, OldKeyring: !conf.Keyring(), NoPivot: conf.Engine.NoPivot},
		Cgroups:  cgroup.Cgroups{},
		Network:  newAdapter(env, conf, graphRoot),
		Manager:  sd.Manager{},
		Dirs:     dirs,
		Host:     host,
		Seccomp:  conf.Seccomp,
		HookDirs: conf.HookDirs(), CDIDirs: conf.CDIDirs(),
		Warn:     env.Err,
		Programs: env.Run,
		SubIDs:   subIDs,

		RuntimeProgram: conf.Runtime(),
		StagingDir:     filepath.Join(installed.LibexecDir, "staging"),
		InitProgram:    conf.Helper("catatonit"),
		HostAddress:    conf.Containers.HostAddress,
		Event:          events.Event.Send,
	}
	e.Logs = func(id string) string {
		if conf.Containers.LogPath != "" {
			return filepath.Join(conf.Containers.LogPath, id)
		}
		return filepath.Join(graphRoot, "overlay-containers", id, "userdata")
	}
	e.Keeper = func() (engine.Keeping, error) {
		conn, err := keeper.Dial(keeperSocket())
		if err != nil {
			return nil, err // a nil *Conn would be no nil Keeping
		}
		return conn, nil
	}
	e.Host.AppArmor = conf.AppArmor()
	if conf.Labels() && selinux.Enabled() {
		e.SELinux = selinux.Policy{}
	}
	e.RemoveImage = func(ctx context.Context, id string) error {
		_, err := env.Run(ctx, proc.Command{Path: helper("berth-image"), Args: []string{"rmi", id}})
		return err
	}
	e.Pull = func(ctx context.Context, c spec.Container) error { return pull(ctx, env, c) }
	return e, nil
}

// newAdapter wires the part that connects containers.
func newAdapter(env *Env, conf config.Config, graphRoot string) network.Adapter {
	dirs := runDirs()
	machine, _ := os.ReadFile("/etc/machine-id")
	a := network.Adapter{
		Run: env.Run, Netavark: conf.Helper("netavark"), Aardvark: nameServer(conf), Pasta: conf.Helper("pasta"),
		Configs: conf.NetworkDirs(graphRoot, rootlessMode()), Leases: filepath.Join(dirs.Run, "leases"),
		Live: dirs.Known, StateDir: "/run/containers/networks", Rootless: rootlessMode(), Firewall: conf.Network.FirewallDriver,
		DNSPort: conf.Network.DNSPort, DeviceNames: conf.Containers.InterfaceName == "device",
		DefaultSubnet: conf.Network.DefaultSubnet, PastaOptions: conf.Network.PastaOptions,
		Machine:   strings.TrimSpace(string(machine)),
		StartDHCP: func(ctx context.Context) error { return sd.StartDHCP(ctx, env.Run, conf.Helper("netavark")) },
	}
	if rootlessMode() {
		a.Place, a.StateDir = userNet(), userNet().State()
	}
	return a
}

// userNet is the network that a user's bridges are in.
func userNet() usernet.Net { return usernet.Net{Dir: filepath.Join(runDirs().Run, "net")} }

// NameServerProgram is the name under which netavark calls berth to start aardvark-dns.
const NameServerProgram = "berth-dns"

// NameServer starts aardvark-dns as netavark wants it, in a unit of its own.
func NameServer(args []string) int {
	global.tell = os.Stderr // whether that hinders is for the berth behind netavark to say
	conf, err := loadConfig()
	if err == nil {
		server := sd.NameServer{Words: []string{conf.Helper("aardvark-dns")}}
		if rootlessMode() { // the manager starts it outside of the user's network
			server = sd.NameServer{User: true, With: usernet.HolderUnit, Words: []string{helper("berth-net"), "enter", conf.Helper("aardvark-dns")}}
		}
		err = sd.StartNameServer(context.Background(), proc.Run, server, args)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		return statusFailed
	}
	return 0
}

// nameServer is the program that netavark calls for aardvark-dns: ours, which makes a unit of it, where that is installed.
func nameServer(conf config.Config) string {
	if ours := helper(NameServerProgram); exists(ours) {
		return ours
	}
	return conf.Helper("aardvark-dns")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// newNetwork is newAdapter for the verbs that need nothing else.
func newNetwork(env *Env) (network.Adapter, error) {
	conf, err := loadConfig()
	if err != nil {
		return network.Adapter{}, err
	}
	root, err := (&store.Store{}).Root()
	return newAdapter(env, conf, root), err
}

// subIDs reads the ranges of a name.
func subIDs(file, name string) ([]spec.IDRange, error) {
	list, err := rootless.Ranges(file, name)
	ranges := make([]spec.IDRange, 0, len(list))
	for _, r := range list {
		ranges = append(ranges, spec.IDRange{Start: uint32(r.Start), Count: uint32(r.Count)})
	}
	return ranges, err
}

func orNumber(name string, uid uint32) string {
	if name == "" {
		return strconv.FormatUint(uint64(uid), 10)
	}
	return name
}

// hostFacts reads what the configuration of a container depends on.
func hostFacts() (engine.Host, error) {
	h := engine.Host{Rootless: rootlessMode(), Service: rootless.InService(), Main: mainProcess(), Environment: map[string]string{}}
	for _, e := range os.Environ() {
		if name, value, ok := strings.Cut(e, "="); ok {
			h.Environment[name] = value
		}
	}
	h.UID, h.GID = uint32(rootless.UID()), uint32(rootless.GID())
	h.UserName = orNumber(os.Getenv("USER"), h.UID)
	h.Cgroup = ownCgroup()
	h.Journal = sd.JournalNamespace(os.Stdout)
	group := filepath.Join("/sys/fs/cgroup", h.Cgroup)
	controllers, _ := os.ReadFile(filepath.Join(group, "cgroup.controllers"))
	h.Controllers = strings.Fields(string(controllers))
	h.Swap = unix.Access(filepath.Join(group, "memory.swap.max"), unix.F_OK) == nil
	if pid, err := strconv.Atoi(os.Getenv("LISTEN_PID")); err == nil && pid == os.Getpid() {
		h.ListenFDs, _ = strconv.Atoi(os.Getenv("LISTEN_FDS"))
	}
	if h.Rootless { // root may go below it
		adj, _ := os.ReadFile("/proc/self/oom_score_adj")
		h.OOMScoreAdj, _ = strconv.Atoi(strings.TrimSpace(string(adj)))
	}
	hosts, err := os.ReadFile("/etc/hosts")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return h, err
	}
	resolv, err := resolvConf()
	h.HostsFile, h.ResolvConf = string(hosts), string(resolv)
	return h, err
}

// mainProcess is the process that the service manager has started: in the user's namespace, the one outside of it.
func mainProcess() int {
	if rootless.Inside() && !rootless.Entered() {
		return os.Getppid()
	}
	return os.Getpid()
}

// resolvConf reads the host's resolver configuration; systemd-resolved's own file when the usual one only names its
// stub on the loopback device, which no other network namespace reaches.
func resolvConf() ([]byte, error) {
	data, err := os.ReadFile("/etc/resolv.conf")
	if strings.Contains(string(data), "127.0.0.53") {
		if real, err := os.ReadFile("/run/systemd/resolve/resolv.conf"); err == nil {
			return real, nil
		}
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// ownCgroup is this process's place in the cgroup2 hierarchy, "" where it has none that it may divide.
func ownCgroup() string {
	path := ownCgroupPath()
	if path == "" || unix.Access(filepath.Join("/sys/fs/cgroup", path), unix.W_OK) != nil {
		return ""
	}
	return path
}

// ownCgroupPath is this process's place in the cgroup2 hierarchy; "" when there is none, or it cannot be read.
func ownCgroupPath() string {
	path, _ := readCgroupPath()
	return path
}

// readCgroupPath is ownCgroupPath with an error when it cannot be read.
func readCgroupPath() (string, error) {
	data, err := os.ReadFile("/proc/self/cgroup")
	for _, line := range strings.Split(string(data), "\n") {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return path, nil
		}
	}
	return "", err
}

// reexec runs this same command line as root of the user's namespace: of the one that the user's bridges are in, where there
// is one, for none of its siblings has rights over them.
func reexec(ctx context.Context, env *Env) error {
	if holder, err := userNet().Holder(); err == nil {
		if err := rootless.Enter(holder); !errors.Is(err, proc.ErrGone) {
			return err
		}
	}
	code, err := rootless.Reexec(ctx, env.Run)
	if err != nil {
		return err
	}
	if code != 0 {
		return &ExitError{Code: code}
	}
	return nil
}

// helper is the path of a program of ours: beside this one in a build tree, else installed.
func helper(name string) string {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), name)
		if _, err := os.Stat(beside); err == nil {
			return beside
		}
	}
	return filepath.Join(installed.LibexecDir, name)
}

// isImageVerb reports whether berth-image does this: image code costs a start-up time that a container must not pay.
func isImageVerb(word string) bool {
	for _, v := range verb.Table() {
		for _, spelling := range append([]string{v.Name}, v.Aliases...) {
			if first, _, _ := strings.Cut(spelling, " "); first == word {
				return true
			}
		}
	}
	return false
}

var imageSummaries = [][2]string{
	{"pull", "fetch images into the store"},
	{"push", "write an image to a registry"},
	{"load", "load images from an archive or a directory"},
	{"save", "write images into an archive or a directory"},
	{"import", "make an image of a root file system"},
	{"images", "list the images of the store"},
	{"history", "show how an image came to be"},
	{"tag", "give an image another name"},
	{"untag", "take names away from an image"},
	{"rmi", "remove images"},
	{"image", "more about images"},
	{"manifest", "lists of images for several platforms"},
	{"artifact", "files that registries keep beside images"},
	{"login", "log in to a registry"},
	{"logout", "remove the credentials for a registry"},
	{"search", "ask a registry for images"},
}

// runImage turns this process into berth-image; for a user, in the user's namespace. What only starts other programs stays
// out of that: ssh would take a user who is root there for root, and look for root's keys.
func runImage(ctx context.Context, env *Env, args []string) error {
	storeless := len(args) > 1 && args[0] == "image" && args[1] == "scp"
	if rootless.Needed() && !storeless {
		return reexec(ctx, env)
	}
	conf, err := loadConfig()
	if err == nil {
		err = conf.SetEnvironment()
	}
	if err != nil {
		return err
	}
	path := helper("berth-image")
	err = syscall.Exec(path, append([]string{"berth-image"}, imageDefaults(args, conf)...), os.Environ())
	return fmt.Errorf("start %s, which works on images: %w", path, err)
}

// imageDefaults gives a verb what containers.conf says about it, where it has such a flag: before its own words, which so have the
// last one.
func imageDefaults(args []string, conf config.Config) []string {
	v, rest, err := verb.Find(verb.Table(), args)
	if err != nil {
		return args // berth-image says so
	}
	var words []string
	add := func(flag string, values ...string) {
		if !slices.ContainsFunc(v.Flags, func(f verb.Flag) bool { return f.Name == flag }) {
			return
		}
		for _, value := range values {
			if value != "" {
				words = append(words, "--"+flag+"="+value)
			}
		}
	}
	add("retry", times(conf.Engine.Retry))
	add("retry-delay", conf.Engine.RetryDelay)
	add("compression-format", conf.Engine.CompressionFormat)
	add("compression-level", times(conf.Engine.CompressionLevel))
	if !slices.ContainsFunc(rest, func(word string) bool { return strings.HasPrefix(word, "--add-compression") }) {
		add("add-compression", conf.Engine.AddCompression...)
	}
	if many := conf.Engine.ManyInArchive; many != nil {
		add("multi-image-archive", strconv.FormatBool(*many))
	}
	return slices.Concat(args[:len(args)-len(rest)], words, rest)
}

// pull lets berth-image fetch a missing image while this process waits. Under systemd it reports its progress itself.
func pull(ctx context.Context, env *Env, c spec.Container) error {
	policy := c.Pull
	if policy == "" {
		policy = "missing"
	}
	args := []string{"pull", "--quiet", "--policy", policy}
	for _, f := range [][2]string{
		{"retry", c.Retry}, {"retry-delay", c.RetryDelay}, {"arch", c.Arch}, {"authfile", c.AuthFile}, {"cert-dir", c.CertDir}, {"creds", c.Creds},
		{"os", c.OS}, {"platform", c.Platform}, {"variant", c.Variant},
	} {
		if f[1] != "" {
			args = append(args, "--"+f[0]+"="+f[1])
		}
	}
	if c.TLSVerify != nil {
		args = append(args, "--tls-verify="+*c.TLSVerify)
	}
	for _, key := range c.DecryptionKeys {
		args = append(args, "--decryption-key="+key)
	}
	_, err := env.Run(ctx, proc.Command{Path: helper("berth-image"), Args: append(args, c.Image)})
	var exit *proc.ExitError
	if errors.As(err, &exit) {
		said := strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(exit.Stderr), "Error: "), "berth: ")
		if policy == "never" {
			return errors.New(said)
		}
		return fmt.Errorf("image %q is not in the store and cannot be fetched: %s; `berth load -i FILE` brings one in from an archive", c.Image, said)
	}
	return err
}

// selfPath is the path under which systemd can start this program again.
func selfPath() string {
	if path, err := os.Executable(); err == nil {
		return path
	}
	path, _ := exec.LookPath("berth")
	return path
}
