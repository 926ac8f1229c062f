package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/sd"
)

func podVerb() Verb {
	return Verb{
		Name: "pod", Usage: "COMMAND", Summary: "make, start, stop, list and remove pods",
		Text: `A pod is a group of containers that share a network with its ports, a host name, and means of communication. No process
belongs to it: files hold what is shared. A user's pods, and those that share a PID namespace, have one process, which sleeps.`,
		Sub: []Verb{
			podCloneVerb(), podCreateVerb(), podDownVerb(), podExistsVerb(), podFillVerb(), podHoldVerb(), podInspectVerb(), podKillVerb(), podLogsVerb(), podPauseVerb(), podPruneVerb(), podPsVerb(),
			podRestartVerb(), podRmVerb(), podStartVerb(), podStatsVerb(), podStopVerb(), podTopVerb(), podUnpauseVerb(),
		},
	}
}

// podTargets are the flags that say which pods are meant.
type podTargets struct {
	all, latest, ignore, own bool
	idFiles                  []string
}

func (o *podTargets) flags(set *pflag.FlagSet) {
	set.BoolVarP(&o.all, "all", "a", false, "all pods")
	set.BoolVarP(&o.latest, "latest", "l", false, "the pod that was made last")
	set.StringArrayVar(&o.idFiles, "pod-id-file", nil, "the pod whose ID is in this `FILE`")
}

func (o *podTargets) ignoreFlag(set *pflag.FlagSet) {
	set.BoolVarP(&o.ignore, "ignore", "i", false, "a pod that is not there is no error")
}

func (o *podTargets) ownFlag(set *pflag.FlagSet) {
	set.BoolVar(&o.own, "own", false, "the pods of the unit that calls it, also under another name; those of other units are left alone")
}

// find returns the pods that are meant. Errors name those that are not there.
func (o *podTargets) find(names []string) ([]engine.Pod, error) {
	dirs := runDirs()
	if o.all || o.latest {
		if len(names) > 0 {
			return nil, errors.New("name pods, or take all or the latest: not both")
		}
		list, err := dirs.Pods()
		if err == nil && o.latest {
			if len(list) == 0 {
				return nil, fmt.Errorf("%w: there is none", engine.ErrNoPod)
			}
			list = list[len(list)-1:]
		}
		return list, err
	}
	for _, file := range o.idFiles {
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) && o.ignore {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("pod ID file: %w", err)
		}
		names = append(names, strings.TrimSpace(string(text)))
	}
	if len(names) == 0 && len(o.idFiles) == 0 {
		return nil, errors.New("no pod is named")
	}
	var list []engine.Pod
	var errs []error
	for _, name := range names {
		p, err := dirs.FindPod(name)
		if errors.Is(err, engine.ErrNoPod) && o.ignore {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, p)
	}
	if self := unitOfSelf(); o.own && self != "" {
		all, err := dirs.Pods()
		list, errs = ownPods(list, all, self), append(errs, err)
	}
	return list, errors.Join(errs...)
}

// ownPods are the pods that have been named and are of no other unit, and all that are of this one: its file may name its pod
// differently by now.
func ownPods(named, all []engine.Pod, unit string) []engine.Pod {
	own := slices.DeleteFunc(named, func(p engine.Pod) bool { return p.Unit != "" && p.Unit != unit })
	for _, p := range all {
		if p.Unit == unit && !slices.ContainsFunc(own, func(o engine.Pod) bool { return o.ID == p.ID }) {
			own = append(own, p)
		}
	}
	return own
}

// eachPod calls f for the pods, goes on after errors, and prints the IDs of those for which it worked.
func eachPod(env *Env, list []engine.Pod, f func(engine.Pod) error) error {
	return tellEachPod(env, list, func(p engine.Pod) string { return p.ID }, f)
}

// podName is what pod start and pod stop print, as Podman's do.
func podName(p engine.Pod) string { return p.Name }

// tellEachPod is eachPod for those that print something else.
func tellEachPod(env *Env, list []engine.Pod, tell func(engine.Pod) string, f func(engine.Pod) error) error {
	var errs []error
	for _, p := range list {
		if err := f(p); err != nil {
			errs = append(errs, err)
			continue
		}
		if !sd.InJournal(os.Stdout) {
			fmt.Fprintln(env.Out, tell(p))
		}
	}
	return errors.Join(errs...)
}

// podState is what Podman calls the state of a pod.
func podState(p engine.Pod, members []engine.State) string {
	members = slices.DeleteFunc(slices.Clone(members), func(s engine.State) bool { return s.Container.InitCtr != "" })
	running, paused, created := 0, 0, 0
	for _, s := range members {
		switch {
		case frozen(s):
			paused++
		case s.Running(), s.OnItsWay():
			running++
		case status(s) == "created" || status(s) == "initialized":
			created++
		}
	}
	switch live := runDirs().Live(p); {
	case len(members) > 0 && paused == len(members):
		return "Paused"
	case running > 0 && running+paused < len(members):
		return "Degraded"
	case running > 0 || live && len(members) == 0: // one that starts may be about to start the pod
		return "Running"
	case p.Unit == "" && created == len(members) && !p.Started:
		return "Created"
	}
	return "Exited"
}

