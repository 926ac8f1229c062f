package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/spec"
)

type cloneOptions struct {
	name, pod           string
	destroy, force, run bool
}

func (o *cloneOptions) flags(set *pflag.FlagSet, c *spec.Container) {
	bindLimits(set, c)
	set.StringVar(&o.name, "name", "", "`NAME` of the new container (default: that of the other with -clone, or -clone and a number)")
	set.StringVar(&o.pod, "pod", "", "put it into this `POD` (default: that of the other)")
	set.BoolVar(&o.destroy, "destroy", false, "remove the container that was cloned")
	set.BoolVarP(&o.force, "force", "f", false, "with --destroy: stop it first when it runs")
	set.BoolVar(&o.run, "run", false, "start the new container")
}

func containerCloneVerb() Verb {
	var o cloneOptions
	return Verb{
		Name: "container clone", Usage: "[OPTION…] CONTAINER [NAME [IMAGE]]", Summary: "make a container with the options of another",
		Text: `It is made anew of the image, or of the one that is named, and has nothing of what the other has written; its named volumes are
the other's. Ports and addresses are the same too: where there are some, only one of the two can run. Prints the ID.`,
		Flags: func(set *pflag.FlagSet) { o.flags(set, &spec.Container{}) }, Run: runContainerClone,
		// What runs units, or ends them, asks systemd, which would not know the root of a user's namespace.
		Userns: func(args []string) bool {
			o, _, _, err := parseContainerClone(args)
			return err == nil && !o.destroy && !o.run && rootless.Needed()
		},
	}
}

// parseContainerClone finds the container, and tells what the new one is to be.
func parseContainerClone(args []string) (o cloneOptions, s engine.State, c spec.Container, err error) {
	set := newFlagSet("container clone")
	o.flags(set, &spec.Container{})
	if err := set.Parse(args); err != nil {
		return o, s, c, err
	}
	words := set.Args()
	switch {
	case len(words) == 0 || len(words) > 3:
		return o, s, c, errors.New("name the container, and at most the new one and its image: `berth container clone CONTAINER NAME IMAGE`")
	case len(words) > 1 && o.name != "":
		return o, s, c, errors.New("--name and a second word exclude each other: both name the new container")
	case o.force && !o.destroy:
		return o, s, c, errors.New("--force is for --destroy, which is not given")
	}
	if s, err = findContainer(words[0]); err != nil {
		return o, s, c, err
	}
	if o.destroy && s.Running() && !o.force {
		return o, s, c, fmt.Errorf("%w: %q; --force stops it", engine.ErrRunning, s.Name)
	}
	if c, err = likeContainer(s, o.pod); err != nil {
		return o, s, c, err
	}
	replaceGiven(set, &c)
	o2, second := cloneOptions{}, newFlagSet("container clone")
	o2.flags(second, &c)
	if err := second.Parse(args); err != nil {
		return o, s, c, err
	}
	c.Name = append(words[1:], o.name)[0]
	if c.Name == "" {
		c.Name = cloneName(s.Name, func(name string) bool { _, err := runDirs().Find(name); return err == nil })
	}
	if len(words) == 3 {
		c.Image, c.Rootfs = words[2], false
	}
	return o, s, c, nil
}

// likeContainer has the options of a container, without what only one can have. It outlives its end, whatever that one does: else
// it could not be started.
func likeContainer(s engine.State, pod string) (spec.Container, error) {
	c := s.Container
	if s.Pod != "" {
		p, err := runDirs().FindPod(s.Pod)
		if err != nil {
			return c, err
		}
		c, c.Pod = p.Spec.Part(c), p.ID
	}
	if pod != "" {
		p, err := runDirs().FindPod(pod)
		if err != nil {
			return c, err
		}
		c.Pod = p.ID
	}
	c.CreateCommand = nil
	c.PodIDFile, c.CIDFile, c.PIDFile, c.Replace, c.Remove, c.Detach = "", "", "", false, false, false
	return c, nil
}

// cloneName is the first free name of those that Podman gives: web-clone, web-clone1, web-clone2.
func cloneName(name string, taken func(string) bool) string {
	fresh := name + cloneSuffix
	for n := 1; taken(fresh); n++ {
		fresh = fmt.Sprintf("%s%s%d", name, cloneSuffix, n)
	}
	return fresh
}

func runContainerClone(ctx context.Context, env *Env, args []string) error {
	o, s, c, err := parseContainerClone(args)
	if err != nil {
		return err
	}
	if !o.destroy && !o.run {
		e, err := newEngine(env)
		if err != nil {
			return err
		}
		fresh, err := e.Create(ctx, c)
		if err == nil {
			_, err = fmt.Fprintln(env.Out, fresh.ID)
		}
		return err
	}
	self := func(words ...string) (string, error) {
		c := itself(words...)
		c.Stderr = env.Err
		out, err := env.Run(ctx, c)
		if err != nil {
			err = &ExitError{Code: statusFailed} // it has said why
		}
		return trimLine(out), err
	}
	plain := append(append([]string{"container", "clone"}, args...), "--destroy=false", "--force=false", "--run=false")
	id, err := self(plain...)
	if err != nil {
		return err
	}
	if o.destroy {
		words := []string{"rm", s.ID}
		if o.force {
			words = []string{"rm", "--force", s.ID}
		}
		if _, err := self(words...); err != nil {
			return err
		}
	}
	if o.run {
		if _, err := self("start", id); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(env.Out, id)
	return err
}
