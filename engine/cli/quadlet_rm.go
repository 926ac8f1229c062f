package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/units"
)

type quadletRmOptions struct{ force, all, ignore, reload bool }

func (o *quadletRmOptions) flags(set *pflag.FlagSet) {
	set.BoolVarP(&o.force, "force", "f", false, "stop units that run first")
	set.BoolVarP(&o.all, "all", "a", false, "remove all unit files and applications of the directory of `berth quadlet install`")
	set.BoolVarP(&o.ignore, "ignore", "i", false, "a file that is not there is no error")
	reloadFlag(set, &o.reload)
}

func quadletRmVerb() Verb {
	var o quadletRmOptions
	return Verb{
		Name: "quadlet rm", Usage: "[OPTION…] NAME…", Summary: "remove installed unit files",
		Text: `Removes unit files from the directory into which berth quadlet install puts them, and from no other. A file that was
installed as part of an application takes the whole application with it; NAME may also be that of its list, .APP.app.

When a unit runs and --force is not given, nothing is removed at all. The names are printed.`,
		Flags: o.flags, Run: runQuadletRm,
	}
}

func runQuadletRm(ctx context.Context, env *Env, args []string) error {
	var o quadletRmOptions
	set := newFlagSet("quadlet rm")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() == 0 && !o.all && !o.ignore {
		return errors.New("no unit file is named")
	}
	r, err := newRemoval()
	if err != nil {
		return err
	}
	if err := r.plan(set.Args(), o); err != nil {
		return fmt.Errorf("nothing is removed: %w", err)
	}
	if err := r.stop(ctx, env, o.force); err != nil {
		return fmt.Errorf("nothing is removed: %w", err)
	}
	err = r.unlink()
	for _, name := range r.printed {
		fmt.Fprintln(env.Out, name)
	}
	if o.reload && len(r.paths) > 0 {
		err = errors.Join(err, daemonReload(ctx, env))
	}
	return err
}

// removal is what one command removes. Everything is decided before anything is done.
type removal struct {
	dir       string
	installed []quadletEntry // unit files in dir and below
	apps      []application

	paths   []string // files, lists of applications last
	units   []string
	printed []string
}

func newRemoval() (*removal, error) {
	dir, err := installDir()
	if err != nil {
		return nil, err
	}
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		dir = resolved // as the files are found
	}
	// All directories are read, for a drop-in of another one may name the unit.
	list, err := surveyUnits(rootlessMode())
	if err != nil {
		return nil, err
	}
	r := &removal{dir: dir}
	for _, e := range list {
		if strings.HasPrefix(e.Path, dir+"/") {
			r.installed = append(r.installed, e)
		}
	}
	r.apps, err = readApplications(dir)
	return r, err
}

func (r *removal) plan(names []string, o quadletRmOptions) error {
	if o.all {
		for _, e := range r.installed {
			if path, _, bundle := strings.Cut(e.Path, "#"); bundle {
				names = append(names, filepath.Base(path))
			} else if e.Status != masked {
				names = append(names, e.Name)
			}
		}
		for _, a := range r.apps {
			names = append(names, a.list)
		}
	}
	var lists []string
	for _, name := range names {
		if slices.Contains(r.printed, name) {
			continue
		}
		list, err := r.planOne(name)
		switch {
		case errors.Is(err, errNotInstalled) && o.ignore:
		case err != nil:
			return err
		}
		r.printed = append(r.printed, name)
		if list != "" && !slices.Contains(lists, list) {
			lists = append(lists, list)
		}
	}
	// A list goes last: as long as a file of the application is there it says what belongs together.
	for _, list := range lists {
		r.addPath(filepath.Join(r.dir, list))
	}
	return nil
}

var errNotInstalled = errors.New("there is no such file")

// planOne notes the files that go with a name, and returns the list of their application.
func (r *removal) planOne(name string) (list string, err error) {
	for i := range r.apps {
		a := &r.apps[i]
		if a.list != name && !slices.Contains(a.members, name) {
			continue
		}
		for _, member := range a.members {
			r.addFile(filepath.Join(r.dir, member))
		}
		return a.list, nil
	}
	at := slices.IndexFunc(r.installed, func(e quadletEntry) bool { return e.Name == name })
	if at >= 0 {
		path, part, ok := strings.Cut(r.installed[at].Path, "#")
		if ok && part == name {
			return "", fmt.Errorf("%s is a part of %s; `berth quadlet rm %s` removes all of it", name, path, filepath.Base(path))
		}
		r.addFile(r.installed[at].Path)
		return "", nil
	}
	if strings.HasSuffix(name, units.BundleExtension) && checkFileName(name) == nil {
		if _, err := os.Lstat(filepath.Join(r.dir, name)); err == nil {
			r.addFile(filepath.Join(r.dir, name))
			return "", nil
		}
	}
	return "", r.missing(name)
}

// missing tells where a file lies that is not removed.
func (r *removal) missing(name string) error {
	files, err := readUnits(rootlessMode())
	if err != nil {
		return err
	}
	for _, s := range files.Files {
		if s.Name == name {
			return fmt.Errorf("%s was not installed by `berth quadlet install`; a link to /dev/null, %s, hides it", s.Path, filepath.Join(r.dir, name))
		}
	}
	if !isUnitFile(name) && !isTracking(name) {
		return notUnitFile(name)
	}
	return fmt.Errorf("remove %s: %w in %s", name, errNotInstalled, r.dir)
}

// addFile notes a file and its units: a bundle has several.
func (r *removal) addFile(path string) {
	r.addPath(path)
	for _, e := range r.installed {
		of, _, _ := strings.Cut(e.Path, "#")
		if (e.Path == path || of == path) && e.UnitName != "" && !slices.Contains(r.units, e.UnitName) {
			r.units = append(r.units, e.UnitName)
		}
	}
}

func (r *removal) addPath(path string) {
	if !slices.Contains(r.paths, path) {
		r.paths = append(r.paths, path)
	}
}

// stop sees that none of the units runs. Where systemd cannot be asked, none runs by it, but only --force relies on that.
func (r *removal) stop(ctx context.Context, env *Env, force bool) error {
	states, err := unitStates(ctx, env, r.units)
	if err != nil {
		if force {
			return nil
		}
		return fmt.Errorf("systemd cannot be asked whether the units run: %w; --force removes the files all the same", err)
	}
	active := running(states, r.units)
	switch {
	case len(active) == 0:
		return nil
	case !force:
		return fmt.Errorf("%s running; --force stops first", isOrAre(active))
	}
	if _, err := systemctl(ctx, env, append([]string{"stop", "--"}, active...)...); err != nil {
		return fmt.Errorf("stop %s: %w", strings.Join(active, " "), err)
	}
	return nil
}

func isOrAre(names []string) string {
	if len(names) == 1 {
		return names[0] + " is"
	}
	return strings.Join(names, ", ") + " are"
}

func (r *removal) unlink() error {
	var errs []error
	for _, path := range r.paths {
		if isTracking(filepath.Base(path)) && len(errs) > 0 {
			continue // what is left still belongs together
		}
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
