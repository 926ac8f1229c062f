//go:build containers_image_openpgp

package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/atomicfile"
)

// alone waits until no other process pulls the same name, so that many units that want one image make one download. The
// lock is a file that goes with release; when this process is killed the kernel frees the lock and the next one goes on.
func (im *Images) alone(ctx context.Context, name string) (release func(), err error) {
	path := filepath.Join(im.store.RunRoot(), "berth-pull-"+digest.FromString(name).Encoded()[:16]+".lock")
	announce := sync.OnceFunc(func() { im.say("Waiting for another pull of " + name) })
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		if err := im.waitFor(ctx, f, name, announce); err != nil {
			f.Close()
			return nil, fmt.Errorf("wait for another pull of %s: %w", name, err)
		}
		if isAt(f, path) {
			return func() { os.Remove(path); f.Close() }, nil
		}
		f.Close() // who had the lock has taken the file away
	}
}

// waitFor locks f. As long as another process has the lock, it reports every second that this one is waiting: systemd
// may extend the start timeout then, as the other process ends when no bytes come.
func (im *Images) waitFor(ctx context.Context, f *os.File, name string, announce func()) error {
	return lock(ctx, f, func() {
		announce()
		im.report(Progress{Image: name, Elsewhere: true})
	})
}

// lock locks f, and calls waiting at once and every second as long as it has to wait.
func lock(ctx context.Context, f *os.File, waiting func()) error {
	if err := atomicfile.TryLock(f); !errors.Is(err, unix.EWOULDBLOCK) {
		return err
	}
	locked := make(chan error, 1)
	go func() { locked <- atomicfile.Lock(f) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		waiting()
		select {
		case err := <-locked:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// isAt tells whether f is still the file at path.
func isAt(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(mine, there)
}
