package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/store"
)

type mountOptions struct {
	all, latest, noTrunc bool
	format               string
}

func (o *mountOptions) flags(set *pflag.FlagSet) {
	set.BoolVarP(&o.all, "all", "a", false, "all containers")
	set.StringVar(&o.format, "format", "", "`FORM` of the list: json")
	set.BoolVarP(&o.latest, "latest", "l", false, "the container that was made last")
	set.BoolVar(&o.noTrunc, "no-trunc", false, "print whole IDs")
}

func mountVerb() Verb {
	var o mountOptions
	return Verb{
		Name: "mount", Usage: "[OPTION…] [CONTAINER…]", Summary: "mount the root file systems of containers and print where, or list those that are mounted",
		Text: `What is mounted is what the container itself sees, without its volumes. The mount stays until unmount, or until the container is
removed. Its files are the container's: a link among them leads anywhere. cp and export are safer to look at them with.`,
		Flags: o.flags, Run: runMount,
	}
}

// forRootOnly refuses what would be seen by nobody.
func forRootOnly(verb string) error {
	if rootlessMode() {
		return fmt.Errorf("%s needs root: what a user mounts is seen in a namespace that ends with the command; `berth cp` and `berth export` reach the files of a user's containers", verb)
	}
	return nil
}

func runMount(_ context.Context, env *Env, args []string) error {
	var o mountOptions
	set := newFlagSet("mount")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	if err := forRootOnly("mount"); err != nil {
		return err
	}
	if o.format != "" && o.format != "json" {
		return fmt.Errorf("format %q is not json", o.format)
	}
	if set.NArg() == 0 && !o.all && !o.latest {
		return listMounts(env, o)
	}
	list, err := containers(set.Args(), selection{all: o.all, latest: o.latest})
	if err != nil {
		return err
	}
	e, err := newEngine(env)
	if err != nil {
		return err
	}
	images := &store.Store{}
	e.Store = images
	var errs []error
	for _, s := range list {
		if s.Container.Rootfs {
			if !o.all {
				errs = append(errs, fmt.Errorf("container %q is made of the directory %s: there it is", s.Name, s.Image))
			}
			continue
		}
		place, err := e.ShowRootfs(s, images.MountPoint)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.Tell("mount")
		if len(list) == 1 && !o.all {
			fmt.Fprintln(env.Out, place)
		} else {
			fmt.Fprintln(env.Out, shortID(s.ID, o.noTrunc), place)
		}
	}
	return errors.Join(errs...)
}

// mounted has the names of Podman's `mount --format json`.
type mounted struct {
	ID         string   `json:"id"`
	Names      []string `json:"Names"`
	Mountpoint string   `json:"mountpoint"`
}

func listMounts(env *Env, o mountOptions) error {
	all, err := runDirs().All()
	if err != nil {
		return err
	}
	list := []mounted{}
	images := &store.Store{}
	for _, s := range all {
		if s.Container.Rootfs {
			continue
		}
		if place, err := images.MountPoint(s.ID); err == nil && place != "" && engine.IsMounted(place) {
			list = append(list, mounted{ID: s.ID, Names: []string{s.Name}, Mountpoint: place})
		}
	}
	if o.format == "json" {
		return printJSON(env.Out, list)
	}
	for _, m := range list {
		fmt.Fprintln(env.Out, shortID(m.ID, o.noTrunc), m.Mountpoint)
	}
	return nil
}

type unmountOptions struct{ all, force, latest bool }

func (o *unmountOptions) flags(set *pflag.FlagSet) {
	set.BoolVarP(&o.all, "all", "a", false, "all that are mounted")
	set.BoolVarP(&o.force, "force", "f", false, "take all mounts of a container away; it never waits for who uses one")
	set.BoolVarP(&o.latest, "latest", "l", false, "the container that was made last")
}

func unmountVerb() Verb {
	var o unmountOptions
	return Verb{
		Name: "unmount", Usage: "[OPTION…] CONTAINER…", Summary: "take mounts of the root file systems of containers away",
		Flags: o.flags, Run: runUnmount, Aliases: []string{"umount"},
	}
}

func runUnmount(_ context.Context, env *Env, args []string) error {
	var o unmountOptions
	set := newFlagSet("unmount")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	if err := forRootOnly("unmount"); err != nil {
		return err
	}
	list, err := containers(set.Args(), selection{all: o.all, latest: o.latest})
	if err != nil {
		return err
	}
	var errs []error
	for i, s := range list {
		images := &store.Store{}
		place, err := images.MountPoint(s.ID)
		if err != nil || place == "" || !engine.IsMounted(place) {
			if !o.all {
				errs = append(errs, fmt.Errorf("container %q is not mounted", s.Name))
			}
			continue
		}
		// What the store counts are also the mounts that containers had in namespaces of their own, which are gone with them.
		if err := images.Unmount(s.ID, true); err != nil {
			errs = append(errs, fmt.Errorf("unmount container %q: %w", s.Name, err))
			continue
		}
		s.Tell("unmount")
		word := s.ID
		if i < set.NArg() {
			word = set.Arg(i)
		}
		fmt.Fprintln(env.Out, word)
	}
	return errors.Join(errs...)
}
