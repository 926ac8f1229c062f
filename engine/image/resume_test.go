//go:build containers_image_openpgp

package image

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/berth-pods/berth/engine/image/name"
	"github.com/berth-pods/berth/examples/mkimage/archive"
)

// noise is an image with one layer of so many bytes, which cannot be compressed.
func noise(t testing.TB, bytes int) archive.Image {
	t.Helper()
	data := make([]byte, bytes)
	if _, err := rand.NewChaCha8([32]byte{1}).Read(data); err != nil {
		t.Fatal(err)
	}
	return archive.Image{Arch: "amd64", Config: archive.Config{User: "7:8"}, Layers: []archive.Blob{layer(t, "noise", string(data))}}
}

// checkNoise compares the file of the image with what it was made from.
func checkNoise(t testing.TB, im *Images, s string, bytes int) {
	t.Helper()
	data := make([]byte, bytes)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	if fileInImage(t, im, idOf(t, im, s), "noise") != string(data) {
		t.Error("the file in the layer is not what it was")
	}
	if left, err := os.ReadDir(im.partialDir()); err == nil {
		t.Errorf("files of the download are left: %v", left)
	}
}

const parts = 32

// The link is cut at every 32nd of the layer; what had come is not fetched again.
func TestLinkIsCut(t *testing.T) {
	cutLink(t, 12<<20)
}

// With a whole-sized layer: go test -bench CutLink -benchtime 1x.
func BenchmarkCutLink(b *testing.B) {
	cutLink(b, 200<<20)
}

func cutLink(t testing.TB, size int64) {
	r := startRegistry(t)
	r.push(t, "noise", "1", noise(t, int(size)))
	link := newBadLink(t, r.host)
	im := openStoreWith(t, Options{})
	link.gentle = true
	cuts := 0
	link.breakAt(size/parts, func() int64 { cuts++; return link.sent.Load() + size/parts })
	o := PullOptions{CertDir: r.certs, User: user, Password: password, Retry: 3, RetryDelay: time.Millisecond}
	if _, err := im.Pull(t.Context(), link.host()+"/noise:1", o); err != nil {
		t.Fatal(err)
	}
	checkNoise(t, im, link.host()+"/noise:1", int(size))
	t.Logf("%d cuts, %d bytes of %d", cuts, link.sent.Load(), size)
	if sent := link.sent.Load(); cuts < parts-1 || sent > size*11/10 {
		t.Errorf("%d cuts, and %d bytes were sent for a layer of %d", cuts, sent, size)
	}
}

// A slow link that breaks at 5 pieces in a hundred brings the image all the same.
func TestLinkIsBad(t *testing.T) {
	r := startRegistry(t)
	const size = 4 << 20
	r.push(t, "noise", "1", noise(t, size))
	link := newBadLink(t, r.host)
	dice, breaks := rand.New(rand.NewPCG(1, 2)), 0
	var mu sync.Mutex
	link.perBit = func() bool {
		mu.Lock()
		defer mu.Unlock()
		broken := link.sent.Load() > 64<<10 && dice.IntN(100) < 5
		if broken {
			breaks++
		}
		return broken
	}
	im := openStore(t)
	o := PullOptions{CertDir: r.certs, User: user, Password: password, Retry: 20, RetryDelay: time.Millisecond}
	if _, err := im.Pull(t.Context(), link.host()+"/noise:1", o); err != nil {
		t.Fatal(err)
	}
	checkNoise(t, im, link.host()+"/noise:1", size)
	t.Logf("broken %d times", breaks)
	if breaks < 5 {
		t.Errorf("the link broke %d times only", breaks)
	}
}

