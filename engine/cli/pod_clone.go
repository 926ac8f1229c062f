package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/units"
)

// changedByClone are the flags of pod create that pod clone has, too: one value replaces that of the pod, a list is added to.
var changedByClone = append([]string{
	"device", "gpus", "hostname", "label", "label-file", "pid", "restart", "security-opt", "shm-size", "shm-size-systemd", "sysctl", "uts", "volume", "volumes-from",
	"gidmap", "subgidname", "subuidname", "uidmap", "userns",
}, units.LimitFlags...)

type podCloneOptions struct {
	podOtherFlags
	common          spec.Container // of the new pod
	name, infraName string
	destroy, start  bool
}

func (o *podCloneOptions) flags(set *pflag.FlagSet) {
	for _, f := range runFlags {
		if slices.Contains(changedByClone, f.name) {
			set.VarPF(f.bind(&o.common), f.name, f.short, f.podUsage())
		}
	}
	o.podOtherFlags.flags(set, &o.infraName)
	set.StringVarP(&o.name, "name", "n", "", "`NAME` of the new pod (default: that of the other with -clone)")
	set.BoolVar(&o.destroy, "destroy", false, "remove the pod that was cloned, with its containers")
	set.BoolVar(&o.start, "start", false, "start the new pod")
}

// cloneSuffix is added to names of which there is no second one.
const cloneSuffix = "-clone"

func podCloneVerb() Verb {
	var o podCloneOptions
	return Verb{
		Name: "pod clone", Usage: "[OPTION…] POD [NAME]", Summary: "make a pod like another, with containers like the other's",
		Text: `The containers are made anew of their images, with the options of those of the other pod and -clone added to their names. The
ports and addresses are the same: only one of the two can run, unless the pods have none.`,
		Flags: o.flags, Run: runPodClone,
	}
}

// parsePodClone finds the pod, and reads the options into what the new pod has.
func parsePodClone(args []string) (podCloneOptions, engine.Pod, error) {
	var o podCloneOptions
	set := newFlagSet("clone")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return o, engine.Pod{}, err
	}
	words := set.Args()
	if len(words) == 0 || len(words) > 2 || len(words) == 2 && o.name != "" {
		return o, engine.Pod{}, errors.New("name the pod, and the new one at most once: `berth pod clone POD NAME`")
	}
	p, err := runDirs().FindPod(words[0])
	if err != nil {
		return o, p, err
	}
	// Once more, over what the pod has. A user namespace is replaced as a whole.
	own := spec.OwnUsers(o.common)
	o, name := podCloneOptions{common: p.Spec.Common}, p.Name+cloneSuffix
	if c := &o.common; own {
		c.UserNS, c.UIDMaps, c.GIDMaps, c.SubUIDName, c.SubGIDName = "", nil, nil, "", ""
	}
	set = newFlagSet("clone")
	o.flags(set)
	if err = set.Parse(args); err == nil {
		o.common, err = o.checked(o.common)
	}
	if o.name == "" {
		o.name = append(words[1:], name)[0]
	}
	return o, p, err
}

func runPodClone(ctx context.Context, env *Env, args []string) error {
	o, p, err := parsePodClone(args)
	if err != nil {
		return err
	}
	s := p.Spec
	o.common.CreateCommand = nil
	s.Name, s.Common, s.Maker, s.Kept = o.name, o.common, "", byHand()
	if o.infraName != "" {
		s.InfraName = o.infraName
	}
	fresh, err := runDirs().CreatePod(s)
	if err != nil {
		return err
	}
	fresh.TellCreated()
	fill := itself("pod", "fill", p.ID, fresh.ID)
	fill.Stderr = env.Err
	if _, err := env.Run(ctx, fill); err != nil {
		why := fmt.Errorf("pod %q is not made, for the containers of pod %q cannot be cloned", fresh.Name, p.Name)
		return errors.Join(why, removePod(context.WithoutCancel(ctx), env, fresh, podRmOptions{force: true, podStopOptions: podStopOptions{time: -1}}))
	}
	if o.destroy {
		if err := removePod(ctx, env, p, podRmOptions{force: true, podStopOptions: podStopOptions{time: -1}}); err != nil {
			return err
		}
	}
	if o.start {
		if err := startWhole(ctx, env, fresh); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(env.Out, fresh.ID)
	return err
}

func podFillVerb() Verb {
	return Verb{
		Name: "pod fill", Usage: "POD POD", Summary: "make containers like those of one pod in another; `pod clone` calls it",
		Userns: needsUserns, Run: runPodFill,
	}
}

func runPodFill(ctx context.Context, env *Env, args []string) error {
	if len(args) != 2 {
		return errors.New("name two pods")
	}
	dirs := runDirs()
	from, err := dirs.FindPod(args[0])
	if err != nil {
		return err
	}
	into, err := dirs.FindPod(args[1])
	if err != nil {
		return err
	}
	members, err := dirs.Members(from)
	if err != nil {
		return err
	}
	e, err := newEngine(env)
	if err != nil {
		return err
	}
	for _, s := range members {
		c := from.Spec.Part(s.Container)
		c.Name, c.Pod, c.PodIDFile, c.Replace = s.Name+cloneSuffix, into.ID, "", false
		if _, err := e.Create(ctx, c); err != nil {
			return fmt.Errorf("container %q: %w", c.Name, err)
		}
	}
	return nil
}
