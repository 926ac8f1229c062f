package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine/store"
)

func volumeExportVerb() Verb {
	return Verb{
		Name: "volume export", Usage: "[OPTION…] NAME", Summary: "write what is in a volume as a tar archive",
		Flags:  func(set *pflag.FlagSet) { set.StringP("output", "o", "", "write to a `FILE`, not to standard output") },
		Userns: namespaceNeeded, Run: runVolumeExport,
	}
}

func runVolumeExport(ctx context.Context, env *Env, args []string) error {
	set := newFlagSet("export")
	output := set.StringP("output", "o", "", "")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() != 1 {
		return errors.New("name one volume")
	}
	vol, err := plainVolume(set.Arg(0))
	if err != nil {
		return err
	}
	return writeArchive(ctx, env, *output, func(out io.Writer) error {
		return shown(env, vol, func() error { return store.Export(vol.Path, out) })
	})
}

// shown calls f while the volume's files are in its directory: a layer is mounted for that.
func shown(env *Env, vol store.Volume, f func() error) error {
	if vol.DriverName() != store.ImageDriver {
		return f()
	}
	e, err := newEngine(env)
	if err != nil {
		return err
	}
	return e.ShowLayer(vol.Name, false, f)
}

func volumeImportVerb() Verb {
	return Verb{
		Name: "volume import", Usage: "NAME [FILE|-]", Summary: "unpack a tar archive into a volume",
		Text:   "The archive may be compressed. What is in the volume already stays, unless the archive has something of the same name.",
		Userns: namespaceNeeded, Run: runVolumeImport,
	}
}

func runVolumeImport(_ context.Context, env *Env, args []string) error {
	set := newFlagSet("import")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() < 1 || set.NArg() > 2 {
		return errors.New("name the volume and the archive")
	}
	vol, err := plainVolume(set.Arg(0))
	if err != nil {
		return err
	}
	from := env.In
	if name := set.Arg(1); name != "" && name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		from = f
	}
	return shown(env, vol, func() error {
		return volumes().Fill(vol, func() error { return store.Import(vol.Path, from) })
	})
}

// plainVolume finds a volume whose files can be seen: a directory, or a file system that is mounted.
func plainVolume(name string) (store.Volume, error) {
	vol, err := volumes().Find(name)
	if err != nil {
		return vol, err
	}
	if vol.Options["type"] != "" {
		return vol, fmt.Errorf("volume %q is a file system of type %s, which its containers mount for themselves; mount it for this: `mount -t %s …`", name, vol.Options["type"], vol.Options["type"])
	}
	return vol, nil
}

func volumeMountVerb() Verb {
	return Verb{
		Name: "volume mount", Usage: "NAME…", Summary: "print the directories of volumes",
		Text: `A volume is a directory, so there is nothing to mount; one that is a file system is mounted by each container for itself. Only that
of the driver image is mounted, until "berth volume unmount".`,
		Userns: namespaceNeeded,
		Run: func(_ context.Context, env *Env, args []string) error {
			return eachVolume(args, func(vol store.Volume) error {
				if vol.DriverName() == store.ImageDriver {
					e, err := newEngine(env)
					if err == nil && e.Host.Rootless {
						err = fmt.Errorf("volume %q is a layer of an image: of a user's only the container that has it sees its files; `berth volume export` writes them out", vol.Name)
					}
					if err == nil {
						err = e.ShowLayer(vol.Name, true, nil)
					}
					if err != nil {
						return err
					}
				}
				fmt.Fprintln(env.Out, vol.Path)
				return nil
			})
		},
	}
}

func volumeUnmountVerb() Verb {
	return Verb{
		Name: "volume unmount", Aliases: []string{"umount"}, Usage: "NAME…", Summary: "end what `volume mount` has begun, and print the names",
		Userns: namespaceNeeded,
		Run: func(_ context.Context, env *Env, args []string) error {
			return eachVolume(args, func(vol store.Volume) error {
				if vol.DriverName() == store.ImageDriver {
					e, err := newEngine(env)
					if err == nil {
						err = e.UnholdLayer(vol.Name)
					}
					if err != nil {
						return err
					}
				}
				fmt.Fprintln(env.Out, vol.Name)
				return nil
			})
		},
	}
}

func eachVolume(names []string, show func(store.Volume) error) error {
	if len(names) == 0 {
		return errors.New("no volume is named")
	}
	var errs []error
	for _, name := range names {
		vol, err := plainVolume(name)
		if err == nil {
			err = show(vol)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func volumeReloadVerb() Verb {
	return Verb{
		Name: "volume reload", Summary: "look for volumes of plugins, of which there are none",
		Text: "There for scripts that call it: what lies in the store's directory is always seen.",
		Run:  func(context.Context, *Env, []string) error { return nil },
	}
}

type volumePruneOptions struct {
	force   bool
	filters []string
}

func (o *volumePruneOptions) flags(set *pflag.FlagSet) {
	set.StringArrayVar(&o.filters, "filter", nil, "remove those only for which `KEY=VALUE` is true; the keys are name, label, label!, anonymous, until")
	set.BoolVarP(&o.force, "force", "f", false, "do not ask first")
}

func volumePruneVerb() Verb {
	var o volumePruneOptions
	return Verb{
		Name: "volume prune", Usage: "[OPTION…]", Summary: "remove the volumes that no container has, and all that is in them",
		Text: `Only volumes that berth has made are removed: which of Podman's are in use is not known here. The container of a unit that
is stopped is gone, so its volumes are in nobody's use.`,
		Removes: true,
		Flags:   o.flags, Before: confirmBefore(volumePruneQuestion), Userns: namespaceNeeded, Run: runVolumePrune,
	}
}

func volumePruneQuestion(args []string) string {
	var o volumePruneOptions
	set := newFlagSet("prune")
	o.flags(set)
	if set.Parse(args) != nil || o.force {
		return ""
	}
	return "This removes all volumes that no container has, with all that is in them."
}

func runVolumePrune(_ context.Context, env *Env, args []string) error {
	var o volumePruneOptions
	set := newFlagSet("volume prune")
	o.flags(set)
	if err := parseAlone(set, args); err != nil {
		return err
	}
	p, err := pruneVolumes(o.filters)
	for _, name := range p.names {
		fmt.Fprintln(env.Out, name)
	}
	return err
}
