package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/inroot"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

// VolumeMount is a volume, or a path of the host, that a container sees.
type VolumeMount struct {
	Name        string   `json:"name,omitempty"`   // of the volume; "" for a path of the host
	Source      string   `json:"source,omitempty"` // path of the host
	Destination string   `json:"destination"`
	Options     []string `json:"options,omitempty"`
	Anonymous   bool     `json:"anonymous,omitempty"` // the volume is this container's own
	Overlay     bool     `json:"overlay,omitempty"`   // what the container writes is not seen in the source
	Subpath     string   `json:"subpath,omitempty"`   // only what lies there in the volume is shown
	From        string   `json:"from,omitempty"`      // the word of --volumes-from that it comes by
	Layer       bool     `json:"layer,omitempty"`     // the volume is the layer of an image, mounted on Source while a container has it
}

// volumeInput is what volumes depend on.
type volumeInput struct {
	root    inroot.Root
	image   spec.ImageConfig
	process spec.Process
}

// volumes resolves the volumes given, those of other containers, and those of the image that none was given for.
func (e *Engine) volumes(ctx context.Context, s *State, in volumeInput) ([]spec.Mount, error) {
	peers, err := e.lockPeers(ctx, *s)
	if err != nil {
		return nil, err
	}
	volumes, fresh, err := e.chooseVolumes(s, in.image)
	if err == nil && fresh { // known before they are used, also after a kill or a power cut: who removes a volume asks who has it
		err = errors.Join(e.Dirs.save(*s), e.Dirs.keep(*s))
	}
	peers.unlock()
	if err != nil {
		return nil, err
	}
	var list []spec.Mount
	for i, v := range volumes {
		source, err := e.volumeSource(ctx, s, i, v, in)
		if err != nil {
			return nil, err
		}
		if !s.Mounts[i].Layer {
			s.Mounts[i].Source = source
		}
		if source, err = e.shownAs(s, i, shown{v, source}, in.process); err != nil {
			return nil, fmt.Errorf("volume %s:%s: %w", v.Source, v.Destination, err)
		}
		list = append(list, spec.Mount{Source: source, Destination: v.Destination, Options: v.Options})
	}
	return list, nil
}

// lockPeers waits for those whose volumes a container takes over for the first time, and keeps them from being removed, with those volumes,
// until it is written down that it has them. Who is being made may not have chosen them yet.
func (e *Engine) lockPeers(ctx context.Context, s State) (peers State, err error) {
	seen := []string{s.ID} // its pod may have the option
	for _, word := range s.Container.VolumesFrom {
		name, _, _ := strings.Cut(word, ":")
		other, err := e.Dirs.Find(name)
		if err != nil || slices.Contains(seen, other.ID) || s.had(word) != nil && !(other.OnItsWay() && other.Mounts == nil) {
			continue // wantedVolumes says what is wrong
		}
		seen = append(seen, other.ID)
		lock, err := e.Dirs.lock(ctx, other.ID, e.Warn)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			peers.unlock()
			return peers, fmt.Errorf("volumes from %q: %w", name, err)
		}
		peers.locks = append(peers.locks, lock)
	}
	return peers, nil
}

// chooseVolumes decides which volumes a container has, and writes nothing: fresh tells that there are some that its record does not have.
func (e *Engine) chooseVolumes(s *State, image spec.ImageConfig) (volumes []spec.Volume, fresh bool, err error) {
	if volumes, err = e.wantedVolumes(*s, image); err != nil {
		return nil, false, err
	}
	mounts := make([]VolumeMount, 0, len(volumes)) // until all are known those of an earlier run are still the container's own
	for i, v := range volumes {
		m := VolumeMount{Source: v.Source, Destination: v.Destination, Options: v.Options, Overlay: v.Overlay, Subpath: v.Subpath, From: v.From}
		if v.Named() {
			m.Name, m.Source = v.Source, ""
		}
		if v.Source == "" {
			if m.Name = s.anonymousName(v.Destination); m.Name == "" {
				if m.Name, err = NewID(); err != nil {
					return nil, false, err
				}
			}
			m.Anonymous, volumes[i].Source = true, m.Name
		}
		fresh = fresh || m.Name != "" && !s.hasVolume(m.Name)
		mounts = append(mounts, m)
	}
	s.Mounts = mounts
	return volumes, fresh, nil
}

