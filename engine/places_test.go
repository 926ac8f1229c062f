package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-pods/berth/engine/inroot"
)

// hostileRoot is a root file system whose links lead to places of the kernel's, and a volume with such links.
func hostileRoot(t *testing.T) (root, volume string) {
	t.Helper()
	top := t.TempDir()
	root, volume = filepath.Join(top, "root"), filepath.Join(top, "volume")
	err := errors.Join(os.MkdirAll(filepath.Join(root, "real/dir"), 0o755), os.Mkdir(filepath.Join(root, "proc"), 0o755),
		os.Mkdir(filepath.Join(root, "dev"), 0o755), os.Mkdir(volume, 0o755))
	for name, target := range map[string]string{
		"root/abs": "/proc", "root/rel": "real/../proc", "root/up": "../../../../proc", "root/real/deep": "../abs/self", "root/device": "dev",
		"root/loop": "loop", "root/fine": "/real", "root/meminfo": "/proc/meminfo", "root/pts": "/dev/pts", "volume/out": "/proc", "volume/hop": "../abs",
		"root/dangling": "/nowhere/at/all", "root/top": "/", "root/dots": "./real/deep/..//.",
	} {
		err = errors.Join(err, os.Symlink(target, filepath.Join(top, name)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return root, volume
}

// TestCheckPlaces: a link of the image, or of a volume, puts nothing in the place of /proc or /dev (CVE-2019-16884,
// CVE-2019-19921).
func TestCheckPlaces(t *testing.T) {
	root, volume := hostileRoot(t)
	kernel := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc"}, {Destination: "/dev", Type: "tmpfs", Source: "tmpfs"},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts"},
	}
	bind := func(source, place string) specs.Mount {
		return specs.Mount{Source: source, Destination: place, Options: []string{"rbind"}}
	}
	tests := []struct {
		name   string
		mounts []specs.Mount
		want   string // part of the error; "" for none
	}{
		{"nothing", nil, ""},
		{"plain", []specs.Mount{bind("/srv", "/data"), bind("/srv", "/real/dir")}, ""},
		{"a link to elsewhere", []specs.Mount{bind("/srv", "/fine/dir"), bind("/srv", "/dangling/x")}, ""},
		{"absolute link", []specs.Mount{bind("/srv", "/abs")}, "leads to /proc"},
		{"below it", []specs.Mount{bind("/srv", "/abs/self/attr")}, "leads to /proc/self/attr"},
		{"relative link", []specs.Mount{bind("/srv", "/rel/sys")}, "leads to /proc/sys"},
		{"link upwards", []specs.Mount{bind("/srv", "/up/1")}, "leads to /proc/1"},
		{"link by way of a link", []specs.Mount{bind("/srv", "/fine/deep/attr")}, "leads to /proc/self/attr"},
		{"link to the root", []specs.Mount{bind("/srv", "/top/proc/sys")}, "leads to /proc/sys"},
		{"link with dots after a link", []specs.Mount{bind("/srv", "/dots/sys")}, "leads to /proc/sys"},
		{"tmpfs", []specs.Mount{{Destination: "/abs", Type: "tmpfs", Source: "tmpfs"}}, "leads to /proc"},
		{"link to /dev", []specs.Mount{bind("/srv", "/device")}, "leads to /dev"},
		{"link to what may be replaced", []specs.Mount{bind("/srv/meminfo", "/meminfo"), bind("/srv", "/pts")}, ""},
		{"loop", []specs.Mount{bind("/srv", "/loop/x")}, "too many links"},
		{"link in a volume", []specs.Mount{bind(volume, "/data"), bind("/srv", "/data/out/sys")}, "leads to /proc/sys"},
		{"link in a volume to a link of the image", []specs.Mount{bind(volume, "/data"), bind("/srv", "/data/hop/sys")}, "leads to /proc/sys"},
		{"link in a volume behind a link", []specs.Mount{bind(volume, "/fine/dir"), bind("/srv", "/fine/dir/out")}, "leads to /proc"},
		{"link that a volume covers", []specs.Mount{bind("/srv", "/fine"), bind("/srv", "/real/deep/x")}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := checkPlaces(root, append(kernel[:len(kernel):len(kernel)], tt.mounts...))
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	for _, place := range []string{"proc", "dev", "sys"} {
		bad := t.TempDir()
		if err := os.Symlink("tmp", filepath.Join(bad, place)); err != nil {
			t.Fatal(err)
		}
		if err := checkPlaces(bad, []specs.Mount{{Destination: "/" + place, Type: "tmpfs"}}); err == nil || !strings.Contains(err.Error(), "the image's /"+place+" is a link") {
			t.Errorf("%s: %v", place, err)
		}
	}
	// The negative control: the links do lead there for who follows them within the root.
	r, err := inroot.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, name := range []string{"abs", "rel", "up"} {
		f, err := r.Handle(name)
		proc, err2 := r.Handle("proc")
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		a, _ := f.Stat()
		b, _ := proc.Stat()
		if !os.SameFile(a, b) {
			t.Errorf("%s does not lead to /proc, so it shows nothing", name)
		}
		f.Close()
		proc.Close()
	}
}
