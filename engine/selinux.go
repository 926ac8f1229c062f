package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/inroot"
	"github.com/berth-pods/berth/engine/lease"
	"github.com/berth-pods/berth/engine/spec"
)

// SELinux is the policy of the machine.
type SELinux interface {
	// Label makes the labels of a container at a level, unless the options, as --security-opt label=OPTION has them, say otherwise.
	Label(level string, options []string) (spec.Label, error)
	// Shared is the label of files that all containers may use, given that of one's.
	Shared(file string) (string, error)
}

// levels is the directory of leases of levels; each names two categories, c1,c2.
const levels = "levels"

// leases hands out levels and ranges of IDs. A container that is kept has its own between two starts too, for its files have it.
func (e *Engine) leases() lease.Dir {
	return lease.Dir{Path: filepath.Join(e.Dirs.Run, "leases"), Live: func(id string) bool {
		if e.Dirs.Known(id) {
			return true
		}
		_, err := e.Dirs.kept(id)
		return !errors.Is(err, ErrNoContainer)
	}}
}

// label decides the labels that SELinux knows the container by. It keeps those that it has had, as its files have them too.
func (e *Engine) label(s *State) error {
	if e.SELinux == nil {
		s.Label = spec.Label{}
		return nil
	}
	var err error
	if s.Label.File == "" {
		s.Label, err = e.newLabel(*s)
	} else if _, categories, ok := strings.Cut(s.Label.File, ":s0:"); ok && s.Pod == "" && s.Label.Process != "" {
		_, err = e.leases().Take(levels+"/"+categories, s.ID) // it may be another's since a reboot: the files have it all the same
	}
	if err != nil {
		return fmt.Errorf("container %q: SELinux: %w", s.Name, err)
	}
	return nil
}

func (e *Engine) newLabel(s State) (spec.Label, error) {
	options, err := spec.LabelOptions(s.Container)
	if err != nil {
		return spec.Label{}, err
	}
	if peer := e.labelPeer(s.Container); peer != nil && len(options) == 0 {
		if peer.Label.Process != "" {
			return peer.Label, nil
		}
		options = []string{spec.LabelDisable}
	}
	id, name := s.ID, s.Name
	if s.Pod != "" {
		p, err := e.Dirs.loadPod(s.Pod)
		if err != nil {
			return spec.Label{}, err
		}
		id, name = p.ID, p.Name
	}
	level, err := e.level(id, name)
	if err != nil {
		return spec.Label{}, err
	}
	return e.SELinux.Label(level, options)
}

// labelPeer is the container whose processes or shared memory this one sees, and whose label it has for that.
func (e *Engine) labelPeer(c spec.Container) *State {
	for _, mode := range []string{c.PID, c.IPC} {
		if name, ok := strings.CutPrefix(mode, "container:"); ok {
			if other, err := e.Dirs.Find(name); err == nil {
				return &other
			}
		}
	}
	return nil
}

// level leases a level for a container or pod: the one that its name leads to, if it is free.
func (e *Engine) level(id, name string) (string, error) {
	for n := range spec.Levels {
		first, second := spec.Level(name, n)
		categories := fmt.Sprintf("c%d,c%d", first, second)
		ok, err := e.leases().Take(levels+"/"+categories, id)
		if err != nil {
			return "", fmt.Errorf("lease a level of SELinux: %w", err)
		}
		if ok || e.leases().Holder(levels+"/"+categories) == id {
			return "s0:" + categories, nil
		}
	}
	return "", errors.New("all levels of SELinux are in use by other containers")
}

// podLabel is the label of what the containers of a pod share; "" where there is no SELinux.
func (e *Engine) podLabel(p Pod) (string, error) {
	if e.SELinux == nil {
		return "", nil
	}
	level, err := e.level(p.ID, p.Name)
	if err != nil {
		return "", err
	}
	label, err := e.SELinux.Label(level, nil)
	return label.File, err
}

