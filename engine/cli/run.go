package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/sd"
	"github.com/berth-pods/berth/engine/spec"
)

func runVerb() Verb {
	return Verb{
		Name: "run", Usage: "[OPTION…] IMAGE [COMMAND [ARGUMENT…]]", Summary: "run a container",
		Text: `Sets a container up and starts it. In a unit, with -d, berth hands the container's PID 1 to systemd as the unit's
main process and ends; from a shell, with -d, it lets systemd start a transient unit that does the same. Without -d it
stays in the foreground, hands signals on, and ends with the container's exit status. A container on a directory (--rootfs) or
with a user namespace of its own goes with its end, as with --rm.

What is not given is as containers.conf(5) says; settings there that do not go together with a given option are passed over. A
working directory that the image does not have is made, as Docker does.

Exit status: the container's own; 125 when berth could not do its work, 126 when the command cannot be run, or not as that
user, 127 when there is no such command.`,
		Flags:   func(set *pflag.FlagSet) { bindRunFlags(set, &spec.Container{}) },
		Program: true,
		Before:  beforeRun,
		Userns:  func(args []string) bool { return rootless.Needed() && !asksForUnit(args) },
		Run:     runRun,
	}
}

// parseWords is what the words after `run` alone say about a container.
func parseWords(args []string) (spec.Container, *pflag.FlagSet, error) {
	var c spec.Container
	set := newFlagSet("run")
	bindRunFlags(set, &c)
	err := set.Parse(args)
	return c, set, err
}

// parseRun turns the words after `run` into a container.
func parseRun(args []string) (spec.Container, error) {
	c, set, err := parseWords(args)
	if err != nil {
		return c, err
	}
	if set.NArg() == 0 {
		return c, errors.New("no image is named: `berth run [OPTION…] IMAGE [COMMAND…]`")
	}
	c.Image, c.Command = set.Arg(0), set.Args()[1:]
	if c.Rootfs {
		path, err := callersPath(c.Image)
		if err != nil {
			return c, err
		}
		c.Image = path
	}
	conf, err := loadConfig()
	if err == nil {
		err = conf.SetEnvironment()
	}
	if err == nil {
		err = withDefaults(&c, set, conf)
	}
	if err != nil {
		return c, err
	}
	return c, checkRun(c)
}

// checkRun refuses values that no later step would look at.
func checkRun(c spec.Container) error {
	for _, f := range []struct {
		name, value string
		known       []string
	}{
		{"cgroups", c.Cgroups, []string{"", "split", "enabled", "disabled", "no-conmon"}},
		{"sdnotify", c.SDNotify, []string{"", "conmon", "container", "healthy", "ignore"}},
		{"init-ctr", c.InitCtr, []string{"", "always", "once"}},
		{"image-volume", c.ImageVolume, []string{"", "anonymous", "bind", "tmpfs", "ignore"}},
		{"seccomp-policy", c.SeccompPolicy, []string{"", "default", "image"}},
		{"pull", c.Pull, []string{"", "always", "missing", "newer", "never"}},
	} {
		if !slices.Contains(f.known, f.value) {
			return fmt.Errorf("--%s=%s: known are %s", f.name, f.value, strings.TrimPrefix(strings.Join(f.known, ", "), ", "))
		}
	}
	if err := errors.Join(checkTerminal(c), checkInit(c)); err != nil {
		return err
	}
	if c.NoHosts && c.HostsBase != "" {
		return errors.New("--no-hosts and --hosts-file exclude each other")
	}
	restart, err := restartProperties(c.Restart)
	if err != nil {
		return err
	}
	if c.Remove && len(restart) > 0 {
		return fmt.Errorf("--rm and --restart=%s exclude each other: a container that goes with its end cannot start again", c.Restart)
	}
	if err := spec.CheckNamespaces(c); err != nil {
		return err
	}
	if _, err := spec.SystemdMode(c, spec.ImageConfig{}); err != nil {
		return err
	}
	if _, err := spec.ParseLog(c, spec.LogFacts{}); err != nil {
		return err
	}
	if _, err := spec.ParseHealth(c.HealthFlags, nil); err != nil {
		return err
	}
	for _, a := range c.Annotations {
		if err := spec.CheckAnnotation(a); err != nil {
			return err
		}
	}
	return nil
}

func runRun(ctx context.Context, env *Env, args []string) error {
	c, err := parseRun(args)
	if err != nil {
		return err
	}
	for _, name := range c.NoEffect {
		fmt.Fprintf(env.Err, "--%s has no effect: it is of cgroup v1, and berth needs v2\n", name)
	}
	if transient(c) {
		return runTransient(ctx, env, c, args)
	}
	verb, words := typed("run", args)
	c.CreateCommand = createCommand(verb, words, c)
	e, err := newEngine(env)
	if err != nil {
		return err
	}
	if c.Detach {
		if err := checkTimeout(ctx, env, c); err != nil {
			return err
		}
		if _, err = e.Run(ctx, c); err != nil {
			tellFailure(os.Getenv(engine.IDVariable), err)
		}
		return err
	}
	return runForeground(ctx, env, e, c)
}

