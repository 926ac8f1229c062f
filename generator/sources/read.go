package sources

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/berth-pods/berth/generator"
	"github.com/berth-pods/berth/units"
)

// reader walks the directories. A directory is read once, by its resolved name, so that links cannot loop.
type reader struct {
	search Search
	set    generator.Set
	seen   map[string]bool
	trace  func(string)
	errs   []error
	buf    []byte
	total  int // bytes read
}

var errTotal = errors.New("is not read: the unit files come to more than " + strconv.Itoa(maxTotal>>20) + " MiB")

// Read reads all unit files and drop-ins. trace is told of each file before it is read; nil tells nobody. What is wrong with
// a file is said in the set, the errors are about directories.
func (s Search) Read(trace func(message string)) (generator.Set, []error) {
	if trace == nil {
		trace = func(string) {}
	}
	r := &reader{search: s, seen: map[string]bool{}, trace: trace}
	r.set.Dropins = map[string][]generator.Source{}
	for _, dir := range s.Paths {
		r.directory(dir)
	}
	return r.set, r.errs
}

// ReadFile reads one file as it would be read in a unit directory.
func ReadFile(path string) generator.Source {
	name := path[strings.LastIndexByte(path, '/')+1:]
	if _, err := os.Lstat(path); os.IsNotExist(err) {
		return generator.Source{Name: name, Path: path, Problem: "does not exist"}
	}
	info, err := os.Stat(path)
	if err != nil {
		return generator.Source{Name: name, Path: path, Problem: reason(err)}
	}
	r := reader{trace: func(string) {}}
	return r.readSource(name, path, info.Mode(), true)
}

func wrap(doing string, err error) error { return errors.New(doing + ": " + err.Error()) }

// maxDepth bounds directories inside directories.
const maxDepth = 64

func (r *reader) directory(path string) {
	resolved := r.resolve(path)
	if resolved == "" || r.seen[resolved] || r.search.LeaveOut(resolved) || strings.Count(resolved, "/") > maxDepth {
		return
	}
	r.seen[resolved] = true
	entries, err := os.ReadDir(resolved)
	if err != nil {
		if !os.IsNotExist(err) {
			r.errs = append(r.errs, wrap("read unit directory", err))
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
		// A link may lead to a directory of drop-ins.
		if target := r.resolve(dir); target != "" && !strings.HasSuffix(target, ".d") {
			r.directory(target)
		}
	}
}

// resolve follows the links to a directory; "" when it is not there, or when that cannot be known, which is an error.
func (r *reader) resolve(path string) string {
	resolved, err := filepath.EvalSymlinks(path)
	if closed := r.search.User && os.IsPermission(err); err != nil && !closed && !os.IsNotExist(err) {
		r.errs = append(r.errs, wrap("read unit directory "+path, err))
	}
	return resolved
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
		r.trace("Loading source unit file " + path)
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
		r.errs = append(r.errs, wrap("read drop-in directory", err))
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
		r.trace("Loading source drop-in file " + file)
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
