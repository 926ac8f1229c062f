package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/generator"
	"github.com/berth-pods/berth/units"
)

// unitDirs are directories of unit files, in the order in which the generator searches them.
type unitDirs struct {
	paths []string
	// leaveOut tells of a directory below one of the paths that it is not for this manager.
	leaveOut func(path string) bool
}

const (
	etcUnits  = "/etc/containers/systemd"
	usrUnits  = "/usr/share/containers/systemd"
	runUnits  = "/run/containers/systemd"
	ownUnits  = "containers/systemd" // below a user's configuration directory
	usersUnit = "/users"
)

// searchDirs are the directories that the generator of the system's or of a user's manager reads.
func searchDirs(user bool) unitDirs {
	if list := os.Getenv("QUADLET_UNIT_DIRS"); list != "" {
		return unitDirs{paths: absolutePaths(list), leaveOut: nothing}
	}
	if !user {
		return unitDirs{
			paths:    []string{runUnits, etcUnits, usrUnits},
			leaveOut: func(path string) bool { return path == etcUnits+usersUnit || path == usrUnits+usersUnit },
		}
	}
	uid := strconv.Itoa(os.Getuid())
	var paths []string
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		paths = append(paths, filepath.Join(dir, ownUnits))
	}
	if dir, err := os.UserConfigDir(); err == nil {
		paths = append(paths, filepath.Join(dir, ownUnits))
	}
	for _, base := range []string{etcUnits + usersUnit, usrUnits + usersUnit} {
		paths = append(paths, base+"/"+uid, base)
	}
	return unitDirs{paths: paths, leaveOut: func(path string) bool { return ofOtherUser(path, uid) }}
}

func nothing(string) bool { return false }

// absolutePaths ends the list, as the generator does, at the first path that is not absolute.
func absolutePaths(list string) []string {
	paths := strings.Split(list, ":")
	if end := slices.IndexFunc(paths, func(p string) bool { return !filepath.IsAbs(p) }); end >= 0 {
		paths = paths[:end]
	}
	for i := range paths {
		paths[i] = filepath.Clean(paths[i])
	}
	return paths
}

// ofOtherUser reports a users/UID directory of another user.
func ofOtherUser(path, uid string) bool {
	dir, name := filepath.Split(path)
	dir = strings.TrimSuffix(dir, "/")
	_, err := strconv.ParseUint(name, 10, 64)
	return (dir == etcUnits+usersUnit || dir == usrUnits+usersUnit) && err == nil && name != uid
}

// installDir is where `berth quadlet install` puts files and from where `berth quadlet rm` takes them: the administrator's
// or the user's own directory, never the distribution's.
func installDir() (string, error) {
	if list := os.Getenv("QUADLET_UNIT_DIRS"); list != "" {
		if paths := absolutePaths(list); len(paths) > 0 {
			return paths[0], nil
		}
		return "", errors.New("QUADLET_UNIT_DIRS names no absolute path")
	}
	if !rootlessMode() {
		return etcUnits, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, ownUnits), nil
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

// unitFiles collects unit files and drop-ins. A directory is read once, by its resolved name, so that links cannot loop.
type unitFiles struct {
	set      generator.Set
	leaveOut func(path string) bool
	seen     map[string]bool
	errs     []error // directories that cannot be read
}

func newUnitFiles() *unitFiles {
	return &unitFiles{
		set: generator.Set{Dropins: map[string][]generator.Source{}}, leaveOut: nothing, seen: map[string]bool{},
	}
}

// readUnitDirs reads what the generator would.
func readUnitDirs(dirs unitDirs) *unitFiles {
	u := newUnitFiles()
	u.leaveOut = dirs.leaveOut
	for _, path := range dirs.paths {
		u.readDir(path, true)
	}
	return u
}

// maxUnitDepth bounds directories inside directories.
const maxUnitDepth = 64

// readDir takes the unit files of a directory in, then, when deep, those of the directories in it.
func (u *unitFiles) readDir(path string, deep bool) {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil || u.seen[resolved] || u.leaveOut(resolved) || strings.Count(resolved, "/") > maxUnitDepth {
		return
	}
	u.seen[resolved] = true
	entries, err := os.ReadDir(resolved)
	if err != nil {
		u.errs = append(u.errs, fmt.Errorf("read unit directory: %w", err))
		return
	}
	var below []string
	for _, e := range entries {
		at := filepath.Join(path, e.Name())
		switch info, err := os.Stat(at); {
		case isUnitFile(e.Name()):
			u.take(readUnitFile(at))
		case err != nil || !info.IsDir():
		case dropinKind(e.Name()) != 0:
			u.readDropins(at)
		case deep && !strings.HasSuffix(e.Name(), ".d"):
			below = append(below, at)
		}
	}
	for _, dir := range below {
		u.readDir(dir, deep)
	}
}

func (u *unitFiles) take(s generator.Source) { u.set.Files = append(u.set.Files, s) }

func (u *unitFiles) readDropins(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		u.errs = append(u.errs, fmt.Errorf("read drop-in directory: %w", err))
	}
	name := filepath.Base(dir)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".conf") {
			u.set.Dropins[name] = append(u.set.Dropins[name], readUnitFile(filepath.Join(dir, e.Name())))
		}
	}
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

