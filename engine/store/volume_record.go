package store

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/spec"
)

// Volume is what is known of a named volume. One that Podman made has no record of ours: only its name and place.
type Volume struct {
	Version int               `json:"version"`
	Name    string            `json:"name"`
	Created time.Time         `json:"created"`
	Labels  map[string]string `json:"labels,omitempty"`
	UID     *int              `json:"uid,omitempty"` // owner, instead of the one that the image's directory has
	GID     *int              `json:"gid,omitempty"`
	// Driver is image or local, or "" which is local. Options are those that it was made with.
	Driver    string            `json:"driver,omitempty"`
	Options   map[string]string `json:"options,omitempty"`
	Anonymous bool              `json:"anonymous,omitempty"` // it belongs to one container
	Boot      string            `json:"boot,omitempty"`      // it belongs to a container of this boot, which is forgotten with it
	Adopted   bool              `json:"adopted,omitempty"`   // Podman made it, which may have it in use
	Ours      bool              `json:"-"`                   // there is a record of ours, and it is not adopted
	Path      string            `json:"-"`
}

// DriverName is the driver, by its name.
func (v Volume) DriverName() string { return cmp.Or(v.Driver, "local") }

// Differs names what was asked for and the volume, which is there already, has otherwise. Of one of Podman's nothing is
// known, and labels are not worth a word.
func (v Volume) Differs(asked Volume) []string {
	if !v.Ours {
		return nil
	}
	var found []string
	if v.DriverName() != asked.DriverName() {
		found = append(found, "driver")
	}
	if !maps.Equal(v.Options, asked.Options) {
		found = append(found, "options")
	}
	if same := func(a, b *int) bool { return a == b || a != nil && b != nil && *a == *b }; !same(v.UID, asked.UID) || !same(v.GID, asked.GID) {
		found = append(found, "owner")
	}
	return found
}

const (
	volumeVersion = 1
	recordFile    = "volume.json"
	// untouchedFile stands beside a volume that no container has used yet, and that may be filled from an image.
	untouchedFile = "untouched"
)

// ErrVolumeExists and ErrNoVolume say what they are named after.
var (
	ErrVolumeExists = errors.New("volume exists")
	ErrNoVolume     = engine.ErrNoVolume
)

// Root is the directory that all volumes are in.
func (v Volumes) Root() (string, error) {
	if v.Dir != nil {
		if dir, err := v.Dir(); err != nil || dir != "" {
			return dir, err
		}
	}
	root, err := v.Store.Root()
	return filepath.Join(root, "volumes"), err
}

// Create makes an empty volume, which the first container that uses it fills; one of the driver image gets its layer.
func (v Volumes) Create(vol Volume) (Volume, error) {
	root, err := v.Root()
	if err != nil {
		return vol, err
	}
	if _, err := findVolume(root, vol.Name); err == nil || vol.Driver != ImageDriver {
		return createVolume(root, vol, nil)
	}
	image, err := v.Store.Image(vol.Options["image"])
	if errors.Is(err, engine.ErrNoImage) {
		return vol, fmt.Errorf("%w; `berth pull %s` brings it in, then the volume can be made of it", err, vol.Options["image"])
	}
	if err != nil {
		return vol, err
	}
	return createVolume(root, vol, func() error { return v.makeLayer(vol, image) })
}

// Adopt gives a volume that Podman made, and that is a file system (type=), the options that Podman has for it in its database only: it
// would be taken for a directory. What has a record of ours stays as it is. So does what has files, which would be hidden: that is the
// first result.
func (v Volumes) Adopt(vol Volume) (files bool, err error) {
	root, err := v.Root()
	if err != nil || vol.Options["type"] == "" {
		return false, err
	}
	dir := filepath.Join(root, vol.Name)
	lock, err := atomicfile.LockDir(dir)
	if err != nil {
		return false, err
	}
	defer lock.Close()
	if _, err := os.Lstat(filepath.Join(dir, recordFile)); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	list, err := os.ReadDir(filepath.Join(dir, "_data"))
	if err != nil || len(list) > 0 && nothingMounted(dir) == nil {
		return len(list) > 0, err
	}
	vol.Adopted = true
	return false, writeRecord(dir, vol)
}

// createVolume makes a volume; prepare makes what belongs to it and is no file of its directory, nil for nothing.
func createVolume(root string, vol Volume, prepare func() error) (Volume, error) {
	if err := spec.CheckName(vol.Name); err != nil {
		return vol, fmt.Errorf("volume: %w", err)
	}
	vol.Version = volumeVersion
	dir := filepath.Join(root, vol.Name)
	vol.Path = filepath.Join(dir, "_data")
	lock, err := lockNew(dir)
	if err != nil {
		return vol, fmt.Errorf("make volume %q: %w", vol.Name, err)
	}
	defer lock.Close()
	if _, err = os.Lstat(vol.Path); err == nil { // a link to a disk that is not mounted yet, too
		return vol, fmt.Errorf("%w: %q", ErrVolumeExists, vol.Name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = removeUnfinished(dir)
	}
	if err == nil {
		err = writeVolume(dir, vol, prepare)
	}
	if err != nil {
		return vol, fmt.Errorf("make volume %q: %w", vol.Name, err)
	}
	return vol, errors.Join(lock.Sync(), atomicfile.SyncDir(root))
}

// lockNew makes a volume's directory, unless it is there, and locks it. Who was at work on it may have removed it by then.
func lockNew(dir string) (lock *os.File, err error) {
	err = atomicfile.InDir(dir, 0o755, func() (err error) {
		lock, err = atomicfile.LockDir(dir)
		return err
	})
	return lock, err
}

// writeVolume writes the record first and the data's directory last: it is what makes a volume.
func writeVolume(dir string, vol Volume, prepare func() error) error {
	err := writeRecord(dir, vol)
	if err == nil && prepare != nil {
		err = prepare()
	}
	if err == nil {
		err = atomicfile.Write(filepath.Join(dir, untouchedFile), nil, 0o644)
	}
	if err == nil {
		err = makeData(dir, vol)
	}
	if err != nil { // only what was made here goes: the data may be Podman's by now
		for _, name := range []string{untouchedFile, recordFile, ""} {
			os.Remove(filepath.Join(dir, name))
		}
		return err
	}
	return own(vol.Path, vol)
}

func makeData(dir string, vol Volume) error {
	l, err := vol.limits()
	if err != nil {
		return err
	}
	if l != (limits{}) {
		return makeLimited(dir, vol, l)
	}
	return os.Mkdir(vol.Path, 0o755)
}

func writeRecord(dir string, vol Volume) error {
	vol.Version = volumeVersion
	data, err := json.Marshal(vol)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, recordFile), append(data, '\n'), 0o644)
}