// wantedVolumes lists volumes by the places where they are shown: what was asked for comes first, then other containers',
// then the image's.
func (e *Engine) wantedVolumes(s State, image spec.ImageConfig) ([]spec.Volume, error) {
	c := s.Container
	var list []spec.Volume
	taken := map[string]bool{}
	for _, word := range c.Volumes {
		v, err := spec.ParseVolume(word)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		taken[v.Destination] = true
	}
	for _, word := range c.Tmpfs {
		place, _, _ := strings.Cut(word, ":")
		taken[path.Clean(place)] = true
	}
	for _, from := range c.VolumesFrom {
		others, err := e.volumesFrom(s.ID, from)
		if had := s.had(from); errors.Is(err, ErrNoContainer) && had != nil {
			others, err = had, nil // that one may go, what it had is this one's too
		}
		if err != nil {
			return nil, err
		}
		for _, v := range others {
			if !taken[v.Destination] {
				list = append(list, v)
				taken[v.Destination] = true
			}
		}
	}
	if c.ImageVolume == "ignore" || c.ImageVolume == "tmpfs" || c.Rootfs {
		return list, nil
	}
	for _, place := range image.Volumes {
		v, err := spec.ParseVolume(place)
		if err != nil {
			return nil, fmt.Errorf("of the image: %w; --image-volume=ignore passes over it", err)
		}
		if !taken[v.Destination] {
			list = append(list, v)
			taken[v.Destination] = true
		}
	}
	return list, nil
}

// volumesFrom lists what another container sees, CONTAINER[:OPTION,…]; self is who asks.
func (e *Engine) volumesFrom(self, word string) ([]spec.Volume, error) {
	name, opts, _ := strings.Cut(word, ":")
	other, err := e.Dirs.Find(name)
	if err == nil && other.ID == self { // of a pod, say, that has the option
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("volumes from %q: %w", name, err)
	}
	var list []spec.Volume
	for _, m := range other.Mounts {
		v := m.volume(word)
		for _, o := range strings.Split(opts, ",") {
			switch o {
			case "ro", "rw":
				v.Options = append(slices.DeleteFunc(v.Options, func(s string) bool { return s == "ro" || s == "rw" }), o)
			case "", "z", "Z":
			default:
				return nil, fmt.Errorf("volumes from %q: unknown option %q; ro, rw, z and Z are known", name, o)
			}
		}
		list = append(list, v)
	}
	return list, nil
}

// volume is what is mounted, for a container that has it by this word of --volumes-from.
func (m VolumeMount) volume(from string) spec.Volume {
	v := spec.Volume{Source: m.Source, Destination: m.Destination, Options: slices.Clone(m.Options), Overlay: m.Overlay, Subpath: m.Subpath, From: from}
	if m.Name != "" {
		v.Source = m.Name
	}
	return v
}

// had lists what a container has had by a word of --volumes-from.
func (s State) had(from string) (list []spec.Volume) {
	for _, m := range s.Mounts {
		if m.From == from {
			list = append(list, m.volume(from))
		}
	}
	return list
}

// volumeSource is the directory or file of the host that a volume shows. A path must exist: to make one on a mount
// point that is not mounted yet would hide the loss of data.
func (e *Engine) volumeSource(ctx context.Context, s *State, i int, v spec.Volume, in volumeInput) (string, error) {
	if !v.Named() {
		if _, err := os.Stat(v.Source); err != nil {
			return "", fmt.Errorf("volume %s:%s of %s: the host has no %s; make it, or mount what it lies on", v.Source, v.Destination, s.who(), v.Source)
		}
		return v.Source, nil
	}
	fill := func(dir string, content bool) error {
		ids, err := e.onDisk(s, dir)
		if err != nil {
			return err
		}
		o := s.inFiles(in.process)
		uid, gid := ids(uint32(o.uid), uint32(o.gid))
		if err := os.Chown(dir, int(uid), int(gid)); err != nil {
			return err
		}
		if content && !v.NoCopy {
			if err := copyUp(in.root, v.Destination, dir, ids); err != nil {
				return fmt.Errorf("fill the new volume %q from the image's %s: %w", v.Source, v.Destination, err)
			}
		}
		return e.labelNew(*s, dir)
	}
	own := s.Mounts[i].Anonymous
	unused := func(name string) error { return e.Dirs.CheckUnused(name) }
	source, err := e.Volumes.Ensure(VolumeRequest{Name: v.Source, Anonymous: own, Volatile: own && s.Container.Remove, Unused: unused}, fill)
	switch {
	case err != nil:
		return "", err
	case source.Layer:
		return e.mountLayer(s, i, source)
	case source.Type == "":
		return source.Path, nil
	}
	return e.mountVolume(ctx, s, i, source, fill)
}

