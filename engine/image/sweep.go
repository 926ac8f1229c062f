//go:build containers_image_openpgp

package image

import (
	"fmt"
	"os"

	"github.com/berth-pods/berth/engine/atomicfile"
)

// copying marks this process as one that stores an image, until leave is called. Any number may do so at once; the lock
// only keeps others from sweeping away layers that this one has just built on. The kernel frees it with the process.
func (im *Images) copying() (leave func(), err error) {
	f, err := im.copyLock()
	if err != nil {
		return nil, err
	}
	if err := atomicfile.LockShared(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { f.Close() }, nil
}

// copyLock is the store's directory of this boot, on which nobody else has a lock of this kind; so no file is left.
func (im *Images) copyLock() (*os.File, error) { return os.Open(im.store.RunRoot()) }

// sweep removes the layers of a chain that a failed load left behind and that were not there before, the topmost first.
// It does nothing while another process stores an image: that one may share them, and a later load finds them again.
// The store itself refuses to remove a layer that an image, a container or another layer uses.
func (im *Images) sweep(chain []string, before map[string]bool) {
	f, err := im.copyLock()
	if err != nil {
		return
	}
	defer f.Close()
	if atomicfile.TryLock(f) != nil {
		return
	}
	for i := len(chain) - 1; i >= 0; i-- {
		if !before[chain[i]] {
			_ = im.store.DeleteLayer(chain[i]) // one that is not there or is in use stays so
		}
	}
}