func own(path string, vol Volume) error {
	if vol.UID == nil && vol.GID == nil {
		return nil
	}
	id := func(p *int) int {
		if p == nil {
			return -1
		}
		return *p
	}
	return os.Chown(path, id(vol.UID), id(vol.GID))
}

// Fill calls f, which puts something into a volume: no container fills it any more. The first one that has it waits, for it would put
// what the image has in the place of the directory.
func (v Volumes) Fill(vol Volume, f func() error) error {
	if vol.Driver == ImageDriver { // it is locked while it is shown, and filled
		return f()
	}
	dir := filepath.Dir(vol.Path)
	lock, err := atomicfile.LockDir(dir)
	if err != nil {
		return fmt.Errorf("volume %q: %w", vol.Name, err)
	}
	defer lock.Close()
	if err := f(); err != nil {
		return err
	}
	return touch(dir)
}

func untouched(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, untouchedFile))
	return err == nil
}

func touch(dir string) error {
	err := os.Remove(filepath.Join(dir, untouchedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// copies tells whether a new volume gets what the image has in its place.
func (v Volume) copies() bool {
	_, no := v.Options["nocopy"]
	return !no
}

// withOwner gives a filled volume the owner that it was made for.
func withOwner(dir string, fill func(string) error) func(string) error {
	return func(path string) error {
		if err := fill(path); err != nil {
			return err
		}
		vol, err := readVolume(dir)
		if err != nil {
			return err
		}
		return own(path, vol)
	}
}

// readVolume reads the record; a volume without one has been made by Podman, or by a container's first start.
func readVolume(dir string) (Volume, error) {
	vol := Volume{Name: filepath.Base(dir), Path: filepath.Join(dir, "_data")}
	path := filepath.Join(dir, recordFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if info, err := os.Stat(dir); err == nil {
			vol.Created = info.ModTime()
		}
		return vol, nil
	}
	if err != nil {
		return vol, err
	}
	if err := json.Unmarshal(data, &vol); err != nil {
		return vol, fmt.Errorf("%s is damaged: %w", path, err)
	}
	vol.Ours = !vol.Adopted
	vol.Name = filepath.Base(dir) // whatever the record of a copied or renamed directory says
	if vol.Version > volumeVersion {
		return vol, fmt.Errorf("%s has version %d, this berth knows up to %d: use the newer berth that wrote it", path, vol.Version, volumeVersion)
	}
	return vol, nil
}

// Find returns the volume of that name, or ErrNoVolume.
func (v Volumes) Find(name string) (Volume, error) {
	root, err := v.Root()
	if err != nil {
		return Volume{}, err
	}
	vol, err := findVolume(root, name)
	if err != nil {
		return vol, err
	}
	return vol, v.foreignLayer(&vol)
}

func findVolume(root, name string) (Volume, error) {
	if spec.CheckName(name) != nil {
		return Volume{}, fmt.Errorf("%w: %q", ErrNoVolume, name)
	}
	dir := filepath.Join(root, name)
	// A link to what is not there, or what cannot be looked at, as a dead mount, is a volume that is there.
	if _, err := os.Lstat(filepath.Join(dir, "_data")); errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return Volume{}, fmt.Errorf("%w: %q", ErrNoVolume, name)
	}
	return readVolume(dir)
}

// List returns all volumes, sorted by name.
func (v Volumes) List() ([]Volume, error) {
	root, err := v.Root()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var list []Volume
	for _, e := range entries {
		vol, err := findVolume(root, e.Name())
		if errors.Is(err, ErrNoVolume) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := v.foreignLayer(&vol); err != nil {
			return nil, err
		}
		list = append(list, vol)
	}
	return list, nil
}

// begunVolume tells whether a volume was begun and not finished: nothing is in its directory but what makeVolume and
// createVolume put beside the data. The caller has locked it: nobody is at work any more.
func begunVolume(dir *os.File) bool {
	names, err := dir.Readdirnames(-1)
	for _, name := range names {
		if name != recordFile && name != untouchedFile && !unfinished(name) {
			return false
		}
	}
	return err == nil
}

// unfinished: a killed start has left it.
func unfinished(name string) bool {
	return strings.HasPrefix(name, newPrefix) || strings.HasPrefix(name, "."+recordFile+".") || strings.HasPrefix(name, "."+untouchedFile+".")
}
