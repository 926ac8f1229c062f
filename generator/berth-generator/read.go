package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/berth-pods/berth/generator"
	"github.com/berth-pods/berth/units"
)

// search is where unit files are looked for, in order: the first file of a name counts.
type search struct {
	paths []string

	// leaveOut tells of a directory below one of the paths that it is not for this manager.
	leaveOut func(path string) bool
}

// The administrator's and the distribution's directories.
const (
	runDir  = "/run/containers/systemd"
	etcDir  = "/etc/containers/systemd"
	usrDir  = "/usr/share/containers/systemd"
	subDir  = "/containers/systemd"
	userSub = "/users"
)

// searchDirs lists the directories of the system's or of a user's manager. QUADLET_UNIT_DIRS replaces them all.
func searchDirs(getenv func(string) string, user bool, log *logger) search {
	if list := getenv("QUADLET_UNIT_DIRS"); list != "" {
		return search{paths: listedDirs(list, log), leaveOut: func(string) bool { return false }}
	}
	if !user {
		// The users' directories are below the system's; units made from them must not run as root.
		return search{
			paths:    []string{runDir, etcDir, usrDir},
			leaveOut: func(path string) bool { return path == etcDir+userSub || path == usrDir+userSub },
		}
	}
	uid := strconv.Itoa(os.Getuid())
	var paths []string
	if run := getenv("XDG_RUNTIME_DIR"); run != "" {
		paths = append(paths, run+subDir)
	}
	switch config, home := getenv("XDG_CONFIG_HOME"), getenv("HOME"); {
	case config != "":
		paths = append(paths, config+subDir)
	case home != "":
		paths = append(paths, home+"/.config"+subDir)
	default:
		log.warn("neither HOME nor XDG_CONFIG_HOME is set: the user's own unit files are not read")
	}
	for _, base := range [...]string{etcDir, usrDir} {
		paths = append(paths, base+userSub+"/"+uid, base+userSub)
	}
	return search{paths: paths, leaveOut: func(path string) bool { return othersDir(path, uid) }}
}

func listedDirs(list string, log *logger) []string {
	var paths []string
	for _, path := range strings.Split(list, ":") {
		if !strings.HasPrefix(path, "/") {
			log.warn(strconv.Quote(path) + " in QUADLET_UNIT_DIRS is not an absolute path; it and what follows is left out")
			break
		}
		paths = append(paths, filepath.Clean(path))
	}
	return paths
}

// othersDir reports a users/UID directory of another user.
func othersDir(path, uid string) bool {
	for _, base := range [...]string{etcDir, usrDir} {
		name, ok := strings.CutPrefix(path, base+userSub+"/")
		if ok && !strings.Contains(name, "/") && name != uid && name != "" && strings.Trim(name, "0123456789") == "" {
			return true
		}
	}
	return false
}

// reader walks the directories. A directory is read once, by its resolved name, so that links cannot loop.
type reader struct {
	search search
	set    generator.Set
	seen   map[string]bool
	log    *logger
	buf    []byte
	total  int // bytes read
}

var errTotal = errors.New("is not read: the unit files come to more than " + strconv.Itoa(maxTotal>>20) + " MiB")

func readAll(dirs search, log *logger) generator.Set {
	r := &reader{search: dirs, seen: map[string]bool{}, log: log}
	r.set.Dropins = map[string][]generator.Source{}
	for _, dir := range dirs.paths {
		r.directory(dir)
	}
	return r.set
}

// maxDepth bounds directories inside directories.
const maxDepth = 64

func (r *reader) directory(path string) {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil || r.seen[resolved] || r.search.leaveOut(resolved) || strings.Count(resolved, "/") > maxDepth {
		return
	}
	r.seen[resolved] = true
	entries, err := os.ReadDir(resolved)
	if err != nil {
		if !os.IsNotExist(err) {
			r.log.error("read unit directory: " + err.Error())
		}
		return
	}
	var below []string
	for _, e := range entries {
		if r.entry(resolved, e) {
			below = append(below, resolved+"/"+e.Name())
		}
	}
	for _, dir := range below {
		r.directory(dir)
	}
}

// entry takes a unit file or a drop-in directory in; it reports whether it is a directory to read as well.
func (r *reader) entry(dir string, e os.DirEntry) (isDirectory bool) {
	path := dir + "/" + e.Name()
	name := path[len(dir)+1:]
	isUnit := units.KindOf(name) != 0 || strings.HasSuffix(name, units.BundleExtension)
	mode := e.Type()
	linked := mode&os.ModeSymlink != 0
	if linked {
		info, err := os.Stat(path)
		if err != nil {
			if isUnit {
				r.take(generator.Source{Name: name, Path: path, Problem: reason(err)})
			}
			return false
		}
		mode = info.Mode()
	}
	switch {
	case isUnit:
		r.log.debug("Loading source unit file " + path)
		r.take(r.readSource(name, path, mode, linked))
		return false
	case !mode.IsDir():
		return false
	case isDropinDir(name):
		r.dropins(name, path)
		return false
	}
	return !strings.HasSuffix(name, ".d")
}

func (r *reader) take(s generator.Source) { r.set.Files = append(r.set.Files, s) }

// isDropinDir: web.container.d and container.d.
func isDropinDir(name string) bool {
	base, ok := strings.CutSuffix(name, ".d")
	return ok && (units.KindOf(base) != 0 || units.KindOf("."+base) != 0)
}