// asksForUnit is transient of the container that the words describe.
func asksForUnit(args []string) bool {
	c, err := parseRun(args)
	return err == nil && transient(c)
}

// transient tells whether the container is to get a unit of its own. systemd must be asked by the user, not by the root of
// the user's namespace, whom the bus does not know.
func transient(c spec.Container) bool {
	return (c.Detach || viaUnit(c)) && os.Getenv("NOTIFY_SOCKET") == ""
}

// viaUnit tells whether a container that is to run in the foreground gets a unit all the same, which this berth attaches to: one
// with a terminal, so that the detach keys can leave it running, and one whose output is to be found again later. Files that are
// handed on, and a group that was asked for, are the caller's; without systemd there are no units.
func viaUnit(c spec.Container) bool {
	files, err := spec.FileNumbers(c.ProcessFlags)
	return (c.TTY || keepsLog(c)) && !c.Detach && c.Cgroups == "" && err == nil && len(files) == 0 && os.Getenv("NOTIFY_SOCKET") == "" &&
		!rootless.Inside() && sd.Reachable(rootless.Needed())
}

// keepsLog tells whether `logs` is to show what a container in the foreground prints. Of one that goes with its end it does when a log
// driver is named: few would look, and its output is the caller's at no cost.
func keepsLog(c spec.Container) bool {
	log, err := spec.ParseLog(c, spec.LogFacts{})
	return err == nil && (log.Driver == spec.LogK8sFile || log.Driver == spec.LogJournald && (!c.Remove || c.LogDriver != ""))
}

// What a run says to the berth that it calls to do the work stands before the words that were typed.
var (
	scopeWords = []string{"--cgroups=split"}
	unitWords  = []string{"--sdnotify=conmon", "--detach"}
)

// typedVariable tells the berth that a run calls to do the work which verb was typed, and how many of its last words were.
const typedVariable = "BERTH_TYPED"

// typed is the verb that was typed, and the words behind it.
func typed(verb string, args []string) (string, []string) {
	first, count, _ := strings.Cut(os.Getenv(typedVariable), " ")
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > len(args) {
		return verb, args
	}
	return first, args[len(args)-n:]
}

// tellTyped is typedVariable for a berth that gets these words, and others before them.
func tellTyped(verb string, args []string) string {
	verb, args = typed(verb, args)
	return fmt.Sprintf("%s=%s %d", typedVariable, verb, len(args))
}

// createCommand is the command line that was typed, without the credentials among the words before the image.
func createCommand(verb string, args []string, c spec.Container) []string {
	words := append([]string{"berth"}, ownWords(append(strings.Fields(verb), args...)...)...)
	options := words[:max(0, len(words)-1-len(c.Command))]
	for i, w := range options {
		name, _, joined := strings.Cut(w, "=")
		switch {
		case name != "--creds" && name != "--decryption-key":
		case joined:
			options[i] = name + "=***"
		case i+1 < len(options):
			options[i+1] = "***"
		}
	}
	return words
}

// runTransient asks systemd to run the same command line as a unit.
func runTransient(ctx context.Context, env *Env, c spec.Container, args []string) error {
	told := tellTyped("run", args)
	verb, words := typed("run", args)
	c.CreateCommand = createCommand(verb, words, c)
	if c.Name == "" {
		var err error
		if c.Name, err = engine.NewName(); err != nil {
			return err
		}
		args = append([]string{"--name", c.Name}, args...)
	}
	if err := spec.CheckName(c.Name); err != nil {
		return fmt.Errorf("container: %w", err)
	}
	if files, err := spec.FileNumbers(c.ProcessFlags); err != nil || len(files) > 0 {
		return errors.Join(err, errors.New("--preserve-fd and --preserve-fds need the foreground: with -d, systemd starts the container; leave -d out"))
	}
	if err := sd.Available(); err != nil {
		return err
	}
	if rootless.InService() {
		return errors.New("run -d needs a manager of the user's to look after the container, who has none here; write a unit file with User=, see berth.unit(5), or leave -d out")
	}
	if !c.Remove && engine.Outlives(c) {
		return runKept(ctx, env, c, told, args)
	}
	c, err := inSlice(c)
	if err != nil {
		return err
	}
	properties, err := unitProperties(c)
	if err != nil {
		return err
	}
	id, err := engine.NewID()
	if err != nil {
		return err
	}
	start := func() error {
		return sd.StartTransient(ctx, env.Run, sd.Transient{
			Properties: properties, User: rootless.Needed(), Unit: c.Name, Program: selfPath(),
			Start: ownWords(slices.Concat([]string{"run"}, scopeWords, unitWords, args)...),
			Stop:  ownWords("rm", "-v", "-f", "-i", id), Setenv: append(copied(c), engine.IDVariable+"="+id, told),
		})
	}
	return startOrConnect(ctx, env, c, id, start)
}

