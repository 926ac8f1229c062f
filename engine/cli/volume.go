package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/engine/store"
)

func volumeVerb() Verb {
	return Verb{
		Name: "volume", Usage: "COMMAND", Summary: "make, list and remove volumes",
		Text: "Named volumes lie where Podman's do, and are shared with it.",
		Sub: []Verb{
			volumeCreateVerb(), volumeExistsVerb(), volumeExportVerb(), volumeImportVerb(), volumeInspectVerb(), volumeLsVerb(),
			volumeMountVerb(), volumePruneVerb(), volumeReloadVerb(), volumeRmVerb(), volumeUnmountVerb(),
		},
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
	set.StringArrayVarP(&o.options, "opt", "o", nil, "`NAME=VALUE` as mount(8) has it: type, device and o; in o also uid= and gid= of the owner")
	set.IntVar(&o.uid, "uid", -1, "`UID` of the owner, instead of that in the image")
	set.IntVar(&o.gid, "gid", -1, "`GID` of the group, instead of that in the image")
}

func volumeCreateVerb() Verb {
	var o volumeCreateOptions
	return Verb{
		Name: "volume create", Usage: "[OPTION…] [NAME]", Summary: "make a volume",
		Text: `The volume is empty. The first container that uses it fills it with what its image has in that place. With --opt type= it
is a file system, which each container mounts for itself: -o type=nfs -o device=HOST:/DIR -o o=addr=HOST, or -o type=bind -o
device=/DIR, or -o type=tmpfs -o o=size=64m, whose content ends with the container.`,
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
	if set.NArg() > 1 {
		return errors.New("name one volume")
	}
	vol := store.Volume{Name: set.Arg(0), Created: time.Now().UTC(), Labels: spec.Labels(o.labels)}
	if vol.Name == "" {
		var err error
		if vol.Name, err = engine.NewID(); err != nil {
			return err
		}
		vol.Anonymous = true
	}
	if err := vol.SetOptions(o.driver, spec.Labels(o.options)); err != nil {
		return err
	}
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
	Options    map[string]string
	UID        *int `json:",omitempty"`
	GID        *int `json:",omitempty"`
	Anonymous  bool `json:",omitempty"`
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
		list = append(list, inspectedVolume{
			Name: v.Name, Driver: "local", Mountpoint: v.Path, CreatedAt: v.Created, Labels: v.Labels, Scope: "local",
			Options: v.Options, UID: v.UID, GID: v.GID, Anonymous: v.Anonymous,
		})
	}
	return errors.Join(append(errs, printJSON(env.Out, list))...)
}

func volumeLsVerb() Verb {
	var o volumeLsOptions
	return Verb{
		Name: "volume ls", Aliases: []string{"list"}, Usage: "[OPTION…]", Summary: "list volumes",
		Flags: o.flags, Userns: namespaceNeeded, Run: runVolumeLs,
	}
}

type volumeLsOptions struct {
	filters          []string
	quiet, noHeading bool
}

func (o *volumeLsOptions) flags(set *pflag.FlagSet) {
	set.StringArrayVarP(&o.filters, "filter", "f", nil, "list those only for which `KEY=VALUE` is true; the keys are name, label, label!, anonymous, dangling, driver, until")
	set.BoolVarP(&o.noHeading, "noheading", "n", false, "print no heading")
	set.BoolVarP(&o.quiet, "quiet", "q", false, "print names only")
}

// wantsVolume tells whether all filters are true for a volume.
func wantsVolume(v store.Volume, filters []string) (bool, error) {
	for _, f := range filters {
		has, err := volumeFilter(v, f)
		if !has || err != nil {
			return false, err
		}
	}
	return true, nil
}

func volumeFilter(v store.Volume, filter string) (bool, error) {
	key, value, _ := strings.Cut(filter, "=")
	switch key {
	case "name":
		return strings.Contains(v.Name, value), nil
	case "driver":
		return value == "local", nil
	case "label", "label!":
		name, want, exact := strings.Cut(value, "=")
		got, has := v.Labels[name]
		return (has && (!exact || got == want)) == (key == "label"), nil
	case "anonymous":
		on, err := strconv.ParseBool(value)
		return v.Anonymous == on, err
	case "dangling":
		on, err := strconv.ParseBool(value)
		if err != nil {
			return false, fmt.Errorf("filter %q: %w", filter, err)
		}
		users, err := runDirs().VolumeUsers(v.Name)
		return (len(users) == 0) == on, err
	case "until":
		age, err := time.ParseDuration(value)
		before := time.Now().Add(-age)
		if err != nil {
			if before, err = time.Parse(time.RFC3339, value); err != nil {
				return false, fmt.Errorf("filter %q: neither a duration such as 24h nor a time such as 2025-01-31T12:00:00Z", filter)
			}
		}
		return v.Created.Before(before), nil
	}
	return false, fmt.Errorf("filter %q is not known; name, label, label!, anonymous, dangling, driver and until are", filter)
}

func runVolumeLs(_ context.Context, env *Env, args []string) error {
	var o volumeLsOptions
	set := newFlagSet("ls")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	list, err := volumes().List()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(env.Out, 0, 8, 2, ' ', 0)
	if !o.quiet && !o.noHeading {
		fmt.Fprintln(table, "DRIVER\tVOLUME NAME")
	}
	for _, v := range list {
		wanted, err := wantsVolume(v, o.filters)
		if err != nil {
			return err
		}
		if !wanted {
			continue
		}
		if o.quiet {
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
	users, err := runDirs().VolumeUsers(name)
	if err != nil {
		return err
	}
	if len(users) > 0 {
		return fmt.Errorf("volume %q is used by %s; `berth rm` takes a container away", name, strings.Join(users, ", "))
	}
	return volumes().Remove(name)
}
