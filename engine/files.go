package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/inroot"
	"github.com/berth-pods/berth/engine/spec"
)

// Files are the files of a container as it sees them, with its volumes.
type Files struct {
	Root inroot.Root
	// UID and GID are the user of the container's own program, as the container numbers them.
	UID, GID uint32
	IDs      spec.IDMaps
	lock     *os.File
}

// Close gives the handles back.
func (f Files) Close() error {
	err := f.Root.Close()
	if f.lock != nil {
		err = errors.Join(err, f.lock.Close())
	}
	return err
}

// Files opens a container's files: of one that runs, what its first process sees; of one that does not, its root file
// system with its volumes, which nobody else sees. The latter cannot be started before Close. The calling goroutine must be
// locked to its thread, which may be moved into a mount namespace.
func (e *Engine) Files(s State) (Files, error) {
	s, lock, err := e.Dirs.lockFiles(s)
	f := Files{IDs: s.IDs, lock: lock}
	if err != nil {
		return f, err
	}
	if lock != nil {
		return e.filesAtRest(s, f)
	}
	if f.Root, err = inroot.Open(fmt.Sprintf("/proc/%d/root", s.Init.PID)); err != nil {
		return f, fmt.Errorf("files of container %q: %w", s.Name, err)
	}
	if err := s.Init.Check(); err != nil { // asked afterwards: the number may have become another process's
		return f, errors.Join(fmt.Errorf("files of container %q: %w", s.Name, err), f.Root.Close())
	}
	if config, err := e.config(s); err == nil {
		f.UID, f.GID = config.Process.User.UID, config.Process.User.GID
	}
	return f, nil
}

// Rootfs opens a container's root file system without its volumes, as Files does all of it.
func (e *Engine) Rootfs(s State) (Files, error) {
	s, lock, err := e.Dirs.lockFiles(s)
	f := Files{IDs: s.IDs, lock: lock}
	if err != nil {
		return f, err
	}
	if lock == nil {
		tree, err := cloneTree(s.Init.PID, "/")
		if err == nil {
			if err = s.Init.Check(); err != nil { // asked afterwards, as in Files
				err = errors.Join(err, unix.Close(tree))
			}
		}
		if err != nil {
			return f, fmt.Errorf("root file system of container %q: %w", s.Name, err)
		}
		f.Root = inroot.At(os.NewFile(uintptr(tree), "/"))
		return f, nil
	}
	if err = ownMountNamespace(); err == nil {
		var path string
		if path, err = e.Store.Mount(s.ID); err == nil {
			f.Root, err = inroot.Open(path)
		}
	}
	if err != nil {
		return f, errors.Join(fmt.Errorf("root file system of container %q: %w", s.Name, err), lock.Close())
	}
	return f, nil
}

// ShowRootfs mounts the root file system of a container where the host sees it, and returns where. One that runs has it
// mounted already, in its own mount namespace: a second mount of its layer would not see what it writes, so what is shown is
// that one, at the place that placeOf gives for its ID. The store knows that place, and takes the mount away with the container.
func (e *Engine) ShowRootfs(s State, placeOf func(string) (string, error)) (string, error) {
	s, lock, err := e.Dirs.lockFiles(s)
	if err != nil {
		return "", err
	}
	if lock != nil {
		defer lock.Close()
		return e.Store.Mount(s.ID)
	}
	place, err := placeOf(s.ID)
	if err != nil {
		return "", err
	}
	if mounted, err := isMountPoint(place); mounted || err != nil {
		return place, err
	}
	f, err := e.Rootfs(s)
	if err != nil {
		return "", err
	}
	defer f.Close()
	err = unix.MoveMount(f.Root.FD(), "", unix.AT_FDCWD, place, unix.MOVE_MOUNT_F_EMPTY_PATH)
	if err != nil {
		return "", fmt.Errorf("mount the root file system of container %q at %s: %w", s.Name, place, err)
	}
	return place, nil
}

// IsMounted reports whether something is mounted at a path of the host.
func IsMounted(path string) bool {
	mounted, err := isMountPoint(path)
	return mounted && err == nil
}

// filesAtRest mounts what a container that does not run would see.
func (e *Engine) filesAtRest(s State, f Files) (Files, error) {
	fail := func(err error) (Files, error) {
		return f, errors.Join(fmt.Errorf("files of container %q: %w", s.Name, err), f.lock.Close())
	}
	if err := ownMountNamespace(); err != nil {
		return fail(err)
	}
	path, err := e.Store.Mount(s.ID)
	if err != nil {
		return fail(err)
	}
	if f.Root, err = inroot.Open(path); err != nil {
		return fail(err)
	}
	for _, v := range volumesAtRest(s) {
		err = errors.Join(err, showVolume(f.Root, v))
	}
	if err != nil {
		return fail(errors.Join(err, f.Root.Close()))
	}
	image, err := e.Store.Image(s.ImageID)
	if err != nil && !errors.Is(err, ErrNoImage) {
		return fail(errors.Join(err, f.Root.Close()))
	}
	if p, err := resolveUser(f.Root, s.Container, image.Config.User); err == nil { // else its start says what is wrong
		f.UID, f.GID = p.UID, p.GID
	}
	return f, nil
}

// volumesAtRest are the volumes of a container that does not run, outer ones first. One that has never run has those only
// that are paths of the host: its named volumes are filled from its files when it starts.
func volumesAtRest(s State) []VolumeMount {
	list := slices.Clone(s.Mounts)
	sort.SliceStable(list, func(a, b int) bool {
		return len(filepath.Clean(list[a].Destination)) < len(filepath.Clean(list[b].Destination))
	})
	return list
}

// showVolume mounts a volume at its place in a root file system. The place is the container's, which may have put a link
// there: it is resolved inside, and what is mounted on is the handle.
func showVolume(root inroot.Root, v VolumeMount) error {
	if v.Source == "" || v.Overlay {
		return nil // what is written to such a one is not the source's
	}
	if v.Layer && !IsMounted(v.Source) {
		return fmt.Errorf("volume %q is a layer of an image, and not mounted: start the container, or `berth volume mount %s`", v.Name, v.Name)
	}
	source := v.Source
	if v.Subpath != "" {
		handle, err := openSubpath(source, v.Subpath)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
		defer handle.Close()
		source = inroot.ViaProc(handle)
	}
	tree, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("volume %s: %w", v.Source, err)
	}
	defer unix.Close(tree)
	if slices.Contains(v.Options, "ro") {
		readonly := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &readonly); err != nil {
			return fmt.Errorf("volume %s: %w", v.Source, err)
		}
	}
	place, err := root.Handle(v.Destination)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer place.Close()
	err = unix.MoveMount(tree, "", int(place.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("show volume %s at %s: %w", v.Source, v.Destination, err)
	}
	return nil
}

// lockFiles is lockKept for who wants the files of a container that does not run. It returns the container as it is then: one that runs,
// as it may have been started meanwhile, has no lock.
func (d Dirs) lockFiles(s State) (State, *os.File, error) {
	if s.Running() {
		return s, nil, nil
	}
	lock, err := d.lockKept(s.ID)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("it does not run, and goes with its end: %w", ErrNotRunning)
	}
	if err != nil {
		return s, nil, fmt.Errorf("container %q: %w", s.Name, err)
	}
	now, err := d.Find(s.ID)
	if err != nil || now.Running() {
		return now, nil, errors.Join(err, lock.Close())
	}
	return now, lock, nil
}
