//go:build containers_image_openpgp

package image

import (
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
}

func (u *unnamed) CreateImage(id string, names []string, layer, metadata string, o *storage.ImageOptions) (img *storage.Image, err error) {
	if u.lock, err = u.naming(); err != nil {
		return nil, err
	}
	return u.Store.CreateImage(id, names, layer, metadata, o)
}

func (u *unnamed) Close() error { return u.lock.Close() } // of none it is an error that nobody has to know
