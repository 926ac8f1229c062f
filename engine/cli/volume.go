package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/engine/store"
)

func volumeVerb() Verb {
	return Verb{
		Name: "volume", Usage: "COMMAND", Summary: "make, list and remove volumes",
		Text: "Named volumes lie where Podman's do, and are shared with it.",
		Sub:  []Verb{volumeCreateVerb(), volumeExistsVerb(), volumeInspectVerb(), volumeLsVerb(), volumeRmVerb()},
		Run: func(context.Context, *Env, []string) error {
			return errors.New("name a command: `berth volume --help` lists them")
		},
	}
}

// namespaceNeeded is for commands that work on files of the user's containers.
func namespaceNeeded([]string) bool { return rootless.Needed() }

func volumes() store.Volumes { return store.Volumes{Store: &store.Store{}} }

type volumeCreateOptions struct {
	ignore   bool
	driver   string
	labels   []string
	options  []string
	uid, gid int
}

func (o *volumeCreateOptions) flags(set *pflag.FlagSet) {
	set.BoolVar(&o.ignore, "ignore", false, "a volume of that name is no error")
	set.StringVarP(&o.driver, "driver", "d", "local", "`DRIVER` of the volume; local is the only one")
	set.StringArrayVarP(&o.labels, "label", "l", nil, "add a label, `NAME=VALUE`")
	set.StringArrayVarP(&o.options, "opt", "o", nil, "`NAME=VALUE` for the driver; none is supported yet")
	set.IntVar(&o.uid, "uid", -1, "`UID` of the owner, instead of that in the image")
	set.IntVar(&o.gid, "gid", -1, "`GID` of the group, instead of that in the image")
}

func volumeCreateVerb() Verb {
	var o volumeCreateOptions
	return Verb{
		Name: "volume create", Usage: "[OPTION…] NAME", Summary: "make a volume",
		Text:  "The volume is empty. The first container that uses it fills it with what its image has in that place.",
		Flags: o.flags, Userns: namespaceNeeded, Run: runVolumeCreate,
	}
}

func runVolumeCreate(_ context.Context, env *Env, args []string) error {
	var o volumeCreateOptions
	set := newFlagSet("create")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() != 1 {
		return errors.New("name one volume")
	}
	switch {
	case o.driver != "local" && o.driver != "":
		return fmt.Errorf("volume driver %q is not supported; local is", o.driver)
	case len(o.options) > 0:
		return fmt.Errorf("volume option %q is not supported yet; mount what it names with a .mount unit and use its path", o.options[0])
	}
	vol := store.Volume{Name: set.Arg(0), Created: time.Now().UTC(), Labels: spec.Labels(o.labels)}
	if set.Changed("uid") {
		vol.UID = &o.uid
	}
	if set.Changed("gid") {
		vol.GID = &o.gid
	}
	_, err := volumes().Create(vol)
	if err != nil && !(o.ignore && errors.Is(err, store.ErrVolumeExists)) {
		return err
	}
	_, err = fmt.Fprintln(env.Out, vol.Name)
	return err
}

func volumeExistsVerb() Verb {
	return Verb{
		Name: "volume exists", Usage: "NAME", Summary: "end with 0 if there is such a volume, else with 1",
		Userns: namespaceNeeded,
		Run: func(_ context.Context, _ *Env, args []string) error {
			if len(args) != 1 {
				return errors.New("name one volume")
			}
			_, err := volumes().Find(args[0])
			if errors.Is(err, store.ErrNoVolume) {
				return &ExitError{Code: 1}
			}
			return err
		},
	}
}

func volumeInspectVerb() Verb {
	return Verb{
		Name: "volume inspect", Usage: "NAME…", Summary: "show what is known of volumes, as JSON",
		Userns: namespaceNeeded, Run: runVolumeInspect,
	}
}

// inspectedVolume has the names of Podman's `volume inspect`.
type inspectedVolume struct {
	Name       string
	Driver     string
	Mountpoint string
	CreatedAt  time.Time
	Labels     map[string]string
	Scope      string
}

func runVolumeInspect(_ context.Context, env *Env, args []string) error {
	set := newFlagSet("inspect")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() == 0 {
		return errors.New("no volume is named")
	}
	list := []inspectedVolume{}
	var errs []error
	for _, name := range set.Args() {
		v, err := volumes().Find(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, inspectedVolume{v.Name, "local", v.Path, v.Created, v.Labels, "local"})
	}
	return errors.Join(append(errs, printJSON(env.Out, list))...)
}

func volumeLsVerb() Verb {
	return Verb{
		Name: "volume ls", Aliases: []string{"list"}, Usage: "[OPTION…]", Summary: "list volumes",
		Flags:  func(set *pflag.FlagSet) { set.BoolP("quiet", "q", false, "print names only") },
		Userns: namespaceNeeded, Run: runVolumeLs,
	}
}

func runVolumeLs(_ context.Context, env *Env, args []string) error {
	set := newFlagSet("ls")
	quiet := set.BoolP("quiet", "q", false, "")
	if err := set.Parse(args); err != nil {
		return err
	}
	list, err := volumes().List()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(env.Out, 0, 8, 2, ' ', 0)
	if !*quiet {
		fmt.Fprintln(table, "DRIVER\tVOLUME NAME")
	}
	for _, v := range list {
		if *quiet {
			fmt.Fprintln(table, v.Name)
			continue
		}
		fmt.Fprintf(table, "local\t%s\n", v.Name)
	}
	return table.Flush()
}

func volumeRmVerb() Verb {
	return Verb{
		Name: "volume rm", Aliases: []string{"remove"}, Usage: "[OPTION…] NAME…", Summary: "remove volumes, and all that is in them",
		Text:   "A volume that a container has is not removed: take the container away first.",
		Flags:  func(set *pflag.FlagSet) { set.BoolP("force", "f", false, "a volume that is not there is no error") },
		Userns: namespaceNeeded, Run: runVolumeRm,
	}
}

func runVolumeRm(_ context.Context, env *Env, args []string) error {
	set := newFlagSet("rm")
	force := set.BoolP("force", "f", false, "")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() == 0 {
		return errors.New("no volume is named")
	}
	var errs []error
	for _, name := range set.Args() {
		if err := removeVolume(name); err != nil {
			if !(*force && errors.Is(err, store.ErrNoVolume)) {
				errs = append(errs, err)
			}
			continue
		}
		fmt.Fprintln(env.Out, name)
	}
	return errors.Join(errs...)
}

// removeVolume removes a volume that no container has.
func removeVolume(name string) error {
	containers, err := runDirs().List()
	if err != nil {
		return err
	}
	var users []string
	for _, c := range containers {
		for _, word := range c.Container.Volumes {
			if v, err := spec.ParseVolume(word); err == nil && v.Named() && v.Source == name {
				users = append(users, c.Name)
			}
		}
	}
	if len(users) > 0 {
		return fmt.Errorf("volume %q is used by %s; `berth rm` takes a container away", name, strings.Join(users, ", "))
	}
	return volumes().Remove(name)
}
