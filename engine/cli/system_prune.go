package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/store"
)

type systemPruneOptions struct {
	all, force, volumes bool
	filters             []string
}

func (o *systemPruneOptions) flags(set *pflag.FlagSet) {
	set.BoolVarP(&o.all, "all", "a", false, "remove all images that no container uses, not those without a name only")
	set.StringArrayVar(&o.filters, "filter", nil, "remove some only, `KEY=VALUE`: label, label!, until")
	set.BoolVarP(&o.force, "force", "f", false, "do not ask")
	set.BoolVar(&o.volumes, "volumes", false, "remove the volumes that no container has too, with all that is in them")
}

func systemPruneVerb() Verb {
	var o systemPruneOptions
	return Verb{
		Name: "system prune", Usage: "[OPTION…]", Summary: "remove what is not in use: containers that do not run, networks, images, and volumes if asked to",
		Text: `The container of a unit that is stopped is gone, so its image, networks and volumes are in nobody's use: with --all or --volumes
they are removed. Of Podman's volumes none is removed: which are in use is not known here.`,
		Removes: true,
		Flags:   o.flags, Userns: namespaceNeeded, Run: runSystemPrune,
		Before: confirmBefore(func(args []string) string {
			o, err := parseSystemPrune(args)
			if err != nil || o.force {
				return ""
			}
			return "This removes all containers that do not run, all networks that no container is on, " +
				map[bool]string{true: "all images that no container uses", false: "all images without a name"}[o.all] +
				map[bool]string{true: " and all volumes that no container has, with all that is in them."}[o.volumes] + map[bool]string{false: "."}[o.volumes]
		}),
	}
}

func parseSystemPrune(args []string) (systemPruneOptions, error) {
	var o systemPruneOptions
	set := newFlagSet("prune")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if set.NArg() > 0 {
		return o, errors.New("system prune takes no names")
	}
	return o, checkPruneFilters(o.filters)
}

// checkPruneFilters: what is thrown away is chosen by labels and age only.
func checkPruneFilters(words []string) error {
	for _, f := range words {
		if key, _, ok := strings.Cut(f, "="); !ok || key != "label" && key != "label!" && key != "until" {
			return fmt.Errorf("filter %q is not known; label, label! and until are", f)
		}
	}
	return nil
}

// pruned is what has been removed of one kind.
type pruned struct {
	title string
	names []string
	size  int64
}

func runSystemPrune(ctx context.Context, env *Env, args []string) error {
	o, err := parseSystemPrune(args)
	if err != nil {
		return err
	}
	steps := []func() (pruned, error){
		func() (pruned, error) { return pruneContainers(ctx, env, o.filters) },
		func() (pruned, error) { return pruneNetworks(o.filters) },
		func() (pruned, error) { return pruneImages(ctx, env, o) },
	}
	if o.volumes {
		steps = append(steps, func() (pruned, error) { return pruneVolumes(o.filters) })
	}
	var errs []error
	total := int64(0)
	for _, step := range steps {
		p, err := step()
		errs = append(errs, err)
		total += p.size
		if len(p.names) > 0 {
			fmt.Fprintf(env.Out, "Deleted %s\n%s\n", p.title, strings.Join(p.names, "\n"))
		}
	}
	fmt.Fprintf(env.Out, "Total reclaimed space: %s\n", humanSize(total, 4))
	return errors.Join(errs...)
}

// pruneContainers removes the containers that do not run.
func pruneContainers(ctx context.Context, env *Env, filters []string) (p pruned, err error) {
	p.title = "Containers"
	passes, err := compileFilters(filters, psFilters())
	if err != nil {
		return p, err
	}
	list, unread, err := runDirs().Listed(true)
	if err != nil {
		return p, err
	}
	e, err := newEngine(env)
	if err != nil {
		return p, err
	}
	images := &store.Store{}
	errs := []error{unread} // whether they run, and what a filter would say of them, is not known
	for _, s := range list {
		if s.Running() || s.OnItsWay() || !passes(&psRow{State: &s, status: status(s)}) {
			continue // it runs, or is being made, or is not meant
		}
		written, _, _ := images.Sizes(s.ID)
		if err := e.Remove(ctx, s.ID, engine.RemoveOptions{Ignore: true}); err != nil {
			if !errors.Is(err, engine.ErrRunning) { // it was started meanwhile
				errs = append(errs, err)
			}
			continue
		}
		p.names, p.size = append(p.names, s.ID), p.size+written
	}
	return p, errors.Join(errs...)
}

// pruneNetworks removes the networks that no container is on; the default one stays.
func pruneNetworks(filters []string) (p pruned, err error) {
	p.title = "Networks"
	r, err := networks()
	if err != nil {
		return p, err
	}
	list, err := filteredNetworks(r, append(append([]string{}, filters...), "dangling=true"))
	if err != nil {
		return p, err
	}
	var errs []error
	for _, n := range list {
		if n.Path == "" {
			continue // the default one
		}
		switch err := deleteNetwork(r, n); {
		case err == nil:
			p.names = append(p.names, n.Name())
		case !errors.Is(err, errNetworkUsed): // by now
			errs = append(errs, err)
		}
	}
	return p, errors.Join(errs...)
}

// pruneVolumes removes the volumes of ours that no container has.
func pruneVolumes(filters []string) (p pruned, err error) {
	p.title = "Volumes"
	list, err := volumes().List()
	if err != nil {
		return p, err
	}
	if list, err = filtered(list, filters, volumeFilters()); err != nil {
		return p, err
	}
	errs := []error{volumes().Sweep()}
	for _, v := range list {
		if !v.Ours {
			continue
		}
		users, err := runDirs().VolumeUsers(v.Name)
		if err == nil && len(users) == 0 {
			size := treeSize(v.Path)
			if err = removeVolume(v.Name); err == nil {
				p.names, p.size = append(p.names, v.Name), p.size+size
			}
			var used *engine.VolumeUsedError
			if errors.As(err, &used) || errors.Is(err, store.ErrNoVolume) {
				continue // meanwhile
			}
		}
		errs = append(errs, err)
	}
	return p, errors.Join(errs...)
}

// pruneImages lets berth-image remove images, and looks up what they took.
func pruneImages(ctx context.Context, env *Env, o systemPruneOptions) (p pruned, err error) {
	p.title = "Images"
	before, err := imagesOf(ctx, env)
	if err != nil {
		return p, err
	}
	args := []string{"image", "prune", "--force"}
	if o.all {
		args = append(args, "--all")
	}
	for _, f := range o.filters {
		args = append(args, "--filter", f)
	}
	out, err := env.Run(ctx, proc.Command{Path: helper("berth-image"), Args: args})
	for _, id := range strings.Fields(string(out)) {
		p.names = append(p.names, id)
		for _, i := range before {
			if i.ID == id {
				p.size += i.Size
			}
		}
	}
	var exit *proc.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("images: %s", strings.TrimPrefix(strings.TrimSpace(exit.Stderr), "Error: "))
	}
	return p, err
}