// frozen reports whether the container's processes are paused (cgroups(7), cgroup.freeze).
func frozen(s engine.State) bool {
	text, err := os.ReadFile("/sys/fs/cgroup" + s.Cgroup + "/cgroup.freeze")
	return err == nil && s.Cgroup != "" && strings.TrimSpace(string(text)) == "1"
}

func podStopVerb() Verb {
	var o podStopOptions
	return Verb{
		Name: "pod stop", Usage: "[OPTION…] POD…", Summary: "stop pods and their containers",
		Removes: true,
		Flags:   o.flags, Run: runPodStop,
	}
}

type podStopOptions struct {
	podTargets
	time int
}

func (o *podStopOptions) flags(set *pflag.FlagSet) {
	o.podTargets.flags(set)
	o.ignoreFlag(set)
	o.ownFlag(set)
	set.IntVarP(&o.time, "time", "t", -1, "`SECONDS` that a container may take to end (default: the container's own)")
	set.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "timeout" {
			name = "time"
		}
		return pflag.NormalizedName(name)
	})
}

func (o *podStopOptions) timeout() *time.Duration {
	if o.time < 0 {
		return nil
	}
	t := time.Duration(o.time) * time.Second
	return &t
}

func runPodStop(ctx context.Context, env *Env, args []string) error {
	var o podStopOptions
	list, err := parseTargets("stop", args, &o)
	if err != nil {
		return err
	}
	return tellEachPod(env, list, podName, func(p engine.Pod) error { return stopPod(ctx, env, p, o.timeout()) })
}

// podHolder is the process that holds the pod's namespaces.
func podHolder(p engine.Pod) rootless.Holder {
	return rootless.Holder{Name: "berth-pod", Namespaces: engine.HolderFlags(p), Args: []string{"pod", "hold", p.ID}}
}

// stopPod stops the containers and takes down what they share.
func stopPod(ctx context.Context, env *Env, p engine.Pod, timeout *time.Duration) error {
	e, err := newEngine(env)
	if err != nil {
		return err
	}
	if err := stopMembers(ctx, env, e, p, timeout); err != nil {
		return err
	}
	if err := leaveUserNet(ctx, env, p); err != nil {
		return err
	}
	return e.StopPod(ctx, p)
}

// stopMembers stops the containers of a pod side by side: by their units, which would start them again otherwise. It fails when one cannot
// be read.
func stopMembers(ctx context.Context, env *Env, e *engine.Engine, p engine.Pod, timeout *time.Duration) error {
	members, err := e.Dirs.MembersSurely(p)
	done := make(chan error)
	for _, s := range members {
		go func() { done <- stopMember(ctx, env, e, s, timeout) }()
	}
	errs := []error{err}
	for range members {
		errs = append(errs, <-done)
	}
	return errors.Join(errs...)
}

func stopMember(ctx context.Context, env *Env, e *engine.Engine, s engine.State, timeout *time.Duration) error {
	_, err := stopWith(ctx, env, s, func(s engine.State) error { return stopRunningMember(ctx, env, e, s, timeout) })
	return err
}

func stopRunningMember(ctx context.Context, env *Env, e *engine.Engine, s engine.State, timeout *time.Duration) error {
	if strings.HasSuffix(s.Unit, ".service") && timeout == nil {
		return sd.Stop(ctx, env.Run, userManaged(), s.Unit)
	}
	if strings.HasSuffix(s.Unit, ".service") { // the manager knows from the job that the end was wanted
		if err := sd.StopLater(ctx, env.Run, userManaged(), s.Unit); err != nil {
			return err
		}
	}
	return e.Stop(ctx, s, engine.RemoveOptions{Force: true, Timeout: timeout})
}

type podRmOptions struct {
	podStopOptions
	force bool
}

func (o *podRmOptions) flags(set *pflag.FlagSet) {
	o.podStopOptions.flags(set)
	set.BoolVarP(&o.force, "force", "f", false, "stop and remove the containers that run first")
}

func (o *podRmOptions) find(names []string) ([]engine.Pod, error) {
	o.ignore = o.ignore || o.force
	return o.podTargets.find(names)
}

func podRmVerb() Verb {
	var o podRmOptions
	return Verb{
		Name: "pod rm", Usage: "[OPTION…] POD…", Summary: "remove pods and their containers",
		Text: `It may be called at any moment and again and again: what an interrupted start or removal has left is taken away too.

Exit status: 1 when there is no such pod, 125 when a container of it runs.`,
		Removes: true,
		Flags:   o.flags, Run: runPodRm,
	}
}