// who names the container to people: by its unit where it has one.
func (s State) who() string {
	if strings.HasSuffix(s.Unit, ".service") {
		return s.Unit
	}
	return fmt.Sprintf("container %q", s.Name)
}

// mountVolume mounts the file system that a volume stands for, where only the container sees it. One that somebody has
// mounted on the volume's own directory is taken as it is.
func (e *Engine) mountVolume(ctx context.Context, s *State, i int, v VolumeSource, fill func(string, bool) error) (string, error) {
	if mounted, err := isMountPoint(v.Path); mounted || err != nil {
		return v.Path, err
	}
	target, err := e.stagedPlace(s, i, true)
	if err != nil {
		return "", err
	}
	if slices.Contains(labelledByMount, v.Type) && !strings.Contains(v.Options, "context=") {
		label, err := e.sharedLabel(*s)
		if err != nil {
			return "", err
		}
		v.Options = withContext(v.Options, label)
	}
	if err := e.mountProgram(ctx, v, target); err != nil {
		return "", fmt.Errorf("volume %q of %s: %w", s.Mounts[i].Name, s.who(), err)
	}
	if v.Type == "tmpfs" {
		return target, fill(target, true)
	}
	return target, nil
}

// mountProgram calls mount(8), which knows the helpers of file systems that need one, such as nfs.
func (e *Engine) mountProgram(ctx context.Context, v VolumeSource, target string) error {
	args := []string{"-n"}
	if v.Type != "bind" && v.Type != "none" {
		args = append(args, "-t", v.Type)
	} else if _, err := os.Stat(v.Device); err != nil {
		return fmt.Errorf("the host has no %s; make it, or mount what it lies on", v.Device)
	}
	options := v.Options
	if v.Type == "bind" && !slices.Contains(strings.Split(options, ","), "rbind") {
		options = strings.TrimPrefix(options+",bind", ",")
	}
	if options != "" {
		args = append(args, "-o", options)
	}
	device := v.Device
	if device == "" {
		device = v.Type
	}
	if _, err := e.Programs(ctx, proc.Command{Path: "mount", Args: append(args, "--", device, target)}); err != nil {
		return fmt.Errorf("mount %s (type %s, options %q): %w", device, v.Type, options, err)
	}
	return nil
}

func isMountPoint(dir string) (bool, error) {
	var here, above unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, dir, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_MNT_ID, &here)
	if err == nil {
		err = unix.Statx(unix.AT_FDCWD, filepath.Dir(dir), 0, unix.STATX_MNT_ID, &above)
	}
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", dir, err)
	}
	return here.Mnt_id != above.Mnt_id, nil
}

// stagedPlace makes the place below the staging directory on which volume i can be mounted.
func (e *Engine) stagedPlace(s *State, i int, directory bool) (string, error) {
	dir, err := e.staging(s)
	if err != nil {
		return "", err
	}
	for n := 0; ; n++ { // a volume may be mounted in several steps, one on the other's result
		place := filepath.Join(dir, fmt.Sprintf("volume-%d-%d", i, n))
		if directory {
			err = os.Mkdir(place, 0o755)
		} else {
			var f *os.File
			if f, err = os.OpenFile(place, os.O_CREATE|os.O_EXCL, 0o600); err == nil {
				f.Close()
			}
		}
		if !errors.Is(err, fs.ErrExist) {
			return place, err
		}
	}
}

// shown is a volume and the directory or file that it is for now.
type shown struct {
	spec.Volume
	source string
}

// shownAs changes the source as the options of the volume say, and returns the path that is to be shown.
func (e *Engine) shownAs(s *State, i int, of shown, p spec.Process) (string, error) {
	v, source := of.Volume, of.source
	if chown, relabel := v.Chown && !v.Overlay, s.relabels(v); !v.Named() && (chown || relabel) {
		f, err := e.openSource(source, chown, relabel)
		if err != nil {
			return "", err
		}
		defer f.Close()
		source = inroot.ViaProc(f)
	}
	changed, err := e.changeSource(s, i, v, source)
	if err != nil {
		return "", err
	}
	if v.Chown {
		o, err := s.owner(p)
		if err == nil {
			err = chownTree(changed, o)
		}
		if err != nil {
			return "", fmt.Errorf("option U: %w", err)
		}
	}
	if changed == source {
		return of.source, nil
	}
	return changed, nil
}

