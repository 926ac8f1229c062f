package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/network"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/store"
)

type inspectOptions struct {
	format, kind string
	latest, size bool
}

func (o *inspectOptions) flags(set *pflag.FlagSet) {
	set.StringVarP(&o.format, "format", "f", "json", "`FORM` of the output: json, or a template such as {{.State.Status}}")
	set.StringVarP(&o.kind, "type", "t", "all", "`KIND` of things to look for: all, container, image, volume, network, pod or artifact")
	set.BoolVarP(&o.latest, "latest", "l", false, "show the container that was made last")
	set.BoolVarP(&o.size, "size", "s", false, "show how much containers have written; this looks at all their files")
}

func inspectVerb() Verb {
	var o inspectOptions
	return Verb{
		Name: "inspect", Usage: "[OPTION…] NAME…", Summary: "show all that is known of containers, images, volumes, networks and pods, as JSON",
		Text: `Each name is looked for among the containers, then the images, the volumes, the networks, the pods and the artifacts. The fields
are Podman's; Berth has what berth knows beside them. The values of secrets are never shown. What is found is printed even
when other names are not.`,
		Flags: o.flags, Userns: namespaceNeeded, Run: runInspect,
	}
}

// errNothing says that there is nothing of that name, of any kind.
var errNothing = errors.New("no such object")

// inspector looks for a thing of one kind; isMissing is true of the error when it is not there.
type inspector struct {
	kind string
	find func(i inspection, name string) (any, error)
}

var inspectors = []inspector{
	{"container", inspection.container},
	{"image", inspection.image},
	{"volume", func(_ inspection, name string) (any, error) {
		v, err := volumes().Find(name)
		return inspectVolume(v), err
	}},
	{"network", inspection.network},
	{"pod", func(_ inspection, name string) (any, error) {
		p, err := runDirs().FindPod(name)
		if err != nil {
			return nil, err
		}
		return inspectPod(p)
	}},
	{"artifact", inspection.artifact},
}

// inspection is one call of inspect.
type inspection struct {
	ctx    context.Context //nolint:containedctx // it lives as long as the call
	env    *Env
	o      inspectOptions
	images *store.Store
}

func runInspect(ctx context.Context, env *Env, args []string) error {
	var o inspectOptions
	set := newFlagSet("inspect")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	i := inspection{ctx, env, o, &store.Store{}}
	known := slices.ContainsFunc(inspectors, func(k inspector) bool { return k.kind == o.kind })
	switch {
	case o.kind != "all" && !known:
		return fmt.Errorf("--type=%s is not known; all, container, image, volume, network, pod and artifact are", o.kind)
	case set.NArg() == 0 && !o.latest:
		return errors.New("nothing is named")
	case o.latest && (set.NArg() > 0 || o.kind != "all" && o.kind != "container"):
		return errors.New("--latest is for containers and takes no names")
	}
	list := []any{}
	var errs []error
	if o.latest {
		s, err := latestContainer()
		if err != nil {
			return err
		}
		list = append(list, i.inspect(s))
	}
	for _, name := range set.Args() {
		found, err := i.find(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, found)
	}
	return errors.Join(append(errs, printInspected(env.Out, o.format, list))...)
}

// find looks for a thing of the kind that was asked for, or of any.
func (i inspection) find(name string) (any, error) {
	for _, k := range inspectors {
		if i.o.kind != "all" && i.o.kind != k.kind {
			continue
		}
		found, err := k.find(i, name)
		if err == nil || i.o.kind == k.kind || !isMissing(err) {
			return found, err
		}
	}
	return nil, fmt.Errorf("%w: %q", errNothing, name)
}

// isMissing tells whether the error only says that there is no such thing.
func isMissing(err error) bool {
	for _, e := range []error{engine.ErrNoContainer, engine.ErrNoImage, engine.ErrNoVolume, engine.ErrNoPod, network.ErrNone, errNothing} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (i inspection) container(name string) (any, error) {
	s, err := findContainer(name)
	if err != nil {
		return nil, err
	}
	return i.inspect(s), nil
}

func (i inspection) network(name string) (any, error) {
	r, err := networks()
	if err != nil {
		return nil, err
	}
	n, err := r.Find(name)
	if err != nil {
		return nil, err
	}
	containers, err := runDirs().List()
	return inspectedOn{n, members(n.Name(), containers)}, err
}

func (i inspection) image(name string) (any, error) {
	if _, err := i.images.Image(name); err != nil {
		return nil, err
	}
	return i.byImages("image", name)
}

func (i inspection) artifact(name string) (any, error) {
	found, err := i.byImages("artifact", name)
	var exit *proc.ExitError
	if errors.As(err, &exit) && i.o.kind == "all" {
		err = errNothing
	}
	return found, err
}

// byImages asks berth-image, which knows most of images.
func (i inspection) byImages(kind, name string) (any, error) {
	out, err := i.env.Run(i.ctx, proc.Command{Path: helper("berth-image"), Args: []string{kind, "inspect", name}})
	var exit *proc.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("%s %q: %s%w", kind, name, strings.TrimPrefix(strings.TrimSpace(exit.Stderr), "Error: "), hidden{err})
	}
	if err != nil {
		return nil, err
	}
	var list []json.RawMessage
	if err := json.Unmarshal(out, &list); err == nil && len(list) == 1 {
		return list[0], nil
	}
	return json.RawMessage(out), nil
}

// hidden is an error that is there, but says nothing.
type hidden struct{ error }

func (hidden) Error() string   { return "" }
func (h hidden) Unwrap() error { return h.error }
