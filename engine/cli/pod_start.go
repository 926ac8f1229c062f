package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/sd"
)

func podStartVerb() Verb {
	var o podTargets
	return Verb{
		Name: "pod start", Usage: "[OPTION…] POD…", Summary: "start pods and their containers",
		Text: `Makes what the containers share. Init containers (create --init-ctr) run then, one after the other in the order in which they
were made; when one of them fails, the pod is not started. At last the other containers that were made before, or have ended, are
started by units of their own. Those of unit files are started by systemd.`,
		Flags: o.flags, Run: runPodStart,
	}
}

func runPodStart(ctx context.Context, env *Env, args []string) error {
	var o podTargets
	list, err := parseTargets("start", args, &o)
	if err != nil {
		return err
	}
	return tellEachPod(env, list, podName, func(p engine.Pod) error { return startWhole(ctx, env, p) })
}

// startWhole starts a pod and the containers in it that do not run: first those that prepare it for the others.
func startWhole(ctx context.Context, env *Env, p engine.Pod) error {
	fresh := !runDirs().Live(p)
	if err := startPod(ctx, env, p); err != nil || os.Getenv("NOTIFY_SOCKET") != "" {
		return err // within a unit the containers are those of other units
	}
	members, err := runDirs().Members(p)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(members, func(s engine.State) bool { return s.Container.InitCtr == "" && (s.Running() || s.OnItsWay()) }) {
		err = preparePod(ctx, env, p, members)
	}
	if err != nil && fresh {
		if p, findErr := runDirs().Refresh(p); findErr == nil {
			err = errors.Join(err, stopPod(context.WithoutCancel(ctx), env, p, nil))
		}
	}
	if err != nil {
		return err
	}
	return startMembers(ctx, env, members)
}

// startMembers starts the containers of a pod that do not run, side by side.
func startMembers(ctx context.Context, env *Env, members []engine.State) error {
	members = slices.DeleteFunc(members, func(s engine.State) bool {
		return s.Container.InitCtr != "" || !s.Lasting() || s.Running() || s.OnItsWay()
	})
	results := make([]error, len(members))
	var starts sync.WaitGroup
	for i, s := range members {
		starts.Go(func() { results[i] = startUnit(ctx, env, s) })
	}
	starts.Wait()
	return errors.Join(results...)
}

// preparePod runs the init containers of a pod one after the other.
func preparePod(ctx context.Context, env *Env, p engine.Pod, members []engine.State) error {
	for _, s := range members {
		if s.Container.InitCtr == "" {
			continue
		}
		if err := startUnit(ctx, env, s); err != nil {
			return fmt.Errorf("pod %q is not started, for its init container %q cannot start: %w", p.Name, s.Name, err)
		}
		code, err := endOf(ctx, env, s)
		if err != nil {
			return err
		}
		if code != 0 {
			return fmt.Errorf("pod %q is not started, for its init container %q has ended with status %d; `berth logs %s` tells more", p.Name, s.Name, code, s.Name)
		}
		if s.Container.InitCtr == "once" {
			if err := removeMember(ctx, env, s, podRmOptions{force: true, podStopOptions: podStopOptions{time: -1}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// endOf waits until a container has ended and its unit has written down how.
func endOf(ctx context.Context, env *Env, s engine.State) (int, error) {
	now, err := runDirs().Find(s.ID)
	if err != nil {
		return 0, err
	}
	if pidfd, err := now.Init.Open(); err == nil {
		_, err = proc.Wait(ctx, pidfd, -1)
		pidfd.Close()
		if err != nil {
			return 0, err
		}
	}
	const patience = 300 // tenths of a second
	return exitOf(ctx, env, now, patience)
}

// startPod starts the pod and tells systemd. Where a process is needed it is the main one of a unit.
func startPod(ctx context.Context, env *Env, p engine.Pod) error {
	dirs := runDirs()
	if dirs.Live(p) {
		return nil
	}
	inUnit := os.Getenv("NOTIFY_SOCKET") != ""
	if !rootless.Inside() {
		if err := limitPod(ctx, env, p); err != nil {
			return err
		}
	}
	if engine.NeedsHolder(p) && (!rootless.Inside() || podOnBridges(p)) {
		if !inUnit && rootless.Inside() {
			return fmt.Errorf("pod %q is not running; `berth pod start %s` starts it", p.Name, p.Name)
		}
		if !inUnit {
			return sd.StartTransient(ctx, env.Run, sd.Transient{
				User: rootless.Needed(), Unit: p.Name + "-pod", Program: selfPath(),
				Start: ownWords("pod", "start", p.Name), Stop: ownWords("pod", "stop", "--ignore", p.Name),
			})
		}
		if rootless.Needed() && podOnBridges(p) {
			return enterUserNet(ctx, env, p)
		}
		if err := holdNamespaces(ctx, env, p); err != nil {
			return err
		}
	}
	e, err := newEngine(env)
	if err != nil {
		return err
	}
	if p, err = e.StartPod(ctx, p); err != nil || !inUnit {
		return err
	}
	state := "READY=1"
	if p.Holder.PID > 0 {
		state = fmt.Sprintf("MAINPID=%d\nREADY=1", p.Holder.PID)
	}
	return e.Manager.Notify(state)
}

// holdNamespaces starts the pod's holder, and goes where that is. That of a pod with a user namespace of its own is made by StartPod,
// in the one that a user comes by here.
func holdNamespaces(ctx context.Context, env *Env, p engine.Pod) error {
	if p.Spec.Shares("user") && !rootless.Needed() {
		return nil
	}
	holder, err := rootless.Hold(ctx, env.Run, podHolder(p))
	if err != nil {
		return fmt.Errorf("pod %q: %w", p.Name, err)
	}
	if _, err = runDirs().HoldPod(p, holder); err == nil && rootless.Needed() {
		err = rootless.Enter(holder)
	}
	return err
}

func podRestartVerb() Verb {
	var o podTargets
	return Verb{
		Name: "pod restart", Usage: "[OPTION…] POD…", Summary: "stop pods and start them again, with their containers",
		Text:  "The containers are started again as `pod start` does it; those of unit files by systemd.",
		Flags: o.flags, Run: runPodRestart,
	}
}

func runPodRestart(ctx context.Context, env *Env, args []string) error {
	var o podTargets
	list, err := parseTargets("restart", args, &o)
	if err != nil {
		return err
	}
	return eachPod(env, list, func(p engine.Pod) error {
		if p.Unit != "" && runDirs().Live(p) {
			if err := sd.Restart(ctx, env.Run, userManaged(), p.Unit); err != nil || !p.Spec.Kept {
				return err
			}
		} else if err := stopPod(ctx, env, p, nil); err != nil {
			return err
		}
		if p, err = runDirs().Refresh(p); err != nil { // its holder is another one by now
			return err
		}
		return startWhole(ctx, env, p)
	})
}