func (r *reader) dropins(name, path string) {
	entries, err := os.ReadDir(path)
	if err != nil {
		r.log.error("read drop-in directory: " + err.Error())
		return
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".conf") {
			continue
		}
		file := path + "/" + e.Name()
		info, err := os.Stat(file)
		if err != nil {
			r.set.Dropins[name] = append(r.set.Dropins[name], generator.Source{Name: e.Name(), Path: file, Problem: reason(err)})
			continue
		}
		r.log.debug("Loading source drop-in file " + file)
		s := r.readSource(e.Name(), file, info.Mode(), e.Type()&os.ModeSymlink != 0)
		r.set.Dropins[name] = append(r.set.Dropins[name], s)
	}
}

// maxSize bounds a unit file, maxTotal all of them. systemd takes no line longer than the first either.
const (
	maxSize  = 1 << 20
	maxTotal = 16 << 20
)

// readSource reads a file whose type is known. Devices and pipes are never opened: that may block, or start a watchdog.
func (r *reader) readSource(name, path string, mode os.FileMode, linked bool) generator.Source {
	s := generator.Source{Name: name, Path: path}
	if !mode.IsRegular() {
		s.Masked = linked && isNull(path)
		if !s.Masked {
			s.Problem = "is " + describe(mode) + ", not a regular file"
		}
		return s
	}
	text, err := r.readText(path)
	if err == nil && r.total+len(text) > maxTotal {
		text, err = "", errTotal
	}
	if err != nil {
		s.Problem = reason(err)
	}
	r.total += len(text)
	s.Text = text
	return s
}

func isNull(path string) bool {
	target, err := filepath.EvalSymlinks(path)
	return err == nil && target == os.DevNull
}

func describe(mode os.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&os.ModeNamedPipe != 0:
		return "a FIFO"
	case mode&os.ModeSocket != 0:
		return "a socket"
	case mode&os.ModeDevice != 0:
		return "a device"
	}
	return "no file"
}

type sizeError int64

func (e sizeError) Error() string {
	return "is too large: " + strconv.FormatInt(int64(e), 10) + " bytes, at most " + strconv.Itoa(maxSize) + " are read"
}

// readText goes around os.File, whose poller costs more system calls than the file itself. O_NONBLOCK: the file may have
// become a pipe since it was looked at.
func (r *reader) readText(path string) (string, error) {
	fd, err := open(path)
	if err != nil {
		return "", err
	}
	defer syscall.Close(fd)
	n := 0
	for {
		if n == len(r.buf) {
			r.buf = append(r.buf, make([]byte, firstRead+7*n)...)
		}
		k, err := syscall.Read(fd, r.buf[n:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return "", err
		}
		n += k
		if n < len(r.buf) {
			return string(r.buf[:n]), nil // a short read of a regular file is its end
		}
		if n > maxSize {
			return "", tooLarge(fd)
		}
	}
}

// firstRead is more than nearly all unit files have.
const firstRead = 16 << 10

func tooLarge(fd int) error {
	var stat syscall.Stat_t
	if err := syscall.Fstat(fd, &stat); err != nil {
		return err
	}
	return sizeError(stat.Size)
}

func open(path string) (int, error) {
	for {
		fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC|syscall.O_NOCTTY, 0)
		if err != syscall.EINTR {
			return fd, err
		}
	}
}

// reason is an error without the path, which the finding has already.
func reason(err error) string {
	if pathErr, ok := err.(*os.PathError); ok {
		err = pathErr.Err
	}
	if errno, ok := err.(syscall.Errno); ok {
		switch errno {
		case syscall.ENOENT:
			return "cannot be read: the link points to nothing"
		case syscall.ELOOP:
			return "cannot be read: the links go in a circle"
		}
		return "cannot be read: " + errno.Error()
	}
	return err.Error()
}

// existingUnits answers whether the system has a unit of its own under a name. Links to /dev/null do not count: they are
// there to hide a unit.
func existingUnits(getenv func(string) string, user bool) func(string) string {
	dirs := []string{"/etc/systemd/system/", "/usr/local/lib/systemd/system/", "/usr/lib/systemd/system/"}
	if user {
		dirs = []string{"/etc/systemd/user/", "/usr/local/lib/systemd/user/", "/usr/lib/systemd/user/"}
		switch config, home := getenv("XDG_CONFIG_HOME"), getenv("HOME"); {
		case config != "":
			dirs = append(dirs, config+"/systemd/user/")
		case home != "":
			dirs = append(dirs, home+"/.config/systemd/user/")
		}
	}
	dirs = slices.DeleteFunc(dirs, func(dir string) bool { return !exists(dir) })
	e := existing{dirs: dirs}
	return e.find
}

// existing looks for units in directories: by name, and from the manyUnits-th time on in lists that are read once.
type existing struct {
	dirs  []string
	asked int
	lists []map[string]bool
}

const manyUnits = 64

func (e *existing) find(unit string) string {
	if e.asked++; e.asked == manyUnits {
		for _, dir := range e.dirs {
			e.lists = append(e.lists, listNames(dir))
		}
	}
	for i, dir := range e.dirs {
		if e.lists != nil && !e.lists[i][unit] {
			continue
		}
		var stat syscall.Stat_t
		if syscall.Lstat(dir+unit, &stat) == nil && !isNull(dir+unit) {
			return dir + unit
		}
	}
	return ""
}

func listNames(dir string) map[string]bool {
	names := map[string]bool{}
	d, err := os.Open(dir)
	if err != nil {
		return names
	}
	defer d.Close()
	list, _ := d.Readdirnames(-1)
	for _, name := range list {
		names[name] = true
	}
	return names
}
