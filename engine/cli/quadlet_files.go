package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/generator"
	"github.com/berth-pods/berth/generator/sources"
	"github.com/berth-pods/berth/units"
)

// searchUnits is where the generator of the system's or of a user's manager looks for unit files.
func searchUnits(user bool) sources.Search { return sources.For(os.Getenv, user, os.Getuid()) }

// warnSearch says which directories are not searched, and why.
func warnSearch(env *Env, user bool) {
	for _, warning := range searchUnits(user).Warnings {
		fmt.Fprintln(env.Err, warning)
	}
}

// readUnits reads what the generator would.
func readUnits(user bool) (generator.Set, error) { return readSearches(searchUnits(user)) }

// readSearches reads several searches into one set, each file once.
func readSearches(searches ...sources.Search) (generator.Set, error) {
	all := generator.Set{Dropins: map[string][]generator.Source{}}
	seen := map[string]bool{}
	var errs []error
	add := func(into, from []generator.Source) []generator.Source {
		for _, s := range from {
			if !seen[s.Path] {
				seen[s.Path] = true
				into = append(into, s)
			}
		}
		return into
	}
	for _, search := range searches {
		set, bad := search.Read(nil)
		errs = append(errs, bad...)
		all.Files = add(all.Files, set.Files)
		for dir, list := range set.Dropins {
			all.Dropins[dir] = add(all.Dropins[dir], list)
		}
	}
	return all, errors.Join(errs...)
}

// foundPath is a path as a search names it: with directories resolved.
func foundPath(arg string) (string, error) {
	path, err := filepath.Abs(arg)
	if err != nil {
		return "", err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, filepath.Base(path))
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return filepath.EvalSymlinks(path)
	}
	return path, nil
}

// oneDir searches one directory, and those below it when deep.
func oneDir(dir string, deep bool) sources.Search {
	return sources.Search{Paths: []string{dir}, LeaveOut: func(path string) bool { return !deep && path != dir }}
}

// installDir is where `berth quadlet install` puts files and from where `berth quadlet rm` takes them: the administrator's
// or the user's own directory, never the distribution's.
func installDir() (string, error) {
	if os.Getenv("QUADLET_UNIT_DIRS") != "" {
		if paths := searchUnits(rootlessMode()).Paths; len(paths) > 0 {
			return paths[0], nil
		}
		return "", errors.New("QUADLET_UNIT_DIRS names no absolute path")
	}
	if !rootlessMode() {
		return "/etc/containers/systemd", nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "containers/systemd"), nil
}

// userFlag declares --user.
func userFlag(set *pflag.FlagSet, user *bool) {
	set.BoolVar(user, "user", false, "units of a user's manager, not of the system's (default: by who calls)")
}

// forUser is the value of --user, or whether the caller is not root.
func forUser(set *pflag.FlagSet, user bool) bool {
	if set.Changed("user") {
		return user
	}
	return rootlessMode()
}

// isUnitFile reports the names that the generator reads: those of units, and bundles.
func isUnitFile(name string) bool {
	return units.KindOf(name) != 0 || strings.HasSuffix(name, units.BundleExtension)
}

// dropinKind is the kind of unit that a drop-in directory (web.container.d, container.d) is for; 0 when it is none.
func dropinKind(name string) units.Kind {
	base, ok := strings.CutSuffix(name, ".d")
	if !ok {
		return 0
	}
	if kind := units.KindOf(base); kind != 0 {
		return kind
	}
	return units.KindOf("." + base)
}

// maxUnitSize bounds a unit file, in bytes; the generator reads no larger ones.
const maxUnitSize = 1 << 20

// readRegular reads a regular file of at most limit bytes. A pipe or a device is never waited for.
func readRegular(path string, limit int64) ([]byte, os.FileMode, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, 0, withoutPath(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, withoutPath(err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("is not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("is larger than %d bytes", limit)
	}
	return data, info.Mode(), withoutPath(err)
}

// withoutPath is for messages that name the path already.
func withoutPath(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// bundled is a unit file inside a .quadlets file.
type bundled struct {
	name, text string
	skipped    int // lines before it
}

// splitBundle takes a .quadlets file apart, as the generator does.
func splitBundle(text string) (parts []bundled, err error) {
	sources, findings := generator.SplitBundle(&generator.Source{Text: text})
	for _, p := range sources {
		parts = append(parts, bundled{name: p.Name, text: p.Text, skipped: p.Skipped})
	}
	for _, f := range findings {
		bad := errors.New(f.Message)
		if f.Hint != "" {
			bad = fmt.Errorf("line %d: %w; %s", f.At.Line, bad, f.Hint)
		}
		err = errors.Join(err, bad)
	}
	return parts, err
}

// checkFileName refuses what is no plain name of a file that may be put into a unit directory.
func checkFileName(name string) error {
	switch {
	case name == "" || name == "." || name == ".." || len(name) > 255 || strings.ContainsAny(name, `/\`) || printable(name) != name:
		return fmt.Errorf("%q is no file name", name)
	case isTracking(name):
		return fmt.Errorf("%q is a name that is kept for the lists of applications", name)
	}
	return nil
}
