package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/image/verb"
	"github.com/berth-pods/berth/engine/store"
)

type diffOptions struct {
	format string
	latest bool
}

func (o *diffOptions) flags(set *pflag.FlagSet) {
	set.StringVar(&o.format, "format", "", "`FORM` of the output: json")
	set.BoolVarP(&o.latest, "latest", "l", false, "of the container that was made last")
}

func diffVerb() Verb {
	var o diffOptions
	return Verb{
		Name: "diff", Usage: "[OPTION…] CONTAINER|IMAGE", Summary: "list what a container has changed in the files of its image, or the top layer of an image",
		Text:  "A stands for added, C for changed, D for deleted. Volumes are not looked into. `berth image diff` compares images.",
		Flags: o.flags, Run: runDiff, Userns: namespaceNeeded,
	}
}

// oneContainer finds the container of a command that works on one.
func oneContainer(words []string, latest bool) (engine.State, error) {
	switch {
	case latest && len(words) == 0:
		return latestContainer()
	case latest:
		return engine.State{}, errors.New("--latest takes no name")
	case len(words) != 1:
		return engine.State{}, errors.New("name one container")
	}
	return findContainer(words[0])
}

func runDiff(ctx context.Context, env *Env, args []string) error {
	var o diffOptions
	set := newFlagSet("diff")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	if o.format != "" && o.format != "json" {
		return fmt.Errorf("format %q is not json", o.format)
	}
	s, err := oneContainer(set.Args(), o.latest)
	if errors.Is(err, engine.ErrNoContainer) {
		if _, noImage := (&store.Store{}).Image(set.Arg(0)); noImage == nil {
			return runImage(ctx, env, append([]string{"image", "diff"}, args...))
		}
	}
	if err != nil {
		return err
	}
	if s.Container.Rootfs {
		return fmt.Errorf("container %q is made of a directory and not of an image: there is nothing to compare it with", s.Name)
	}
	list, err := (&store.Store{}).Changes(s.ID)
	if err != nil {
		return fmt.Errorf("diff of container %q: %w", s.Name, err)
	}
	list = slices.DeleteFunc(list, func(c store.Change) bool { return slices.Contains(verb.Furnished, c.Path) })
	if o.format == "json" {
		return printJSON(env.Out, changesByKind(list))
	}
	for _, c := range list {
		fmt.Fprintln(env.Out, c.Kind, printable(c.Path))
	}
	return nil
}

// diffed has the names of Podman's `diff --format json`.
type diffed struct {
	Changed []string `json:"changed,omitempty"`
	Added   []string `json:"added,omitempty"`
	Deleted []string `json:"deleted,omitempty"`
}

func changesByKind(list []store.Change) diffed {
	var d diffed
	for _, c := range list {
		switch c.Kind {
		case "A":
			d.Added = append(d.Added, c.Path)
		case "C":
			d.Changed = append(d.Changed, c.Path)
		case "D":
			d.Deleted = append(d.Deleted, c.Path)
		}
	}
	return d
}
