package store

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"go.podman.io/storage"
	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/atomicfile"
)

// A volume of the driver image is the writable layer of a container of the library's that never runs. As Podman's, it has the
// volume's name and this behind it, which no name of a container or volume has.
const (
	// ImageDriver is the driver of volumes that are layers of images.
	ImageDriver = "image"
	layerSuffix = "+volume"
	// heldFile says that the layer is mounted until `volume unmount`, in the boot that it names.
	heldFile = "mounted"
)

// layerID names the layer and the container of a volume of ours: always the same, so that what a kill has left is found.
func layerID(volume string) string {
	sum := sha256.Sum256([]byte("berth " + volume + layerSuffix))
	return hex.EncodeToString(sum[:])
}

// makeLayer makes the layer of a new volume. One that is there stays as it is: a kill has left it, or the volume's directory is on a disk
// that is not mounted, and then it is all that the volume has.
func (v Volumes) makeLayer(vol Volume, image engine.Image) error {
	st, err := v.Store.open()
	if err != nil {
		return err
	}
	c, err := st.Container(layerID(vol.Name))
	switch {
	case err == nil && c.ImageID == image.ID:
		return nil
	case err == nil:
		return fmt.Errorf("the store has a layer of it, on the image %.12s: mount the disk that it lies on, or make it of that image (`berth volume create -d image -o image=%.12[1]s %s`) and remove it", c.ImageID, vol.Name)
	case !unknown(err):
		return err
	}
	if err := v.Store.Remove(layerID(vol.Name)); err != nil { // a kill came before the record
		return err
	}
	return v.Store.Create(layerID(vol.Name), vol.Name+layerSuffix, image, engine.CreateOptions{})
}

// foreignLayer completes what is known of a volume of Podman's driver image, whose record is the container's in the store. Such a volume's
// own directory is always empty, so that the store need not be asked for others.
func (v Volumes) foreignLayer(vol *Volume) error {
	if vol.Ours {
		return nil
	}
	if list, err := os.ReadDir(vol.Path); err != nil || len(list) > 0 {
		return nil //nolint:nilerr // not there yet, or not to be read: no layer in any case
	}
	st, err := v.Store.open()
	if err != nil {
		return err
	}
	c, err := st.Container(vol.Name + layerSuffix)
	if unknown(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("volume %q: its layer: %w", vol.Name, err)
	}
	var said struct {
		Image string `json:"image-name"`
	}
	if json.Unmarshal([]byte(c.Metadata), &said) != nil || said.Image == "" {
		said.Image = c.ImageID
	}
	vol.Driver, vol.Options, vol.Created = ImageDriver, map[string]string{"image": said.Image}, c.Created
	return nil
}

// WithLayer calls f with the layer of a volume. Nobody else mounts, unmounts or removes that one meanwhile.
func (v Volumes) WithLayer(name string, f func(engine.Layer) error) error {
	vol, err := v.Find(name)
	if err != nil {
		return err
	}
	lock, err := atomicfile.LockDir(filepath.Dir(vol.Path))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %q", ErrNoVolume, name)
	}
	if err != nil {
		return fmt.Errorf("volume %q: %w", name, err)
	}
	defer lock.Close()
	if vol, err = v.Find(name); err != nil { // as it is now
		return err
	}
	return f(layer{v, vol})
}

type layer struct {
	volumes Volumes
	vol     Volume
}

