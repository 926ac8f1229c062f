package engine

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/berth-pods/berth/engine/inroot"
	"github.com/berth-pods/berth/engine/spec"
)

// TestShowVolume: who looks into a container that does not run sees of a volume what the container does, and writes to nothing that
// the container could not write to.
func TestShowVolume(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("it mounts")
	}
	dir := t.TempDir()
	for _, d := range []string{"root/part", "root/over", "root/all", "root/gone", "root/out", "volume/sub"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(os.WriteFile(filepath.Join(dir, "volume/sub/inner"), nil, 0o600), os.Symlink("/", filepath.Join(dir, "volume/out")))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with its mount namespace
		if err := ownMountNamespace(); err != nil {
			t.Error(err)
			return
		}
		root, err := inroot.Open(filepath.Join(dir, "root"))
		if err != nil {
			t.Error(err)
			return
		}
		defer root.Close()
		source := filepath.Join(dir, "volume")
		for _, v := range []VolumeMount{{Subpath: "sub", Destination: "/part"}, {Overlay: true, Destination: "/over"}, {Destination: "/all"}, {Subpath: "gone", Destination: "/gone"}, {Subpath: "out/etc", Destination: "/out"}} {
			v.Name, v.Source = "data", source
			if err := showVolume(root, v); err != nil {
				t.Error(err)
			}
		}
		for name, want := range map[string]string{"part": "inner", "over": "", "all": "out sub", "gone": "", "out": ""} {
			var got []string
			entries, err := os.ReadDir(filepath.Join(dir, "root", name))
			for _, e := range entries {
				got = append(got, e.Name())
			}
			if strings.Join(got, " ") != want || err != nil {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		}
	}()
	<-done
}

// TestVolumesFrom: a container has of another one's volumes what that one has of them.
func TestVolumesFrom(t *testing.T) {
	d := Dirs{Run: t.TempDir(), Keep: t.TempDir()}
	s := State{ID: strings.Repeat("a", wholeID), Name: "web", ImageID: "i", Container: spec.Container{Name: "web"}}
	s.Mounts = []VolumeMount{
		{Name: "data", Source: "/volumes/data", Destination: "/part", Options: []string{"rw"}, Subpath: "sub"},
		{Source: "/srv", Destination: "/over", Options: []string{"rw"}, Overlay: true},
	}
	if err := d.keepNew(s); err != nil {
		t.Fatal(err)
	}
	list, err := (&Engine{Dirs: d}).volumesFrom("", "web:ro")
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	if v := list[0]; v.Source != "data" || v.Subpath != "sub" || v.Overlay || v.Options[0] != "ro" {
		t.Errorf("%+v", v)
	}
	if v := list[1]; v.Source != "/srv" || v.Subpath != "" || !v.Overlay {
		t.Errorf("%+v", v)
	}
}
