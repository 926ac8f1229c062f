package engine_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/spec"
)

// policy is one in which each option is the last word of the label.
type policy struct{}

func (policy) Label(level string, options []string) (spec.Label, error) {
	if slices.Contains(options, spec.LabelDisable) {
		return spec.Label{File: "file:s0:c1022,c1023"}, nil
	}
	if slices.Contains(options, "type:none") {
		return spec.Label{}, errors.New("no such type")
	}
	return spec.Label{Process: strings.Join(append([]string{"u:r:process:" + level}, options...), " "), File: "u:r:file:" + level}, nil
}

func (policy) Shared(file string) (string, error) {
	at := strings.Index(file, ":s0")
	return file[:at+3], nil
}

// labelBench is an engine on a machine with SELinux, and volumes on a file system that keeps labels.
func labelBench(t *testing.T) *bench {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("writing labels needs root")
	}
	b := newBench(t)
	b.SELinux = policy{}
	dir := filepath.Join(b.Root, "srv")
	if err := errors.Join(os.MkdirAll(dir, 0o755), unix.Lsetxattr(dir, "security.selinux", []byte("x"), 0)); err != nil {
		t.Skip("the file system keeps no labels: ", err)
	}
	return b
}

func labelOf(t *testing.T, path string) string {
	t.Helper()
	buf := make([]byte, 200)
	n, err := unix.Lgetxattr(path, "security.selinux", buf)
	if err != nil {
		return ""
	}
	return string(buf[:n])
}

func TestLabels(t *testing.T) {
	b := labelBench(t)
	c := web()
	s, err := b.start(c)
	if err != nil {
		t.Fatal(err)
	}
	level := strings.TrimPrefix(s.Label.Process, "u:r:process:")
	var first, second int
	if n, _ := fmt.Sscanf(level, "s0:c%d,c%d", &first, &second); n != 2 {
		t.Fatalf("the label is %+v", s.Label)
	}
	config, err := os.ReadFile(filepath.Join(b.run, s.ID, "config.json"))
	if err != nil || !strings.Contains(string(config), `"selinuxLabel":"u:r:process:`+level+`"`) || !strings.Contains(string(config), `"mountLabel":"u:r:file:`+level+`"`) {
		t.Errorf("%v: the runtime is not told the labels: %.100s", err, config)
	}
	for name, want := range map[string]string{"hosts": "u:r:file:s0", "resolv.conf": "u:r:file:s0", "hostname": s.Label.File, "containerenv": s.Label.File, "config.json": ""} {
		if got := labelOf(t, filepath.Join(b.run, s.ID, name)); got != want {
			t.Errorf("%s has the label %q, want %q", name, got, want)
		}
	}
	lease := filepath.Join(b.run, "leases/levels", strings.TrimPrefix(level, "s0:"))
	if holder, _ := os.Readlink(lease); holder != s.ID {
		t.Errorf("the level is leased to %q", holder)
	}
	if err := b.remove("web", force); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(lease); err == nil {
		t.Error("the level is still leased")
	}
	// The level that the name leads to is another's now.
	if err := errors.Join(os.MkdirAll(filepath.Dir(lease), 0o700), os.MkdirAll(engine.Dirs{Run: b.run}.Pod("other"), 0o700), os.Symlink("other", lease)); err != nil {
		t.Fatal(err)
	}
	s, err = b.start(c)
	if err != nil || s.Label.Process == "u:r:process:"+level {
		t.Errorf("two have the level %s: %v", level, err)
	}
	if err := b.remove("web", force); err != nil {
		t.Fatal(err)
	}
	kept, err := b.Engine(b.run).Create(t.Context(), c)
	if holder, _ := os.Readlink(filepath.Join(b.run, "leases/levels", strings.TrimPrefix(kept.Label.Process, "u:r:process:s0:"))); err != nil || kept.Label.File == "" || holder != kept.ID {
		t.Errorf("one that is made without being started: %v, %+v, and its level is leased to %q", err, kept.Label, holder)
	}
	if err := b.remove("web", force); err != nil {
		t.Fatal(err)
	}
	c.SecurityOpts = []string{"label=type:none"}
	if _, err := b.start(c); err == nil || !strings.Contains(err.Error(), `container "web": SELinux: no such type`) {
		t.Errorf("an option that the policy does not take: %v", err)
	}
}

func TestRelabel(t *testing.T) {
	b := labelBench(t)
	base := t.TempDir()
	data, file := filepath.Join(base, "data"), filepath.Join(base, "data/sub/file")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, nil, 0o600), os.WriteFile(filepath.Join(base, "alone"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	c := web()
	// start starts the container with these volumes and removes it again.
	start := func(volumes ...string) (spec.Label, error) {
		t.Helper()
		c.Volumes = volumes
		s, err := b.start(c)
		if err == nil {
			err = b.remove("web", force)
		}
		return s.Label, err
	}
	own, err := start(data + ":/d:Z")
	if err != nil || labelOf(t, data) != own.File || labelOf(t, file) != own.File {
		t.Errorf("Z: %v, %q, %q, want %q", err, labelOf(t, data), labelOf(t, file), own.File)
	}
	mark := func() {
		if err := unix.Lsetxattr(file, "security.selinux", []byte("marked"), 0); err != nil {
			t.Fatal(err)
		}
	}
	mark() // is seen by who looks at each file only
	if _, err := start(data + ":/d:Z"); err != nil || labelOf(t, file) != "marked" {
		t.Errorf("the second time each file was looked at: %v, %q", err, labelOf(t, file))
	}
	if _, err := start(data+":/d:z", filepath.Join(base, "alone")+":/f:z"); err != nil || labelOf(t, data) != "u:r:file:s0" || labelOf(t, file) != "u:r:file:s0" ||
		labelOf(t, filepath.Join(base, "alone")) != "u:r:file:s0" {
		t.Errorf("z: %v, %q, %q, %q", err, labelOf(t, data), labelOf(t, file), labelOf(t, filepath.Join(base, "alone")))
	}
	mark()
	if err := unix.Lsetxattr(data, "security.selinux", []byte("restored"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := start(data + ":/d:z"); err != nil || labelOf(t, file) != "u:r:file:s0" {
		t.Errorf("after somebody has labelled the directory: %v, %q", err, labelOf(t, file))
	}
	mark()
	if _, err := start(data + ":/d"); err != nil || labelOf(t, file) != "marked" {
		t.Errorf("without an option: %v, %q", err, labelOf(t, file))
	}
	c.SecurityOpts = []string{"label=disable"}
	if _, err := start(data + ":/d:Z"); err != nil || labelOf(t, data) != "u:r:file:s0" {
		t.Errorf("a container without a label has labelled %s %q: %v", data, labelOf(t, data), err)
	}
	c.SecurityOpts = nil
	if _, err := start("/etc:/d:z"); err == nil || !strings.Contains(err.Error(), "would label /etc") {
		t.Errorf("/etc: %v", err)
	}
	if _, err := start("new:/d"); err != nil || labelOf(t, filepath.Join(filepath.Dir(b.Root), "volumes/new")) != "u:r:file:s0" {
		t.Errorf("a new volume: %v, %q", err, labelOf(t, filepath.Join(filepath.Dir(b.Root), "volumes/new")))
	}
}
