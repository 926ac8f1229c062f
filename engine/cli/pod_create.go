package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/units"
)

// podRunFlags are the flags of run that place a container in a pod.
var podRunFlags = []runFlag{
	{"init-ctr", "", "WHEN", "in a pod: run to its end before the pod's other containers start: always (at each start of the pod) or once (and be removed then)", text(func(c *spec.Container) *string { return &c.InitCtr })},
	{"pod", "", "POD", "be one of this pod's containers; new:NAME makes the pod, with the container's ports and networks", text(func(c *spec.Container) *string { return &c.Pod })},
	{"pod-id-file", "", "FILE", "be one of the containers of the pod whose ID is in a file", callersFile(func(c *spec.Container) *string { return &c.PodIDFile })},
}

// sharedWithPods are the flags of run that pods have too.
var sharedWithPods = []string{
	"add-host", "device", "dns", "dns-option", "dns-search", "gpus", "hostname", "hosts-file", "ip", "ip6", "label", "label-file", "mac-address", "network", "network-alias",
	"no-hostname", "no-hosts", "pid", "publish", "restart", "security-opt", "shm-size", "shm-size-systemd", "sysctl", "uts", "volume", "volumes-from",
	"gidmap", "subgidname", "subuidname", "uidmap", "userns",
}

// ofPods reports whether pods have that flag of run, too.
func ofPods(flag string) bool {
	return slices.Contains(sharedWithPods, flag) || slices.Contains(units.LimitFlags, flag)
}

type podCreateOptions struct {
	spec.Pod
	podOtherFlags
	share       string
	idFile      string
	replace     bool
	infra       bool
	shareParent bool
	infraImage  string
}

// podOtherFlags are flags of Podman's pods that mean nothing here.
type podOtherFlags struct {
	infraCommand string
	infraPIDFile string
}

func (o *podOtherFlags) flags(set *pflag.FlagSet, infraName *string) {
	set.StringVar(&o.infraCommand, "infra-command", "", "no effect: a pod has no infra container (`COMMAND`)")
	set.StringVar(&o.infraPIDFile, "infra-conmon-pidfile", "", "no effect: a pod has no monitor (`FILE`)")
	set.StringVar(infraName, "infra-name", "", "no effect: a pod has no infra container (`NAME`)")
}

func (o *podCreateOptions) flags(set *pflag.FlagSet) {
	for _, f := range runFlags {
		if !ofPods(f.name) {
			continue
		}
		flag := set.VarPF(f.bind(&o.Common), f.name, f.short, f.podUsage())
		if f.arg == "" {
			flag.NoOptDefVal = "true"
		}
	}
	set.SetNormalizeFunc(oldSpelling)
	set.StringVar(&o.ExitPolicy, "exit-policy", "continue", "what follows when the last container ends: `POLICY` stop or continue")
	set.StringVarP(&o.Name, "name", "n", "", "`NAME` of the pod")
	set.StringVar(&o.idFile, "pod-id-file", "", "write the pod's ID to a `FILE`")
	set.BoolVar(&o.replace, "replace", false, "remove a pod of the same name first")
	set.StringVar(&o.share, "share", strings.Join(spec.DefaultShare, ","), "`KINDS` of namespaces that the containers share: ipc, net, pid, uts; +KIND for one more; none; and user, in any case, where the pod has one of its own")
	set.BoolVar(&o.infra, "infra", true, "no effect: a pod has no infra container")
	set.StringVar(&o.infraImage, "infra-image", "", "no effect: a pod has no infra container (`IMAGE`)")
	o.podOtherFlags.flags(set, &o.InfraName)
	set.BoolVar(&o.shareParent, "share-parent", true, "no effect: containers are in the control groups of their units")
}

func podCreateVerb() Verb {
	var o podCreateOptions
	return Verb{
		Name: "pod create", Usage: "[OPTION…] [NAME]", Summary: "make a pod",
		Text: `Nothing runs yet: berth pod start, or its first container, starts it.

Limits are those of all its containers together: properties of a slice that they are in, which systemctl, systemd-cgtop and
systemd-oomd know. In a .pod file they are given by PodmanArgs=.

With --userns, or maps, the containers share a user namespace of the pod's own, which owns the others that they share. A range of IDs
that auto takes is the pod's until it is removed. Without them each container may have a user namespace of its own.

What is not given is as containers.conf(5) says, of what the containers share; ipcns= there is passed over, as they have an IPC namespace of
the pod's own, or each one of its own.`,
		Flags: o.flags, Run: runPodCreate,
	}
}

func parsePodCreate(args []string) (podCreateOptions, error) {
	var o podCreateOptions
	set := newFlagSet("create")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if set.NArg() > 1 || set.NArg() == 1 && o.Name != "" {
		return o, errors.New("name one pod")
	}
	if set.NArg() == 1 {
		o.Name = set.Arg(0)
	}
	var err error
	if o.Share, err = spec.ParseShare(o.share); err != nil {
		return o, err
	}
	conf, err := loadConfig()
	if err != nil {
		return o, err
	}
	podDefaults(&o.Pod, set, conf)
	o.Common, err = o.checked(o.Common)
	return o, err
}

