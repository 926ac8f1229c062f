//go:build containers_image_openpgp

package image

import (
	"errors"
	"os"

	"go.podman.io/storage"

	"github.com/berth-pods/berth/engine/atomicfile"
)

// An image is made first and named then, and looked at first and removed then. The lock on the store's directory keeps the two apart: any
// number may make and name images at once; who removes one is alone.

// naming waits until nobody removes an image, and keeps others from it until the lock is closed, or this process ends.
func (im *Images) naming() (lock *os.File, err error) {
	return atomicfile.LockDirShared(im.store.GraphRoot())
}

// removing waits until nobody makes or names an image, and keeps others from it until the lock is closed, or this process ends.
func (im *Images) removing() (lock *os.File, err error) {
	return atomicfile.LockDir(im.store.GraphRoot())
}

// unnamed is the store for one image, which the library makes there long after it was asked to. From then on nobody removes it until Close.
type unnamed struct {
	storage.Store
	naming func() (*os.File, error)
	lock   *os.File
	known  bool // the image was there before
	lost   bool // the library has panicked
}

func (u *unnamed) CreateImage(id string, names []string, layer, metadata string, o *storage.ImageOptions) (img *storage.Image, err error) {
	if u.lock, err = u.naming(); err != nil {
		return nil, err
	}
	img, err = u.Store.CreateImage(id, names, layer, metadata, o)
	u.known = errors.Is(err, storage.ErrDuplicateID)
	return img, err
}

// AddNames may not return: the library panics when it cannot have a lock, as without a file descriptor, and keeps those that it has.
func (u *unnamed) AddNames(id string, names []string) error {
	u.lost = true
	err := u.Store.AddNames(id, names)
	u.lost = false
	return err
}

// DeleteImage is how the library takes back an image that could not be named. It does so with one that was there before, too, which has
// other names, and in a panic, where it would wait for its own locks for ever, and everybody else for them.
func (u *unnamed) DeleteImage(id string, commit bool) ([]string, error) {
	if u.known || u.lost {
		return nil, nil
	}
	return u.Store.DeleteImage(id, commit)
}

func (u *unnamed) Close() error { return u.lock.Close() } // of none it is an error that nobody has to know
