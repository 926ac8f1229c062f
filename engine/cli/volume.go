package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/events"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/selinux"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/engine/store"
)

func volumeVerb() Verb {
	return Verb{
		Name: "volume", Usage: "COMMAND", Summary: "make, list and remove volumes",
		Text: `Named volumes lie where Podman's do, and their files are shared with it. What Podman was told of one when it was made (labels, type=) is in
its database, which is not read: create --ignore with the same options, as a .volume file has it, tells berth.`,
		Sub: []Verb{
			volumeCreateVerb(), volumeExistsVerb(), volumeExportVerb(), volumeImportVerb(), volumeInspectVerb(), volumeLsVerb(),
			volumeMountVerb(), volumePruneVerb(), volumeReloadVerb(), volumeRmVerb(), volumeUnmountVerb(),
		},
	}
}

// namespaceNeeded is for commands that work on files of the user's containers.
func namespaceNeeded([]string) bool { return rootless.Needed() }

func volumes() store.Volumes {
	return store.Volumes{Store: &store.Store{}, User: rootlessMode(), Label: selinux.Shared, Dir: func() (string, error) {
		conf, err := loadConfig()
		return conf.Engine.VolumePath, err
	}}
}

type volumeCreateOptions struct {
	ignore   bool
	driver   string
	labels   []string
	options  []string
	uid, gid int
}

func (o *volumeCreateOptions) flags(set *pflag.FlagSet) {
	set.BoolVar(&o.ignore, "ignore", false, "a volume of that name is no error")
	set.StringVarP(&o.driver, "driver", "d", "local", "`DRIVER` of the volume: local, or image for a writable layer on an image")
	set.StringArrayVarP(&o.labels, "label", "l", nil, "add a label, `NAME=VALUE`")
	set.StringArrayVarP(&o.options, "opt", "o", nil, "`NAME=VALUE` as mount(8) has it: type, device and o; in o also uid= and gid= of the owner, and without type size= and inodes= as limits; copy or nocopy; for the driver image, image=")
	set.IntVar(&o.uid, "uid", -1, "`UID` of the owner, instead of that in the image")
	set.IntVar(&o.gid, "gid", -1, "`GID` of the group, instead of that in the image")
}

