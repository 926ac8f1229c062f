//go:build containers_image_openpgp

package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-pods/berth/examples/mkimage/archive"
)

// The environment of the child process that loads an image and is killed.
const (
	childStore   = "TEST_LOAD_STORE"
	childArchive = "TEST_LOAD_ARCHIVE"
	childPolicy  = "TEST_LOAD_POLICY"
)

func childOptions(dir, policy string) Options {
	return Options{Root: filepath.Join(dir, "store"), RunRoot: filepath.Join(dir, "run"), Driver: "overlay",
		DriverOptions: []string{"overlay.sync=none"}, SignaturePolicy: policy}
}

func loadAsChild() {
	if os.Getenv(childImage) != "" {
		if err := pullAsChild(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	im, err := Open(childOptions(os.Getenv(childStore), os.Getenv(childPolicy)))
	if err == nil {
		_, err = im.Load(context.Background(), os.Getenv(childArchive))
		err = errors.Join(err, im.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Whenever a load is killed, the store stays usable, an image that has its name is whole, and a second load completes.
func TestLoadIsKilled(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: layers are unpacked with their owners and mounted")
	}
	isolate(t)
	policy := writeFile(t, "policy.json", `{"default":[{"type":"insecureAcceptAnything"}]}`)
	file := writeFile(t, "x.tar", string(imageFiles(t, archive.OCI, twoLayers(t, "web")).tar(t)))
	start := time.Now()
	loadInChild(t, t.TempDir(), policy, file, time.Minute)
	whole := time.Since(start)

	const steps = 16
	killed := 0
	for step := range steps {
		dir := t.TempDir()
		t.Cleanup(func() { unmountBelow(t, dir) })
		if !loadInChild(t, dir, policy, file, whole*time.Duration(step+1)/steps) {
			killed++
		}
		im, err := Open(childOptions(dir, policy))
		if err != nil {
			t.Fatalf("step %d: the store is not usable: %v", step, err)
		}
		if there, _ := im.Exists("web"); there {
			checkWhole(t, im)
		}
		if _, err := im.Load(t.Context(), file); err != nil {
			t.Errorf("step %d: load again: %v", step, err)
		}
		checkWhole(t, im)
		if err := im.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d of %d loads were killed before they were done", killed, steps)
	clearTemporary(t) // a killed process cannot take its temporary files along
}

func checkWhole(t *testing.T, im *Images) {
	t.Helper()
	if d, err := im.Inspect("web"); err != nil || d.User != "7:8" {
		t.Errorf("%+v, %v", d, err)
	}
	if got := fileInImage(t, im, idOf(t, im, "web"), "upper"); got != strings.Repeat("two", 5000) {
		t.Errorf("a file of the upper layer has %d bytes, not those it had", len(got))
	}
}

// loadInChild tells whether the load was done before the time was up.
func loadInChild(t *testing.T, dir, policy, file string, after time.Duration) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	err := runChild(ctx, dir, policy, file)
	if err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
	return err == nil
}

func runChild(ctx context.Context, dir, policy, file string) error {
	c := exec.CommandContext(ctx, os.Args[0])
	c.Env = append(os.Environ(), childStore+"="+dir, childPolicy+"="+policy, childArchive+"="+file)
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("load in a child: %w: %s", err, out)
	}
	return nil
}

func clearTemporary(t testing.TB) {
	t.Helper()
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		if err := os.RemoveAll(filepath.Join(os.Getenv("TMPDIR"), f.Name())); err != nil {
			t.Error(err)
		}
	}
}

// unmountBelow takes away what the storage library had mounted for a moment to try the kernel out, when it was killed then.
func unmountBelow(t testing.TB, dir string) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if at := strings.Fields(line)[1]; strings.HasPrefix(at, dir+"/") {
			if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		}
	}
}