// changeSource mounts what the container is to see in place of the source itself, if that is something else.
func (e *Engine) changeSource(s *State, i int, v spec.Volume, source string) (string, error) {
	var err error
	if v.Subpath != "" {
		if source, err = e.stageSubpath(s, i, source, v.Subpath); err != nil {
			return "", err
		}
	}
	if err := e.relabel(s, v, source); err != nil {
		return "", err
	}
	if source, err = e.mapOwners(s, i, source, v); err != nil {
		return "", err
	}
	if v.Overlay {
		if source, err = e.stageOverlay(s, i, source, v); err != nil {
			return "", fmt.Errorf("option O: %w", err)
		}
	}
	return source, nil
}

// openSource returns a handle on what is to be given away or labelled, once it is seen where that is: what the container's file
// calls it may lead elsewhere.
func (e *Engine) openSource(source string, chown, relabel bool) (*os.File, error) {
	open := inroot.OpenHost
	if e.Host.Rootless { // the kernel sees to it that nobody's but the user's is changed
		open = func(name string) (*os.File, error) { return os.OpenFile(name, unix.O_PATH, 0) }
	}
	f, err := open(source)
	if err != nil {
		return nil, err
	}
	place, err := os.Readlink(inroot.ViaProc(f))
	if err == nil && chown {
		err = spec.CheckChown(place)
	}
	if err == nil && relabel {
		err = spec.CheckRelabel(place)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func chownTree(source string, o owner) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return os.Chown(source, o.uid, o.gid)
	}
	root, err := inroot.Open(source)
	if err != nil {
		return err
	}
	defer root.Close()
	return root.ChownTree(o.uid, o.gid)
}

// mapOwners mounts the source with its owners mapped: where idmap asks for it, and for a volume whose directory belongs
// to somebody of the container. One that belongs to IDs of the host's is used as it is, as Podman does with all.
func (e *Engine) mapOwners(s *State, i int, source string, v spec.Volume) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(source, &st); err != nil {
		return "", err
	}
	wanted := v.IDMap != nil
	if !wanted {
		_, ok1 := s.IDs.UID(st.Uid)
		_, ok2 := s.IDs.GID(st.Gid)
		if !v.Named() || e.Host.Rootless || !ok1 || !ok2 {
			return source, nil
		}
	}
	ids, own := s.IDs, s
	if wanted && *v.IDMap != "" {
		var err error
		if ids, err = spec.ParseIDMapOption(*v.IDMap, s.IDs); err != nil {
			return "", err
		}
		own = &State{IDs: ids}
		defer func() { own.userns.Close() }()
	}
	if ids.Empty() || ids.Identity() {
		return source, nil
	}
	place, err := e.stagedPlace(s, i, st.Mode&unix.S_IFMT == unix.S_IFDIR)
	if err != nil {
		return "", err
	}
	mapped, err := e.idmapped(own, source, place)
	switch {
	case err != nil:
		return "", err
	case mapped:
		return place, nil
	case wanted && e.Host.Rootless:
		return "", errors.New("option idmap: the kernel lets only root map the owners of a file system of the machine")
	case wanted:
		return "", fmt.Errorf("option idmap: the file system of %s cannot map owners", source)
	}
	fmt.Fprintf(e.Warn, "volume %s: its file system cannot map owners; the container sees them as nobody. Option U gives them to it\n", v.Source)
	return source, nil
}

// openSubpath opens what lies at a path of a volume. The path is resolved by the kernel below the volume, and what it led to is
// known by its handle: a container that exchanges parts of the path for links meanwhile changes nothing.
func openSubpath(volume, subpath string) (*os.File, error) {
	root, err := inroot.Open(volume)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.Handle(subpath)
}