// startOrConnect lets systemd start a container, and prints its ID or, when it is to be in the foreground, connects with it.
func startOrConnect(ctx context.Context, env *Env, c spec.Container, id string, unit func() error) error {
	awakeKeeper(ctx, env)
	start := func() error {
		err := unit()
		if err != nil {
			giveUp(ctx, env, c.Restart, err)
			dropNewPod(ctx, env, c.Name)
		}
		return err
	}
	if !c.Detach {
		return connect(ctx, env, c, id, start)
	}
	err := startHeard(ctx, env, c, id, start)
	if err == nil {
		_, err = fmt.Fprintln(env.Out, id)
	}
	return err
}

// giveUp ends the unit of a container that does not start at all: systemd would try it for ever, as --restart says, where Podman does not.
// Without a policy it has gone by itself.
func giveUp(ctx context.Context, env *Env, policy string, err error) {
	var failed *sd.StartError
	if properties, _ := restartProperties(policy); properties != nil && errors.As(err, &failed) {
		_ = sd.Stop(context.WithoutCancel(ctx), env.Run, rootless.Needed(), failed.Unit) // it may have gone
	}
}

// runKept makes a container that outlives its end, and then lets systemd start it: a unit that starts again starts the
// container that is there.
func runKept(ctx context.Context, env *Env, c spec.Container, told string, args []string) error {
	if _, err := unitProperties(c); err != nil {
		return err
	}
	id, err := createFor(ctx, env, c, told, args)
	if err != nil {
		dropNewPod(ctx, env, c.Name)
		return err
	}
	s, err := runDirs().Find(id)
	if err != nil {
		return err
	}
	return startOrConnect(ctx, env, c, id, func() error { return startUnit(ctx, env, s) })
}

// checkTimeout refuses a time limit that nobody would keep: in a unit berth has left long before the time is over.
func checkTimeout(ctx context.Context, env *Env, c spec.Container) error {
	if c.Timeout <= 0 {
		return nil
	}
	limit, err := sd.RuntimeMax(ctx, env.Run, rootless.Inside())
	if err != nil || limit == "infinity" {
		return errors.Join(err, fmt.Errorf("--timeout=%d: in a unit systemd keeps the time; write RuntimeMaxSec=%[1]d into [Service]", c.Timeout/time.Second))
	}
	return nil
}

// configVariables change what berth reads and where it keeps things.
var configVariables = []string{
	"CONTAINERS_CONF", "CONTAINERS_CONF_OVERRIDE", "CONTAINERS_REGISTRIES_CONF", "CONTAINERS_STORAGE_CONF", "DOCKER_CONFIG",
	"REGISTRY_AUTH_FILE", "STORAGE_DRIVER", "STORAGE_OPTS",
}