func volumeCreateVerb() Verb {
	var o volumeCreateOptions
	return Verb{
		Name: "volume create", Usage: "[OPTION…] [NAME]", Summary: "make a volume",
		Text: `The volume is empty. The first container that uses it fills it with what its image has in that place, unless --opt nocopy is given. --opt
o=size=10m,inodes=1000 limits it, where the file system of the store has project quotas. With --opt type= it
is a file system, which each container mounts for itself: -o type=nfs -o device=HOST:/DIR -o o=addr=HOST, or -o type=bind -o
device=/DIR, or -o type=tmpfs -o o=size=64m, whose content ends with the container. With --driver image -o image=IMAGE it is a
writable layer on that image, which must be in the store; containers share it, but of a user's only one can have it at a time.`,
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
	if err == nil {
		events.Event{Type: "volume", What: []string{"create"}, Name: vol.Name, Attributes: vol.Labels}.Send()
	}
	if o.ignore && errors.Is(err, store.ErrVolumeExists) {
		err = takeVolume(env, vol)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(env.Out, vol.Name)
	return err
}

// takeVolume takes a volume that is there already, and tells that it is not as it was asked for, as after a change of its file. One that
// Podman made gets the options that it was made with.
func takeVolume(env *Env, asked store.Volume) error {
	files, err := volumes().Adopt(asked)
	if err != nil {
		return fmt.Errorf("volume %q: %w", asked.Name, err)
	}
	if files {
		fmt.Fprintf(env.Err, "volume %q was made as a directory, has files, and stays one: its options count when the files are moved away\n", asked.Name)
	}
	vol, err := volumes().Find(asked.Name)
	if differs := vol.Differs(asked); len(differs) > 0 {
		fmt.Fprintf(env.Err, "volume %q is there with other settings (%s) and stays as it is, with its files; it is made anew once it has been removed (`berth volume rm %[1]s`)\n", vol.Name, strings.Join(differs, ", "))
	}
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
		Name: "volume inspect", Usage: "[OPTION…] NAME…", Summary: "show what is known of volumes, as JSON",
		Flags:  func(set *pflag.FlagSet) { volumeInspectFlags(set, new(string), new(bool)) },
		Userns: namespaceNeeded, Run: runVolumeInspect,
	}
}

func volumeInspectFlags(set *pflag.FlagSet, form *string, all *bool) {
	set.StringVarP(form, "format", "f", "json", "`FORM` of the output: json, or a template such as {{.Name}}")
	set.BoolVarP(all, "all", "a", false, "show all volumes")
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

// Fields are what JSON leaves out, for templates.
func (v inspectedVolume) Fields() map[string]any {
	return whole{v, map[string]any{"UID": 0, "GID": 0, "Anonymous": false, "MountCount": 0, "StorageID": ""}}.Fields()
}

func runVolumeInspect(_ context.Context, env *Env, args []string) error {
	set := newFlagSet("inspect")
	var form string
	var all bool
	volumeInspectFlags(set, &form, &all)
	if err := set.Parse(args); err != nil {
		return err
	}
	names := set.Args()
	if all {
		every, err := volumes().List()
		if err != nil {
			return err
		}
		for _, v := range every {
			names = append(names, v.Name)
		}
	} else if len(names) == 0 {
		return errors.New("no volume is named")
	}
	list := []inspectedVolume{}
	var errs []error
	for _, name := range names {
		v, err := volumes().Find(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, inspectVolume(v))
	}
	return errors.Join(append(errs, printInspected(env.Out, form, list))...)
}

func inspectVolume(v store.Volume) inspectedVolume {
	i := inspectedVolume{
		Name: v.Name, Driver: v.DriverName(), Mountpoint: v.Path, CreatedAt: v.Created, Labels: v.Labels, Scope: "local",
		Options: v.Options, UID: v.UID, GID: v.GID, Anonymous: v.Anonymous,
	}
	if i.Labels == nil {
		i.Labels = map[string]string{}
	}
	if i.Options == nil {
		i.Options = map[string]string{}
	}
	return i
}

func volumeLsVerb() Verb {
	var o volumeLsOptions
	return Verb{
		Name: "volume ls", Aliases: []string{"list"}, Usage: "[OPTION…]", Summary: "list volumes",
		Flags: o.flags, Userns: namespaceNeeded, Run: runVolumeLs,
	}
}

type volumeLsOptions struct{ listing }

func (o *volumeLsOptions) flags(set *pflag.FlagSet) {
	o.listing.flags(set, "names", strings.Join(volumeFilterKeys(), ", "))
	set.BoolVarP(&o.noHeading, "noheading", "n", false, "print no line of headings")
}

func volumeFilterKeys() []string {
	var keys []string
	for _, f := range volumeFilters() {
		keys = append(keys, f.key)
	}
	return keys
}

func volumeFilters() []filter[*store.Volume] {
	made := func(value string) (time.Time, error) {
		v, err := volumes().Find(value)
		return v.Created, err
	}
	after := func(value string) (func(*store.Volume) bool, error) {
		limit, err := made(value)
		return func(v *store.Volume) bool { return v.Created.After(limit) }, err
	}
	list := []filter[*store.Volume]{
		nameFilter(func(v *store.Volume) string { return v.Name }),
		textFilter("driver", same, (*store.Volume).DriverName),
		textFilter("scope", same, func(*store.Volume) string { return "local" }),
		{key: "opt", read: func(value string) (func(*store.Volume) bool, error) {
			name, want, exact := strings.Cut(value, "=")
			return func(v *store.Volume) bool {
				got, has := v.Options[name]
				return has && (!exact || got == want)
			}, nil
		}},
		boolFilter("anonymous", func(v *store.Volume) bool { return v.Anonymous }),
		boolFilter("dangling", func(v *store.Volume) bool {
			users, err := runDirs().VolumeUsers(v.Name)
			return err == nil && len(users) == 0
		}),
		untilFilter(func(v *store.Volume) time.Time { return v.Created }),
		{key: "after", read: after}, {key: "since", read: after},
	}
	return append(list, labelFilters(func(v *store.Volume) map[string]string { return v.Labels })...)
}

func runVolumeLs(_ context.Context, env *Env, args []string) error {
	var o volumeLsOptions
	set := newFlagSet("volume ls")
	o.flags(set)
	if err := parseAlone(set, args); err != nil {
		return err
	}
	list, err := volumes().List()
	if err != nil {
		return err
	}
	if list, err = filtered(list, o.filters, volumeFilters()); err != nil {
		return err
	}
	rows := make([]inspectedVolume, 0, len(list))
	for _, v := range list {
		rows = append(rows, inspectVolume(v))
	}
	return printList(env.Out, o.listing, rows, table[inspectedVolume]{
		key: func(v inspectedVolume) string { return v.Name }, headings: []string{"DRIVER", "VOLUME NAME"}, names: map[string]string{"Name": "VOLUME NAME"},
		cells: func(v inspectedVolume) []string { return []string{v.Driver, v.Name} },
	})
}

type volumeRmOptions struct {
	all, force bool
	time       int
}

func (o *volumeRmOptions) flags(set *pflag.FlagSet) {
	set.BoolVarP(&o.all, "all", "a", false, "all volumes")
	set.BoolVarP(&o.force, "force", "f", false, "remove the containers that have it first; one that is not there is no error")
	set.IntVarP(&o.time, "time", "t", -1, "with --force: `SECONDS` that a container may take to end (default: its own)")
}

func volumeRmVerb() Verb {
	var o volumeRmOptions
	return Verb{
		Name: "volume rm", Aliases: []string{"remove"}, Usage: "[OPTION…] NAME…", Summary: "remove volumes, and all that is in them",
		Text: `A volume that a container has is not removed, but with --force.

Exit status: 1 when there is no such volume, 2 when a container has it.`,
		Removes: true,
		Flags:   o.flags, Before: beforeVolumeRm, Userns: namespaceNeeded, Run: runVolumeRm,
	}
}

func parseVolumeRm(args []string) (o volumeRmOptions, names []string, err error) {
	set := newFlagSet("rm")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return o, nil, err
	}
	switch names = set.Args(); {
	case o.all && len(names) > 0:
		return o, nil, errors.New("--all takes no names")
	case o.all:
		list, err := volumes().List()
		for _, v := range list {
			names = append(names, v.Name)
		}
		return o, names, err
	case len(names) == 0:
		return o, nil, errors.New("no volume is named")
	}
	return o, names, nil
}

// beforeVolumeRm removes the containers that have a volume, by the command that knows how to do so for each kind of user.
func beforeVolumeRm(ctx context.Context, env *Env, args []string) error {
	o, names, err := parseVolumeRm(args)
	if err != nil || !o.force || rootless.Inside() {
		return nil // an error is reported by the removal itself
	}
	for _, name := range names {
		users, err := runDirs().VolumeUsers(name)
		if err != nil {
			return err
		}
		if len(users) == 0 {
			continue
		}
		words := []string{"rm", "--force"}
		if o.time >= 0 {
			words = append(words, fmt.Sprintf("--time=%d", o.time))
		}
		if _, err := env.Run(ctx, itself(append(words, users...)...)); err != nil {
			return fmt.Errorf("volume %q: remove %s, which have it: %w", name, strings.Join(users, ", "), err)
		}
	}
	return nil
}

func runVolumeRm(_ context.Context, env *Env, args []string) error {
	o, names, err := parseVolumeRm(args)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		err := removeVolume(name)
		switch {
		case err == nil:
			fmt.Fprintln(env.Out, name)
			continue
		case errors.Is(err, store.ErrNoVolume) && o.force:
			continue
		}
		errs = append(errs, err)
	}
	return removed(errs...)
}

// removeVolume removes a volume that no container has.
func removeVolume(name string) error {
	err := volumes().Remove(name, func() error { return runDirs().CheckUnused(name) })
	if err == nil {
		events.Event{Type: "volume", What: []string{"remove"}, Name: name}.Send()
	}
	return err
}