// stageSubpath mounts what lies at a path of a volume.
func (e *Engine) stageSubpath(s *State, i int, volume, subpath string) (string, error) {
	handle, err := openSubpath(volume, subpath)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("the volume has no %s; make it first", subpath)
	}
	if err != nil {
		return "", err
	}
	defer handle.Close()
	info, err := handle.Stat()
	if err != nil {
		return "", err
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s in the volume is neither a directory nor a regular file", subpath)
	}
	place, err := e.stagedPlace(s, i, info.IsDir())
	if err != nil {
		return "", err
	}
	tree, err := unix.OpenTree(int(handle.Fd()), "", unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return "", fmt.Errorf("take %s of the volume: %w", subpath, err)
	}
	defer unix.Close(tree)
	return place, unix.MoveMount(tree, "", unix.AT_FDCWD, place, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// stageOverlay mounts an overlay on the source. What the container writes goes away with it, unless it was said where it
// is to be kept.
func (e *Engine) stageOverlay(s *State, i int, source string, v spec.Volume) (string, error) {
	info, err := os.Stat(source)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return "", fmt.Errorf("%s is no directory", source)
	}
	upper, work := v.Upper, v.Work
	if upper == "" {
		dir, err := e.Store.Dir(s.ID)
		if err != nil {
			return "", err
		}
		dir = filepath.Join(dir, fmt.Sprintf("overlay-%d", i))
		upper, work = filepath.Join(dir, "upper"), filepath.Join(dir, "work")
		// What an earlier run has written is forgotten.
		if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(upper, 0o700), os.MkdirAll(work, 0o700), sameOwner(source, upper)); err != nil {
			return "", err
		}
	}
	place, err := e.stagedPlace(s, i, true)
	if err != nil {
		return "", err
	}
	// By handles, since a path may have the characters that divide the options.
	options := ""
	for _, d := range []struct{ name, path string }{{"lowerdir", source}, {"upperdir", upper}, {"workdir", work}} {
		f, err := os.OpenFile(d.path, os.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			return "", err
		}
		defer f.Close()
		options += fmt.Sprintf("%s=/proc/self/fd/%d,", d.name, f.Fd())
	}
	if e.Host.Rootless {
		options += "userxattr,"
	}
	if err := unix.Mount("overlay", place, "overlay", 0, withContext(strings.TrimSuffix(options, ","), s.Label.File)); err != nil {
		return "", fmt.Errorf("mount an overlay on %s: %w", source, err)
	}
	return place, nil
}

// sameOwner gives a directory the owner and the mode of another.
func sameOwner(of, to string) error {
	var st unix.Stat_t
	if err := unix.Stat(of, &st); err != nil {
		return err
	}
	return errors.Join(os.Chown(to, int(st.Uid), int(st.Gid)), unix.Chmod(to, st.Mode&0o7777))
}

// anonymousName is the name of the volume that is the container's own at this place: the one that it has had before; "" when there is none.
func (s State) anonymousName(destination string) string {
	for _, m := range s.Mounts {
		if m.Anonymous && m.Destination == destination {
			return m.Name
		}
	}
	return ""
}

// removeAnonymous removes the volumes that are the container's own, unless another one has taken them over by
// --volumes-from.
func (e *Engine) removeAnonymous(s State) error {
	var errs []error
	for _, m := range s.Mounts {
		if !m.Anonymous {
			continue
		}
		err := e.Volumes.Remove(m.Name, func() error { return e.Dirs.CheckUnused(m.Name, s.Name) })
		var used *VolumeUsedError
		if !errors.Is(err, ErrNoVolume) && !errors.As(err, &used) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// VolumeUsedError says which containers have a volume.
type VolumeUsedError struct {
	Volume string
	Users  []string
}

// Error implements error.
func (e *VolumeUsedError) Error() string {
	return fmt.Sprintf("volume %q is used by %s; `berth rm` takes a container away", e.Volume, strings.Join(e.Users, ", "))
}

// CheckUnused returns a *VolumeUsedError when a container has the volume, but for those of the names in but.
func (d Dirs) CheckUnused(volume string, but ...string) error {
	users, err := d.VolumeUsers(volume)
	if err != nil {
		return err
	}
	users = slices.DeleteFunc(users, func(name string) bool { return slices.Contains(but, name) })
	if len(users) > 0 {
		return &VolumeUsedError{volume, users}
	}
	return nil
}

// VolumeUsers lists the names of the containers that have a volume. It fails when a container cannot be read: that one may have it.
func (d Dirs) VolumeUsers(volume string) ([]string, error) {
	containers, err := d.AllSurely()
	if err != nil {
		return nil, fmt.Errorf("which containers have the volume %q: %w", volume, err)
	}
	var users []string
	for _, c := range containers {
		if c.hasVolume(volume) {
			users = append(users, c.Name)
		}
	}
	return users, nil
}

// hasVolume tells whether the container has a volume, or will when it starts.
func (s State) hasVolume(name string) bool {
	has := slices.ContainsFunc(s.Mounts, func(m VolumeMount) bool { return m.Name == name })
	for _, word := range s.Container.Volumes { // of one that is about to start
		v, err := spec.ParseVolume(word)
		has = has || err == nil && v.Named() && v.Source == name
	}
	return has
}

// copyUp gives a new volume what the image has at its place: content, owner and mode. Where the image has nothing, the
// volume stays as it is.
func copyUp(root inroot.Root, place, volume string, ids func(uid, gid uint32) (uint32, uint32)) error {
	from, err := root.OpenDir(place)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := inroot.Open(volume)
	if err != nil {
		return err
	}
	defer to.Close()
	return inroot.CopyTreeAs(from, to, ids)
}