// readUnitFile reads a file as the generator does: what cannot be read becomes a finding of that file.
func readUnitFile(path string) generator.Source {
	s := generator.Source{Name: filepath.Base(path), Path: path}
	if target, err := filepath.EvalSymlinks(path); err == nil && target == os.DevNull {
		s.Masked = true
		return s
	}
	text, _, err := readRegular(path, maxUnitSize)
	if err != nil {
		s.Problem = "cannot be read: " + err.Error()
	}
	s.Text = string(text)
	return s
}

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

// generatorConfig is what berth-generator would be configured with.
func generatorConfig(user bool) generator.Config {
	cfg := generator.Config{User: user, Engine: "/usr/bin/berth", Reporter: "/usr/lib/systemd/system-generators/berth-system-generator"}
	if user {
		cfg.Reporter = "/usr/lib/systemd/user-generators/berth-user-generator"
	}
	for _, name := range []string{"PODMAN", "BERTH"} {
		if program := os.Getenv(name); program != "" {
			cfg.Engine = program
		}
	}
	cfg.DeviceExists = func(path string) bool {
		_, err := os.Stat(path)
		return !os.IsNotExist(err)
	}
	return cfg
}

// existingUnit returns a function that tells where the system has a unit of its own under a name. A link to /dev/null
// does not count: it is there to hide a unit.
func existingUnit(user bool) func(name string) string {
	dirs := []string{"/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"}
	if user {
		dirs = []string{"/etc/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user"}
		if dir, err := os.UserConfigDir(); err == nil {
			dirs = append(dirs, filepath.Join(dir, "systemd/user"))
		}
	}
	return func(name string) string {
		for _, dir := range dirs {
			path := filepath.Join(dir, name)
			if target, err := filepath.EvalSymlinks(path); err == nil && target != os.DevNull {
				return path
			}
		}
		return ""
	}
}

// bundled is a unit file inside a .quadlets file.
type bundled struct {
	name, text string
	skipped    int // lines before it
}

// splitBundle takes a .quadlets file apart: unit files with lines of --- between them, each named by a comment
// "# FileName=web"; the kind is that of the first section with the name of a kind, in any case.
func splitBundle(text string) (parts []bundled, err error) {
	var part []string
	line, start := 0, 0
	flush := func() {
		text := strings.Join(part, "")
		part = nil
		if strings.TrimSpace(text) == "" {
			return
		}
		name, bad := bundledName(text)
		if bad != nil {
			err = errors.Join(err, fmt.Errorf("line %d: %w", start+1, bad))
			return
		}
		parts = append(parts, bundled{name: name, text: text, skipped: start})
	}
	for l := range strings.Lines(text) {
		line++
		if strings.TrimSpace(l) == "---" {
			flush()
			start = line
			continue
		}
		part = append(part, l)
	}
	flush()
	if err == nil && len(parts) == 0 {
		err = errors.New("the bundle is empty")
	}
	return parts, err
}

func bundledName(text string) (string, error) {
	var name, extension string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if comment, ok := strings.CutPrefix(line, "#"); ok && name == "" {
			if key, value, _ := strings.Cut(comment, "="); strings.TrimSpace(key) == "FileName" {
				name = strings.TrimSpace(value)
			}
		}
		if extension == "" && strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			extension = sectionExtension(line[1 : len(line)-1])
		}
	}
	switch {
	case name == "":
		return "", errors.New("this part of the bundle has no line # FileName=NAME")
	case extension == "":
		return "", fmt.Errorf("the part %q has no section such as [Container]", name)
	}
	return name + extension, checkFileName(name + extension)
}

func sectionExtension(section string) string {
	for _, k := range units.Kinds {
		if strings.EqualFold(section, k.String()) {
			return k.Extension()
		}
	}
	return ""
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