func runPodCreate(ctx context.Context, env *Env, args []string) error {
	o, err := parsePodCreate(args)
	if err != nil {
		return err
	}
	if o.replace && o.Name != "" {
		if err := replacePod(ctx, env, o.Name); err != nil {
			return fmt.Errorf("replace pod %q: %w", o.Name, err)
		}
	}
	o.Kept, o.Common.CreateCommand = byHand(), createCommand("pod create", args, o.Common)
	p, err := runDirs().CreatePod(o.Pod)
	if err != nil {
		return err
	}
	p.TellCreated()
	if o.idFile != "" {
		if err := atomicfile.WriteTo(o.idFile, []byte(p.ID), 0o666); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(env.Out, p.ID)
	return err
}

// byHand reports whether no unit is at work here: what a unit makes, it makes anew after a boot.
func byHand() bool { return os.Getenv("NOTIFY_SOCKET") == "" && os.Getenv("PODMAN_SYSTEMD_UNIT") == "" }

// checkInit refuses what a container that prepares its pod cannot be.
func checkInit(c spec.Container) error {
	switch {
	case c.InitCtr == "":
		return nil
	case c.Pod == "" && c.PodIDFile == "":
		return fmt.Errorf("--init-ctr=%s is for a container in a pod: add --pod", c.InitCtr)
	case c.Remove:
		return fmt.Errorf("--init-ctr=%s and --rm exclude each other: with once it is removed when it has run", c.InitCtr)
	case c.Restart != "" && c.Restart != "no":
		return fmt.Errorf("--init-ctr=%s and --restart=%s exclude each other: it runs once at each start of its pod", c.InitCtr, c.Restart)
	}
	return nil
}

// checked reads the files with labels of what the pod is to have, and refuses what it cannot have.
func (o *podOtherFlags) checked(common spec.Container) (spec.Container, error) {
	if _, err := restartProperties(common.Restart); err != nil {
		return common, err
	}
	if common.UserNS == "nomap" && !rootlessMode() {
		return common, engine.ErrNoMap
	}
	var err error
	common.Labels, err = engine.PodLabels(common)
	common.LabelFiles = nil
	return common, err
}

func replacePod(ctx context.Context, env *Env, name string) error {
	p, err := runDirs().FindPod(name)
	if errors.Is(err, engine.ErrNoPod) {
		return nil
	}
	if err != nil {
		return err
	}
	return removePod(ctx, env, p, podRmOptions{force: true, podStopOptions: podStopOptions{time: -1}})
}

// newPod makes the pod of --pod new:NAME, for the container of these words.
func newPod(c spec.Container, args []string) error {
	name, fresh := strings.CutPrefix(c.Pod, engine.NewPod)
	if !fresh {
		return nil
	}
	p, err := runDirs().FindPod(name)
	if err == nil && (p.Spec.Maker == "" || p.Spec.Maker != c.Name) {
		return fmt.Errorf("pod %q is there already; --pod %s joins it", name, name)
	}
	if !errors.Is(err, engine.ErrNoPod) {
		return err // what its maker was given, it has at its next start too
	}
	made, err := madePod(args)
	if err != nil {
		return err
	}
	if p, err = runDirs().CreatePod(made); err != nil {
		return err
	}
	return os.Setenv(newPodVariable, p.ID)
}

// newPodVariable has the ID of the pod that this command has made for its container.
const newPodVariable = "BERTH_NEW_POD"

// dropNewPod removes the pod that was made for a container which was refused, or could not start, and that one with it.
func dropNewPod(ctx context.Context, env *Env, container string) {
	p, err := runDirs().FindPod(os.Getenv(newPodVariable))
	if errors.Is(err, engine.ErrNoPod) {
		return
	}
	var members []engine.State
	if err == nil {
		members, err = runDirs().Members(p)
	}
	others := func(s engine.State) bool { return s.Running() || s.Name != container }
	if err == nil && !slices.ContainsFunc(members, others) { // else it is not the container's alone
		err = removePod(context.WithoutCancel(ctx), env, p, podRmOptions{podStopOptions: podStopOptions{time: -1}})
	}
	if err != nil {
		fmt.Fprintf(env.Err, "pod %q stays: %v\n", p.Name, err)
	}
}

// madePod is the pod that the words of a run make: what they say of it, and else what pod create gives to one.
func madePod(args []string) (spec.Pod, error) {
	c, set, err := parseWords(args)
	if err != nil {
		return spec.Pod{}, err
	}
	conf, err := loadConfig()
	if err != nil {
		return spec.Pod{}, err
	}
	p := spec.Pod{
		Name: strings.TrimPrefix(c.Pod, engine.NewPod), Share: spec.DefaultShare, ExitPolicy: "continue", Maker: c.Name, Kept: byHand(), Common: spec.Container{
			Networks: c.Networks, Publish: c.Publish, IP: c.IP, IP6: c.IP6, MAC: c.MAC, Aliases: c.Aliases, AddHosts: c.AddHosts,
			DNS: c.DNS, DNSSearch: c.DNSSearch, DNSOptions: c.DNSOptions, HostsBase: c.HostsBase, NoHosts: c.NoHosts, HostName: c.HostName, ShmSize: c.ShmSize,
		},
	}
	podDefaults(&p, set, conf)
	return p, nil
}

// podNamed finds the pod that the container is to be in; false when it is to be in none.
func podNamed(c spec.Container) (engine.Pod, bool, error) {
	name := strings.TrimPrefix(c.Pod, engine.NewPod)
	if c.PodIDFile != "" {
		text, err := os.ReadFile(c.PodIDFile)
		if err != nil {
			return engine.Pod{}, false, fmt.Errorf("pod ID file: %w", err)
		}
		name = strings.TrimSpace(string(text))
	}
	if name == "" {
		return engine.Pod{}, false, nil
	}
	p, err := runDirs().FindPod(name)
	return p, err == nil, err
}

// startHolder starts the container's pod when that takes a process, which is to be in a unit of its own.
func startHolder(ctx context.Context, env *Env, c spec.Container) error {
	p, in, err := podNamed(c)
	if err != nil || !in {
		return err
	}
	return holdFirst(ctx, env, p)
}

func holdFirst(ctx context.Context, env *Env, p engine.Pod) error {
	if runDirs().Live(p) {
		return nil
	}
	if !engine.NeedsHolder(p) {
		return limitPod(ctx, env, p)
	}
	return startOther(ctx, env, p)
}

// joinMade does for a container that was made before what run does for one in a pod: its pod is started where that takes a
// process, and a user's berth goes where that is.
func joinMade(ctx context.Context, env *Env, s engine.State) error {
	if s.Pod == "" || s.Running() {
		return nil
	}
	p, err := runDirs().FindPod(s.Pod)
	if err == nil {
		err = holdFirst(ctx, env, p)
	}
	if err == nil {
		p, err = runDirs().Refresh(p)
	}
	if errors.Is(err, engine.ErrNoPod) {
		return nil // the start says so
	}
	if err == nil && rootless.Needed() && p.Holder.PID > 0 {
		err = rootless.Enter(p.Holder)
	}
	return err
}

// enterOther puts a user's berth into the user namespace of what its container is to join.
func enterOther(c spec.Container) error {
	p, in, err := podNamed(c)
	if err != nil {
		return err
	}
	if in && p.Holder.PID > 0 {
		return rootless.Enter(p.Holder)
	}
	if name, ok := strings.CutPrefix(strings.Join(c.Networks, " "), "container:"); ok {
		if s, err := runDirs().Find(name); err == nil && s.Running() {
			return rootless.Enter(s.Init)
		}
	}
	return nil // there is nothing to join, or it is missing, which the run itself says
}

// startOther starts a pod in a unit of its own, also when this process is in another unit.
func startOther(ctx context.Context, env *Env, p engine.Pod) error {
	socket := os.Getenv("NOTIFY_SOCKET")
	os.Unsetenv("NOTIFY_SOCKET")
	defer func() {
		if socket != "" {
			os.Setenv("NOTIFY_SOCKET", socket)
		}
	}()
	return startPod(ctx, env, p)
}

// holdPod furnishes the namespaces that this process was started in, says that it is ready, and becomes a program that
// sleeps: a small one, for it stays as long as the pod.
func holdPod(id string) error {
	fd, err := strconv.Atoi(os.Getenv(rootless.ReadyVariable))
	if err != nil {
		return errors.New("`berth pod hold` is called by `berth pod start` only")
	}
	unix.CloseOnExec(fd)
	ready := os.NewFile(uintptr(fd), "ready")
	fail := func(err error) error {
		fmt.Fprintln(ready, err)
		return err
	}
	p, err := runDirs().FindPod(id)
	if err != nil {
		return fail(err)
	}
	if err := engine.FurnishPod(engine.HeldOnly(p)); err != nil {
		return fail(err)
	}
	conf, err := loadConfig()
	if err != nil {
		return fail(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return fail(err)
	}
	for std := range 3 {
		if err := unix.Dup3(int(null.Fd()), std, 0); err != nil {
			return fail(err)
		}
	}
	program, words := engine.PodSleeper(conf.Helper("catatonit"))
	runtime.LockOSThread()
	if err := proc.Hollow(program); err != nil {
		return fail(err)
	}
	return fail(fmt.Errorf("start a program that sleeps: %w", syscall.Exec(proc.HollowProgram, words, nil)))
}