// releaseLevel gives back the level of a container or pod.
func (e *Engine) releaseLevel(id string) error { return e.leases().ReleaseAll(levels, id) }

// withContext adds to the options of a new mount that all files in it have a label (mount(8), context=).
func withContext(options, label string) string {
	if label == "" {
		return options
	}
	return strings.TrimPrefix(options+`,context="`+label+`"`, ",")
}

// labelledByMount are the types of file systems that keep no labels, or none of ours: all in them has that of the mount.
var labelledByMount = []string{"tmpfs", "ramfs", "nfs", "nfs4", "cifs", "vfat"}

// labelFile gives a file of berth's own the label of a container's files, so that the container may read it.
func labelFile(path, label string) error {
	if label == "" {
		return nil
	}
	f, err := os.OpenFile(path, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := inroot.Label(f, label); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("label %s for SELinux: %w", path, err)
	}
	return nil
}

// sharedLabel is the label of files that all containers may use; "" where there is no SELinux.
func (e *Engine) sharedLabel(s State) (string, error) {
	if s.Label.File == "" || e.SELinux == nil {
		return "", nil
	}
	return e.SELinux.Shared(s.Label.File)
}

// relabels tells whether the options z and Z of a volume do anything.
func (s *State) relabels(v spec.Volume) bool {
	switch {
	case s.Label.File == "" || v.Overlay: // an overlay is labelled as it is mounted
		return false
	case v.Relabel == "Z":
		return s.Label.Process != "" // else the container may use all files, and no other one may have its label
	}
	return v.Relabel == "z"
}

// relabel does what they say.
func (e *Engine) relabel(s *State, v spec.Volume, source string) error {
	if !s.relabels(v) {
		return nil
	}
	label := s.Label.File
	if v.Relabel == "z" {
		var err error
		if label, err = e.sharedLabel(*s); err != nil {
			return err
		}
	}
	err := labelTree(source, label, e.labelMemory())
	if errors.Is(err, unix.EOPNOTSUPP) {
		fmt.Fprintf(e.Warn, "volume %s: its file system keeps no labels of SELinux; mount it with the option context=%q\n", v.Source, label)
		return nil
	}
	if err != nil {
		return fmt.Errorf("option %s: label it for SELinux: %w", v.Relabel, err)
	}
	return nil
}

// labelNew labels a new volume, with what was copied into it, for all containers, as Podman does.
func (e *Engine) labelNew(s State, dir string) error {
	label, err := e.sharedLabel(s)
	if err != nil || label == "" {
		return err
	}
	if err := labelTree(dir, label, e.labelMemory()); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("label it for SELinux: %w", err)
	}
	return nil
}

// labelMemory is the extended attribute of a directory that says that all in it was labelled. Only root has those that nobody
// else can write (xattr(7)).
func (e *Engine) labelMemory() string {
	if e.Host.Rootless {
		return "user.berth.label"
	}
	return "trusted.berth.label"
}

// labelTree labels a file, or a directory with all that is in it. What was done is remembered at the directory, with its device and
// inode, since attributes are copied with files: the second time takes no look at what is in it.
func labelTree(source, label, memory string) error {
	f, err := os.OpenFile(source, unix.O_PATH, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return inroot.Label(f, label)
	}
	root, err := inroot.Open(source)
	if err != nil {
		return err
	}
	defer root.Close()
	done := fmt.Sprintf("%s %d:%d", label, st.Dev, st.Ino)
	buf := make([]byte, len(done)+1)
	if n, err := unix.Fgetxattr(root.FD(), memory, buf); err == nil && string(buf[:n]) == done {
		if has, err := inroot.LabelOf(f); err == nil && has == label {
			return nil
		}
	}
	if err := root.LabelTree(label); err != nil {
		return err
	}
	err = unix.Fsetxattr(root.FD(), memory, []byte(done), 0)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPERM) {
		return nil // it is done anew each time
	}
	return err
}
