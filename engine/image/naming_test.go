//go:build containers_image_openpgp

package image

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.podman.io/storage"
	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/examples/mkimage/archive"
)

// An image that is about to get its name is not removed as one that has none.
func TestPruneBesideNaming(t *testing.T) {
	archived := imageFiles(t, archive.OCI, twoLayers(t, "new")).tar(t)
	for doing, name := range map[string]func(im *Images, old string) error{
		"load": func(im *Images, _ string) error {
			_, err := im.Load(t.Context(), writeFile(t, "x.tar", string(archived)))
			return err
		},
		"tag": func(im *Images, old string) error { return im.Tag(old, []string{"new"}) },
		"commit": func(im *Images, old string) error {
			c, err := im.store.CreateContainer("", nil, old, "", "", nil)
			if err == nil {
				_, err = im.Commit(t.Context(), c.ID, CommitOptions{Name: "new"})
			}
			return err
		},
	} {
		im := openStore(t)
		old := loadAs(t, im, "a")
		other := openAgain(t, im, func() {})
		pruned := make(chan error, 1)
		im.store = &beforeNaming{im.store, func() {
			go func() {
				_, err := other.Prune(PruneOptions{})
				pruned <- err
			}()
			for len(pruned) == 0 && !waiting(t) {
				runtime.Gosched()
			}
		}}
		if err := name(im, old); err != nil {
			t.Errorf("%s: %v", doing, err)
		}
		if err := <-pruned; err != nil {
			t.Errorf("prune beside %s: %v", doing, err)
		}
		if there, err := im.Exists("new"); err != nil || !there {
			t.Errorf("%s: the image is gone (%v)", doing, err)
		}
	}
}

// beforeNaming is a store that calls what is to come between the making of an image and its naming.
type beforeNaming struct {
	storage.Store
	call func()
}

func (s *beforeNaming) AddNames(id string, names []string) error {
	s.call()
	return s.Store.AddNames(id, names)
}

// waiting tells whether a thread of this process waits for a lock.
func waiting(t *testing.T) bool {
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(fmt.Sprintf(`-> FLOCK .* %d `, os.Getpid())).Match(locks)
}

// A pull whose lower layer is removed with the image that it belonged to fetches that layer.
func TestRemoveBesideAPull(t *testing.T) {
	im := openStore(t)
	i := twoLayers(t, "old")
	old := i
	old.Layers = i.Layers[:1]
	if _, err := im.Load(t.Context(), writeFile(t, "x.tar", string(imageFiles(t, archive.OCI, old).tar(t)))); err != nil {
		t.Fatal(err)
	}
	r := newRegistry(t)
	r.add(t, "web:1", i)
	other := openAgain(t, im, func() {})
	removed := false
	r.refuse = func(_ http.ResponseWriter, q *http.Request) bool {
		if strings.HasSuffix(q.URL.Path, i.Layers[1].Hex) && !removed {
			removed = true
			if _, err := other.Remove("old", RemoveOptions{}); err != nil {
				t.Error(err)
			}
		}
		return false
	}
	if _, err := im.Pull(t.Context(), r.host()+"/web:1", plain(PullOptions{Retry: 1})); err != nil || !removed {
		t.Errorf("%v; removed: %t", err, removed)
	}
	if got := fileInImage(t, im, r.host()+"/web:1", "lower"); got != strings.Repeat("one", 5000) {
		t.Errorf("a file of the layer has %d bytes", len(got))
	}
}

// An image that is there already stays when it is pulled or loaded again and cannot be named, as on a full disk; a new one does not.
func TestNamingFails(t *testing.T) {
	for _, tt := range []struct{ old, want string }{{"there", "a"}, {"new", ""}} {
		im := openStore(t)
		if tt.want != "" {
			loadAs(t, im, "same", "a")
		}
		store := im.store
		im.store = &nameless{store}
		i := twoLayers(t, "b")
		i.Config.User, i.Created = "same", time.Unix(4000, 0)
		_, err := im.Load(t.Context(), writeFile(t, "x.tar", string(imageFiles(t, archive.OCI, i).tar(t))))
		im.store = store
		if !errors.Is(err, unix.ENOSPC) {
			t.Errorf("%s: %v", tt.old, err)
		}
		if there, err := im.Exists("a"); err != nil || there != (tt.want != "") {
			t.Errorf("%s: the image is there: %v, %v", tt.old, there, err)
		}
		if all, err := im.List(nil); err != nil || (len(all) > 0) != (tt.want != "") {
			t.Errorf("%s: there are %v, %v", tt.old, all, err)
		}
	}
}

// nameless is a store that has no room for a name.
type nameless struct{ storage.Store }

func (*nameless) AddNames(string, []string) error { return unix.ENOSPC }

// A panic of the storage library ends the program: it does not go on with what it has locked.
func TestNamingPanics(t *testing.T) {
	archived := imageFiles(t, archive.OCI, twoLayers(t, "new")).tar(t)
	im := openStore(t)
	store := &panicking{Store: im.store}
	im.store = store
	defer func() {
		if r := recover(); r != errNoLock {
			t.Errorf("it goes on: %v", r)
		}
		if store.deletes > 0 {
			t.Error("the store is asked to delete the image, and has its own lock")
		}
	}()
	if _, err := im.Load(t.Context(), writeFile(t, "x.tar", string(archived))); err != nil {
		t.Error(err)
	}
}

var errNoLock = errors.New("no lock can be had")

// panicking is a store that can have no lock to name an image.
type panicking struct {
	storage.Store
	deletes int
}

func (s *panicking) AddNames(string, []string) error { panic(errNoLock) }

func (s *panicking) DeleteImage(string, bool) ([]string, error) {
	s.deletes++
	return nil, nil
}
