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
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/proc"
)

func podKillVerb() Verb {
	var o podKillOptions
	return Verb{
		Name: "pod kill", Usage: "[OPTION…] POD…", Summary: "send a signal to the containers of pods",
		Removes: true,
		Flags:   o.flags, Run: runPodKill,
	}
}

type podKillOptions struct {
	podTargets
	signal string
}

func (o *podKillOptions) flags(set *pflag.FlagSet) {
	o.podTargets.flags(set)
	set.StringVarP(&o.signal, "signal", "s", "KILL", "`SIGNAL` to send")
}

func runPodKill(_ context.Context, env *Env, args []string) error {
	var o podKillOptions
	list, err := parseTargets("kill", args, &o)
	if err != nil {
		return err
	}
	sig, err := proc.ParseSignal(o.signal)
	if err != nil {
		return err
	}
	return eachPod(env, list, func(p engine.Pod) error {
		return eachMember(p, func(s engine.State) error {
			if !s.Running() {
				return nil
			}
			pidfd, err := s.Init.Open()
			if errors.Is(err, proc.ErrGone) {
				return nil
			}
			if err != nil {
				return err
			}
			defer pidfd.Close()
			return proc.Signal(pidfd, sig)
		})
	})
}

// eachMember calls f for the containers of a pod and goes on after errors.
func eachMember(p engine.Pod, f func(engine.State) error) error {
	members, err := runDirs().Members(p)
	errs := []error{err}
	for _, s := range members {
		if err := f(s); err != nil {
			errs = append(errs, fmt.Errorf("container %q: %w", s.Name, err))
		}
	}
	return errors.Join(errs...)
}

func podPauseVerb() Verb {
	var o podTargets
	return Verb{
		Name: "pod pause", Usage: "[OPTION…] POD…", Summary: "pause the containers of pods",
		Flags: o.flags, Run: func(_ context.Context, env *Env, args []string) error { return freezePods(env, "pause", "1", args) },
	}
}

func podUnpauseVerb() Verb {
	var o podTargets
	return Verb{
		Name: "pod unpause", Usage: "[OPTION…] POD…", Summary: "let the containers of pods go on",
		Flags: o.flags, Run: func(_ context.Context, env *Env, args []string) error { return freezePods(env, "unpause", "0", args) },
	}
}

// freezePods writes to the switch of the containers' control groups (cgroups(7), cgroup.freeze).
func freezePods(env *Env, verb, value string, args []string) error {
	var o podTargets
	list, err := parseTargets(verb, args, &o)
	if err != nil {
		return err
	}
	return eachPod(env, list, func(p engine.Pod) error {
		return eachMember(p, func(s engine.State) error {
			if !s.Running() {
				return nil
			}
			if s.Cgroup == "" {
				return errors.New("it has no control group of its own, so it cannot be paused")
			}
			return os.WriteFile(filepath.Join("/sys/fs/cgroup", s.Cgroup, "cgroup.freeze"), []byte(value), 0)
		})
	})
}

type podLogsOptions struct {
	logsOptions
	container string
}

func (o *podLogsOptions) flags(set *pflag.FlagSet) {
	o.logsOptions.flags(set)
	set.Lookup("latest").Usage = "print those of the pod that was made last"
	set.StringVarP(&o.container, "container", "c", "", "of this `CONTAINER` only")
}

func podLogsVerb() Verb {
	var o podLogsOptions
	return Verb{
		Name: "pod logs", Usage: "[OPTION…] POD", Summary: "print what the containers of a pod have written",
		Flags: o.flags, Run: runPodLogs,
	}
}

func runPodLogs(ctx context.Context, env *Env, args []string) error {
	var o podLogsOptions
	set := newFlagSet("logs")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 1 {
		return errors.New("name one pod")
	}
	if err := o.times(time.Now()); err != nil {
		return err
	}
	list, err := (&podTargets{latest: o.latest}).find(set.Args())
	if err != nil {
		return err
	}
	p := list[0]
	members, err := runDirs().Members(p)
	if err != nil {
		return err
	}
	members = slices.DeleteFunc(members, func(s engine.State) bool {
		return o.container != "" && o.container != s.Name && !strings.HasPrefix(s.ID, o.container)
	})
	if len(members) == 0 {
		return fmt.Errorf("pod %q has no such container", p.Name)
	}
	o.prefixed = len(members) > 1
	return printAll(ctx, env, members, o.logsOptions)
}

func podTopVerb() Verb {
	var o podTargets
	return Verb{
		Name: "pod top", Usage: "[OPTION…] POD [DESCRIPTOR…]", Summary: "list the processes of a pod",
		Text: "The descriptors are those of ps(1), -o.",
		Flags: func(set *pflag.FlagSet) {
			set.BoolVarP(&o.latest, "latest", "l", false, "of the pod that was made last")
		}, Run: runPodTop,
	}
}

func runPodTop(ctx context.Context, env *Env, args []string) error {
	var o podTargets
	set := newFlagSet("top")
	set.BoolVarP(&o.latest, "latest", "l", false, "")
	set.SetInterspersed(false)
	if err := set.Parse(args); err != nil {
		return err
	}
	names, rest := set.Args(), set.Args()
	if o.latest {
		names = nil
	} else {
		names, rest = names[:min(1, len(names))], rest[min(1, len(rest)):]
	}
	list, err := o.find(names)
	if err != nil {
		return err
	}
	descriptors := strings.Join(rest, ",")
	if descriptors == "" {
		descriptors = "user,pid,ppid,pcpu,etime,tty,time,args"
	}
	var pids []string
	err = eachMember(list[0], func(s engine.State) error {
		pids = append(pids, processes(s)...)
		return nil
	})
	if err != nil {
		return err
	}
	if len(pids) == 0 {
		return fmt.Errorf("pod %q has no container that runs", list[0].Name)
	}
	path, err := exec.LookPath("ps")
	if err != nil {
		return errors.New("ps is not there; install procps")
	}
	out, err := env.Run(ctx, proc.Command{Path: path, Args: []string{"-o", descriptors, "-p", strings.Join(pids, ",")}})
	if err != nil {
		return err
	}
	_, err = env.Out.Write(out)
	return err
}

// processes are the PIDs in the container's control group.
func processes(s engine.State) []string {
	var pids []string
	filepath.WalkDir(filepath.Join("/sys/fs/cgroup", s.Cgroup), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == "cgroup.procs" && s.Cgroup != "" {
			text, _ := os.ReadFile(path)
			pids = append(pids, strings.Fields(string(text))...)
		}
		return nil
	})
	if s.Cgroup == "" && s.Running() {
		pids = []string{strconv.Itoa(s.Init.PID)}
	}
	return pids
}