// Take mounts the layer on the volume's directory, unless it is mounted there, and returns a copy of the mount that is
// nowhere yet: it outlives the other one.
func (l layer) Take() (tree int, err error) {
	tree = -1
	err = l.volumes.onHost(func() error {
		if !engine.IsMounted(l.vol.Path) {
			if err := l.mount(); err != nil {
				return err
			}
		}
		tree, err = unix.OpenTree(unix.AT_FDCWD, l.vol.Path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		return err
	})
	if err != nil {
		return -1, fmt.Errorf("mount the layer of volume %q: %w", l.vol.Name, err)
	}
	return tree, nil
}

// mount lets the library mount the layer and binds that to the volume's directory, so that the library's own mount can go at
// once: how often something is mounted the library counts, and a count is wrong after a kill.
func (l layer) mount() error {
	st, err := l.volumes.Store.open()
	if err != nil {
		return err
	}
	c, err := st.Container(l.vol.Name + layerSuffix)
	if errors.Is(err, storage.ErrContainerUnknown) {
		return fmt.Errorf("it is not in the store any more: somebody has removed its container %s%s; `berth volume rm %s`, and make it anew", l.vol.Name, layerSuffix, l.vol.Name)
	}
	if err != nil {
		return err
	}
	label := ""
	if l.volumes.Label != nil {
		if label, err = l.volumes.Label(); err != nil {
			return err
		}
	}
	path, err := st.Mount(c.ID, label)
	if err != nil {
		return err
	}
	err = unix.Mount(path, l.vol.Path, "", unix.MS_BIND, "")
	// Podman's may have it mounted by the same count; ours nobody else has.
	_, errUnmount := st.Unmount(c.ID, marked(c.Metadata))
	return errors.Join(err, errUnmount)
}

// Release unmounts the layer, unless it is held.
func (l layer) Release() error {
	if l.held() {
		return nil
	}
	return l.unmount()
}

func (l layer) unmount() error {
	return l.volumes.onHost(func() error {
		for engine.IsMounted(l.vol.Path) {
			if err := unix.Unmount(l.vol.Path, unix.MNT_DETACH); err != nil {
				return fmt.Errorf("unmount the layer of volume %q: %w", l.vol.Name, err)
			}
		}
		return nil
	})
}

// Hold keeps the layer mounted when no container has it, until it is held no longer or the machine starts anew.
func (l layer) Hold(on bool) error {
	file := filepath.Join(filepath.Dir(l.vol.Path), heldFile)
	if !on {
		if err := os.Remove(file); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	return atomicfile.Write(file, []byte(boot), 0o644)
}

func (l layer) held() bool {
	boot, err := bootID()
	text, errRead := os.ReadFile(filepath.Join(filepath.Dir(l.vol.Path), heldFile))
	return err == nil && errRead == nil && string(text) == boot
}

// removeLayer takes away the layer that a volume consists of, if it is one.
func (v Volumes) removeLayer(vol Volume) error {
	if err := v.foreignLayer(&vol); err != nil || vol.Driver != ImageDriver {
		return err
	}
	return layer{v, vol}.remove()
}

// remove takes the layer away, and all that is in it.
func (l layer) remove() error {
	if err := l.unmount(); err != nil {
		return err
	}
	st, err := l.volumes.Store.open()
	if err != nil {
		return err
	}
	c, err := st.Container(l.vol.Name + layerSuffix)
	if err == nil && c.ID != layerID(l.vol.Name) { // Podman's
		if err := l.volumes.Store.Remove(c.ID); err != nil {
			return err
		}
	}
	if err != nil && !unknown(err) {
		return err
	}
	return l.volumes.Store.Remove(layerID(l.vol.Name))
}

// onHost calls f in the mount namespace that outlives the caller's unit. A layer can be mounted only once, and whoever
// wants it must find it there. A user has no such namespace: f is then called in the caller's own.
func (v Volumes) onHost(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- v.enterHost(f)
	}()
	return <-done
}

func (v Volumes) enterHost(f func() error) error {
	if v.User {
		return f()
	}
	host, err := os.Open("/proc/1/ns/mnt")
	if err != nil {
		return err
	}
	defer host.Close()
	theirs, err := host.Stat()
	if err != nil {
		return err
	}
	own, err := os.Stat(fmt.Sprintf("/proc/self/task/%d/ns/mnt", unix.Gettid()))
	if err != nil {
		return err
	}
	if os.SameFile(own, theirs) {
		return f()
	}
	// setns(2) refuses a thread that shares its root and working directory with others.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return err
	}
	if err := unix.Setns(int(host.Fd()), unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("enter the machine's mount namespace: %w", err)
	}
	return f()
}