// A link that goes quiet is given up.
func TestLinkStalls(t *testing.T) {
	r := startRegistry(t)
	const size = 1 << 20
	r.push(t, "noise", "1", noise(t, size))
	link := newBadLink(t, r.host)
	release := make(chan struct{})
	link.breakAt(size/2, func() int64 { <-release; return 0 })
	var said []string
	im := openStoreWith(t, Options{Say: func(s string) {
		if strings.Contains(s, "stalled") {
			close(release)
			said = append(said, s)
		}
	}})
	o := PullOptions{CertDir: r.certs, User: user, Password: password, Retry: 3, RetryDelay: time.Millisecond, stall: 300 * time.Millisecond}
	if _, err := im.Pull(t.Context(), link.host()+"/noise:1", o); err != nil {
		t.Fatal(err)
	}
	checkNoise(t, im, link.host()+"/noise:1", size)
	t.Log(said)
	if len(said) != 1 || !strings.Contains(said[0], "going on from") {
		t.Errorf("said %q, want one stall", said)
	}
}

// A pull that is killed goes on where it was, in another process.
func TestKilledPullGoesOn(t *testing.T) {
	killPulls(t, 4<<20, 6)
}

// With a whole-sized layer: go test -bench KilledPull -benchtime 1x.
func BenchmarkKilledPull(b *testing.B) {
	killPulls(b, 200<<20, parts)
}

func killPulls(t testing.TB, size int64, kills int) {
	if os.Getuid() != 0 {
		t.Skip("needs root: layers are unpacked with their owners and mounted")
	}
	r := startRegistry(t)
	r.push(t, "noise", "1", noise(t, int(size)))
	link := newBadLink(t, r.host)
	isolate(t)
	dir := t.TempDir()
	t.Cleanup(func() { unmountBelow(t, dir) })
	c := child{dir: dir, policy: writeFile(t, "policy.json", `{"default":[{"type":"insecureAcceptAnything"}]}`), image: link.host() + "/noise:1", certs: r.certs}
	partial := filepath.Join(dir, "store", "berth-partial")
	for k := 1; k < kills; k++ {
		ctx, cancel := context.WithCancel(t.Context())
		want := size * int64(k) / int64(kills)
		gone := make(chan struct{})
		link.breakAt(link.sent.Load()+want-inFiles(partial), func() int64 {
			waitForFiles(partial, want-64<<10)
			cancel()
			<-gone
			return 0
		})
		if err := c.pull(ctx); ctx.Err() == nil {
			t.Fatalf("part %d: the pull ended before it was killed: %v", k, err)
		}
		close(gone)
	}
	before := link.sent.Load()
	if err := c.pull(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes of %d in %d pulls, the last one %d", link.sent.Load(), size, kills, link.sent.Load()-before)
	if sent := link.sent.Load(); sent > size*11/10 {
		t.Errorf("%d bytes were sent for a layer of %d", sent, size)
	}
	im, err := Open(childOptions(dir, c.policy))
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	checkNoise(t, im, c.image, int(size))
	clearTemporary(t)
}

func inFiles(dir string) int64 {
	var sum int64
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		if info, err := f.Info(); err == nil {
			sum += info.Size()
		}
	}
	return sum
}

// waitForFiles waits until what the link has passed on has been written. The process that writes tells nobody.
func waitForFiles(dir string, want int64) {
	for end := time.Now().Add(20 * time.Second); inFiles(dir) < want && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
}

// A child is a process that pulls an image.
type child struct{ dir, policy, image, certs string }

const (
	childImage = "TEST_PULL_IMAGE"
	childCerts = "TEST_PULL_CERTS"
)

func (c child) pull(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childStore+"="+c.dir, childPolicy+"="+c.policy, childImage+"="+c.image, childCerts+"="+c.certs)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("pull in a child: %w: %s", err, out)
	}
	return nil
}

func pullAsChild() error {
	im, err := Open(childOptions(os.Getenv(childStore), os.Getenv(childPolicy)))
	if err != nil {
		return err
	}
	_, err = im.Pull(context.Background(), os.Getenv(childImage), PullOptions{CertDir: os.Getenv(childCerts), User: user, Password: password})
	return errors.Join(err, im.Close())
}