func runPodRm(ctx context.Context, env *Env, args []string) error {
	var o podRmOptions
	list, err := parseTargets("rm", args, &o)
	if err == nil {
		err = eachPod(env, list, func(p engine.Pod) error { return removePod(ctx, env, p, o) })
	}
	return removed(err)
}

// removePod takes the pod's containers away, by the command that knows how to do so for each kind of user, and the pod.
func removePod(ctx context.Context, env *Env, p engine.Pod, o podRmOptions) error {
	find := runDirs().MembersSurely
	if o.force {
		find = runDirs().Members
	}
	members, err := find(p)
	if err != nil {
		return err
	}
	if !o.force {
		err = refuseRunning(ctx, env, p, members)
	}
	if err != nil {
		return err
	}
	for _, s := range members {
		if err := removeMember(ctx, env, s, o); err != nil {
			return err
		}
	}
	e, err := newEngine(env)
	if err != nil {
		return err
	}
	if err := leaveUserNet(ctx, env, p); err != nil {
		return err
	}
	if p, err = runDirs().Refresh(p); err != nil {
		return err
	}
	return errors.Join(e.RemovePod(ctx, p), unlimitPod(p))
}

// refuseRunning refuses the removal of a pod that has a container which runs. One that is being started is waited for.
func refuseRunning(ctx context.Context, env *Env, p engine.Pod, members []engine.State) error {
	for _, s := range members {
		s, err := onceStarted(ctx, env, s)
		if err != nil && !errors.Is(err, engine.ErrNoContainer) {
			return err
		}
		if s.Running() {
			return fmt.Errorf("pod %q %w, %q; --force stops it", p.Name, engine.ErrPodRuns, s.Name)
		}
	}
	return nil
}

// removeMember removes one container of a pod that goes, or has no more use for it. Without force its removal refuses one that has been
// started meanwhile.
func removeMember(ctx context.Context, env *Env, s engine.State, o podRmOptions) error {
	args := []string{"rm", "-v", "-i"}
	if !o.force {
		if _, err := stopReturning(ctx, env, s); err != nil {
			return err
		}
	} else if args = append(args, "-f"); o.time >= 0 { // a time implies force
		args = append(args, fmt.Sprint("--time=", o.time))
	}
	c := itself(append(args, s.ID)...)
	c.Env = append(os.Environ(), podGoesVariable+"=1")
	if _, err := env.Run(ctx, c); err != nil {
		return fmt.Errorf("remove container %q: %w", s.Name, err)
	}
	return nil
}

func podDownVerb() Verb {
	return Verb{
		Name: "pod down", Usage: "POD", Summary: "take down what the containers of a pod share; `pod stop` calls it",
		Removes: true,
		Userns:  needsUserns,
		Run: func(ctx context.Context, env *Env, args []string) error {
			if len(args) != 1 {
				return errors.New("name one pod")
			}
			p, err := runDirs().FindPod(args[0])
			if err != nil {
				return err
			}
			e, err := newEngine(env)
			if err != nil {
				return err
			}
			return e.StopPod(ctx, p)
		},
	}
}

func podHoldVerb() Verb {
	return Verb{
		Name: "pod hold", Usage: "POD", Summary: "hold the namespaces of a pod; `pod start` calls it",
		Run: func(_ context.Context, _ *Env, args []string) error {
			switch {
			case len(args) != 1:
				return errors.New("name one pod")
			case args[0] == engine.PauseWord: // in a pod's namespaces, where there is nothing else
				proc.Pause()
				return nil
			}
			return holdPod(args[0])
		},
	}
}

func podExistsVerb() Verb {
	return Verb{
		Name: "pod exists", Usage: "POD", Summary: "end with 0 if there is such a pod, else with 1",
		Run: func(_ context.Context, _ *Env, args []string) error {
			if len(args) != 1 {
				return errors.New("name one pod")
			}
			_, err := runDirs().FindPod(args[0])
			if errors.Is(err, engine.ErrNoPod) {
				return &ExitError{Code: 1}
			}
			return err
		},
	}
}

func podPruneVerb() Verb {
	return Verb{
		Name: "pod prune", Usage: "[OPTION…]", Summary: "remove the pods that do not run",
		Removes: true,
		Flags:   podPruneFlags,
		Run: func(ctx context.Context, env *Env, args []string) error {
			set := newFlagSet("pod prune")
			podPruneFlags(set)
			if err := parseAlone(set, args); err != nil {
				return err
			}
			all, err := runDirs().Pods()
			if err != nil {
				return err
			}
			var list []engine.Pod
			for _, p := range all {
				members, err := runDirs().Members(p)
				if err != nil {
					return err
				}
				if state := podState(p, members); state == "Created" || state == "Exited" {
					list = append(list, p)
				}
			}
			return eachPod(env, list, func(p engine.Pod) error {
				return removePod(ctx, env, p, podRmOptions{podStopOptions: podStopOptions{time: -1}})
			})
		},
	}
}

func podPruneFlags(set *pflag.FlagSet) { set.BoolP("force", "f", false, "do not ask; it never does") }