// copied are the variables that the unit gets from the caller, who is not the one that starts it: those that change what
// berth does, and those that the container is to have.
func copied(c spec.Container) []string {
	wanted := slices.Clone(configVariables)
	if c.HTTPProxy {
		wanted = append(wanted, spec.ProxyVariables...)
	}
	var prefixes []string
	for _, e := range c.Environment {
		switch {
		case strings.Contains(e, "="):
		case strings.HasSuffix(e, "*"):
			prefixes = append(prefixes, strings.TrimSuffix(e, "*"))
		default:
			wanted = append(wanted, e)
		}
	}
	var names []string
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		begins := func(p string) bool { return strings.HasPrefix(name, p) }
		if !spec.OwnVariable(name) && (c.EnvHost || slices.Contains(wanted, name) || slices.ContainsFunc(prefixes, begins)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// beforeRun does what must be done outside of the user's namespace. A wrong flag is reported by the run itself.
func beforeRun(ctx context.Context, env *Env, args []string) error {
	if rootless.Inside() {
		return nil
	}
	c, err := parseRun(args)
	if err != nil {
		return nil
	}
	if c.Replace && c.Name != "" && os.Getenv("NOTIFY_SOCKET") == "" {
		// By its unit where it has one: a unit that sees its container end by itself takes away what has its name by then.
		if err := stopAll(ctx, env, []string{c.Name}, nil); err != nil {
			return err
		}
	}
	if rootless.Needed() && c.Replace && c.Name != "" && !transient(c) {
		if err := stopOutside(ctx, env, []string{c.Name}, engine.RemoveOptions{Force: true, Ignore: true}); err != nil {
			return err
		}
	}
	if err := startRequired(ctx, env, c.Requires); err != nil {
		return err
	}
	if c.Pod != "" {
		if c.Name == "" && strings.HasPrefix(c.Pod, engine.NewPod) {
			return startNamed("run", args)
		}
		if err := newPod(c, args); err != nil {
			return err
		}
	}
	if c.Detach && !transient(c) {
		awakeKeeper(ctx, env)
	}
	if err := startUserNet(ctx, env, c); err != nil {
		return err
	}
	if err := startHolder(ctx, env, c); err != nil {
		return err
	}
	if err := enterScope(c, args); err != nil || !rootless.Needed() || transient(c) {
		return err
	}
	return enterOther(c)
}

// startNamed starts this command again with a name for the container, by which its pod is found to be its own. In a unit it
// would be another name at each start.
func startNamed(verb string, args []string) error {
	if os.Getenv("NOTIFY_SOCKET") != "" {
		return errors.New("--pod new:NAME: name the container too, with --name, so that it finds its pod again")
	}
	name, err := engine.NewName()
	if err != nil {
		return err
	}
	self := selfPath()
	words := append(append([]string{self}, ownWords(verb, "--name", name)...), args...)
	return fmt.Errorf("%s: %w", self, syscall.Exec(self, words, append(os.Environ(), tellTyped(verb, args))))
}

// awakeKeeper lets the service manager listen for the keeper where it does not: berth has just been installed, or somebody
// has stopped the socket. A failure is told by the run itself, which knows whether it matters.
func awakeKeeper(ctx context.Context, env *Env) {
	if _, err := os.Lstat(keeperSocket()); errors.Is(err, fs.ErrNotExist) && !rootless.InService() {
		sd.StartUnit(ctx, env.Run, userManaged(), "berth-keeper.socket")
	}
}

// enterScope moves a foreground run into a scope of its own, as systemd-run(1) does, for a container needs a control group
// that may be divided. Without systemd, or where the user has no manager, it stays in the caller's group.
func enterScope(c spec.Container, args []string) error {
	if c.Detach || c.Cgroups != "" || viaUnit(c) {
		return nil
	}
	c, err := inSlice(c)
	if err != nil {
		return err
	}
	slice, err := spec.Slice(c.CgroupParent)
	if err != nil {
		return err
	}
	name, told, _ := strings.Cut(tellTyped("run", args), "=")
	if err := os.Setenv(name, told); err != nil {
		return err
	}
	return sd.ExecScope(sd.Scope{
		User: rootless.Needed(), Slice: slice, Program: selfPath(), Args: ownWords(slices.Concat([]string{"run"}, scopeWords, args)...),
	})
}

// runForeground starts the container as a child that nobody else will wait for, and stays until it ends.
func runForeground(ctx context.Context, env *Env, e *engine.Engine, c spec.Container) error {
	// The runtime's create process ends before the container: its orphan must come to us and not to PID 1.
	if err := proc.Adopt(); err != nil {
		return err
	}
	s, err := e.Run(ctx, c)
	if err != nil {
		dropNewPod(ctx, env, c.Name)
		return startError(err)
	}
	s.Container.Attach = c.Attach
	return finish(ctx, e, s, c.SigProxy)
}

// startError gives a container that cannot be started its exit status.
func startError(err error) error {
	if code := engine.StartCode(err); code != statusFailed {
		return &ExitError{Code: code, Err: err}
	}
	return err
}

// superviseChild hands signals on to a child until it ends, and returns its exit status as a shell would (128+N for
// signal N).
func superviseChild(pid int) (int, error) { return watch(pid, true, 0) }

// watch is superviseChild that may keep signals to itself, and kills after a time limit, if there is one. Signals are caught as long as this
// process is there: what is left to do after the child's end is done.
func watch(pid int, proxy bool, limit time.Duration) (int, error) {
	if !proxy {
		signal.Ignore(proc.Passed()...)
	}
	signals := proc.Catch()
	pidfd, err := proc.OpenChild(pid)
	if err != nil {
		return 0, err
	}
	defer pidfd.Close()
	go func() {
		for sig := range signals {
			if proxy {
				proc.Signal(pidfd, sig.(syscall.Signal))
			}
		}
	}()
	if limit > 0 {
		defer time.AfterFunc(limit, func() { proc.Signal(pidfd, syscall.SIGKILL) }).Stop()
	}
	code, err := proc.Reap(pid)
	if err != nil {
		return 0, fmt.Errorf("wait for the container's process %d: %w", pid, err)
	}
	return code, nil
}

// exitWith ends the program with a status.
func exitWith(code int, err error) error {
	if err == nil && code != 0 {
		return &ExitError{Code: code}
	}
	return err
}