// What an earlier process left is not trusted: when the digest is wrong the layer is fetched anew.
func TestSpoiltPartIsFetchedAnew(t *testing.T) {
	im, r := openStore(t), newRegistry(t)
	const size = 300 << 10
	image := noise(t, size)
	r.add(t, "noise:1", image)
	digest := "sha256-" + image.Layers[0].Hex
	for _, c := range []struct {
		name string
		data []byte
	}{
		{"zeros", make([]byte, size/2)},
		{"too long", make([]byte, 2*size)},
		{"whole and wrong", make([]byte, image.Layers[0].Size)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.MkdirAll(im.partialDir(), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(im.partialDir(), digest), c.data, 0o600); err != nil {
				t.Fatal(err)
			}
			pullOne(t, im, r.host()+"/noise:1", PullOptions{Retry: 1})
			checkNoise(t, im, r.host()+"/noise:1", size)
			if _, err := im.Remove(r.host()+"/noise:1", RemoveOptions{}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A registry that sends other bytes than the digest says is not asked again, and nothing of it stays.
func TestWrongBytes(t *testing.T) {
	im, r := openStore(t), newRegistry(t)
	image := noise(t, 100<<10)
	r.add(t, "noise:1", image)
	r.blobs[image.Layers[0].Digest()][70000] ^= 1
	_, err := im.Pull(t.Context(), r.host()+"/noise:1", plain(PullOptions{Retry: 5}))
	if err == nil || !strings.Contains(err.Error(), "a layer is damaged") {
		t.Errorf("%v", err)
	}
	if left, _ := filepath.Glob(im.partialDir() + "/*"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if n := r.count("blobs"); n > 2 {
		t.Errorf("%d blobs were asked for, want the config and the layer once", n)
	}
	mustBeEmpty(t, im)
}

// A registry that has no ranges is read from the start.
func TestNoRanges(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusBadRequest, http.StatusRequestedRangeNotSatisfiable} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			im, r := openStore(t), newRegistry(t)
			const size = 300 << 10
			image := noise(t, size)
			r.add(t, "noise:1", image)
			r.refuse = func(w http.ResponseWriter, q *http.Request) bool {
				if q.Header.Get("Range") == "" || status == http.StatusOK {
					return false
				}
				w.WriteHeader(status)
				return true
			}
			if err := os.MkdirAll(im.partialDir(), 0o700); err != nil {
				t.Fatal(err)
			}
			begin := r.blobs[image.Layers[0].Digest()][:size/3]
			if err := os.WriteFile(filepath.Join(im.partialDir(), "sha256-"+image.Layers[0].Hex), begin, 0o600); err != nil {
				t.Fatal(err)
			}
			pullOne(t, im, r.host()+"/noise:1", PullOptions{})
			checkNoise(t, im, r.host()+"/noise:1", size)
		})
	}
}

func TestAbandonedPartsAreSwept(t *testing.T) {
	p := partials{filepath.Join(t.TempDir(), "p")}
	if err := os.Mkdir(p.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"old", "new", "used"} {
		if err := os.WriteFile(filepath.Join(p.dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	for _, name := range []string{"old", "used"} {
		if err := os.Chtimes(filepath.Join(p.dir, name), now, now.Add(-8*24*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	used, err := os.Open(filepath.Join(p.dir, "used"))
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	if err := syscall.Flock(int(used.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	p.sweep(now)
	left, _ := filepath.Glob(filepath.Join(p.dir, "*"))
	if len(left) != 2 || filepath.Base(left[0]) != "new" || filepath.Base(left[1]) != "used" {
		t.Errorf("left: %q", left)
	}
}

// An image for which there is no room is refused before anything is fetched, with the room that there is.
func TestNoRoom(t *testing.T) {
	im, r := openStore(t), newRegistry(t)
	image := noise(t, 1000)
	r.add(t, "noise:1", image)
	ref, err := registryReference(mustParse(t, r.host()+"/noise:1"))
	if err != nil {
		t.Fatal(err)
	}
	src, err := im.remote(t.Context(), ref, im.pullContext(plain(PullOptions{})), PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	src.layers[0].Size = 1 << 60
	err = im.roomFor(src.layers, src.keep)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), im.store.GraphRoot()+" has ") || !strings.Contains(err.Error(), "needs 1152921504.61 GB") {
		t.Errorf("%v", err)
	}
}

func mustParse(t testing.TB, s string) name.Name {
	t.Helper()
	n, err := name.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
