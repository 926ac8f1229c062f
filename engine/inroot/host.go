package inroot

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many links one path may lead over, as in path_resolution(7).
const maxLinks = 40

// OpenHost returns a handle (O_PATH) on what an absolute path of the host leads to, for changes that only root may make. A link on
// the way may be root's, or that of the owner of what it leads to in the end: else a user could have root change what is
// somebody else's, by a link in a place of his own. This is systemd's rule for the paths of services (tmpfiles.d(5),
// "unsafe path transition").
func OpenHost(name string) (*os.File, error) {
	if !filepath.IsAbs(name) {
		return nil, fmt.Errorf("%s is no absolute path", name)
	}
	way := hostWay{rest: strings.Split(name, "/")}
	defer way.close()
	if err := way.enter("/"); err != nil {
		return nil, err
	}
	for len(way.rest) > 0 {
		word := way.rest[0]
		way.rest = way.rest[1:]
		if err := way.step(word); err != nil {
			return nil, fmt.Errorf("open %s: %w", name, err)
		}
	}
	end := way.handles[len(way.handles)-1]
	var st unix.Stat_t
	if err := unix.Fstat(end, &st); err != nil {
		return nil, err
	}
	for _, l := range way.links {
		if l.owner != 0 && l.owner != st.Uid {
			return nil, fmt.Errorf("%s leads over a link %q of the user %d to what belongs to the user %d; name the place itself", name, l.name, l.owner, st.Uid)
		}
	}
	way.handles = way.handles[:len(way.handles)-1]
	return os.NewFile(uintptr(end), name), nil
}

// hostWay is a path that is walked word by word.
type hostWay struct {
	handles []int // the root directory first, then what lies below, the place reached last
	rest    []string
	links   []hostLink
}

type hostLink struct {
	name  string
	owner uint32
}

func (w *hostWay) close() {
	for _, fd := range w.handles {
		unix.Close(fd)
	}
}

func (w *hostWay) enter(word string) error {
	at := unix.AT_FDCWD
	if len(w.handles) > 0 {
		at = w.handles[len(w.handles)-1]
	}
	fd, err := unix.Openat(at, word, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == nil {
		w.handles = append(w.handles, fd)
	}
	return err
}

func (w *hostWay) back() {
	if last := len(w.handles) - 1; last > 0 {
		unix.Close(w.handles[last])
		w.handles = w.handles[:last]
	}
}

func (w *hostWay) step(word string) error {
	switch word {
	case "", ".":
		return nil
	case "..":
		w.back()
		return nil
	}
	if err := w.enter(word); err != nil {
		return err
	}
	fd := w.handles[len(w.handles)-1]
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return err
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	if err != nil {
		return err
	}
	w.links = append(w.links, hostLink{word, st.Uid})
	if len(w.links) > maxLinks {
		return unix.ELOOP
	}
	w.back()
	target := string(buf[:n])
	if strings.HasPrefix(target, "/") {
		for len(w.handles) > 1 {
			w.back()
		}
	}
	w.rest = append(strings.Split(target, "/"), w.rest...)
	return nil
}
