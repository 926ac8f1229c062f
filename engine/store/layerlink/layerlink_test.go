package layerlink

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.podman.io/storage"
	"go.podman.io/storage/pkg/reexec"
)

func TestMain(m *testing.M) {
	if reexec.Init() {
		return
	}
	os.Exit(m.Run())
}

// TestMend: a layer whose maker was killed before it wrote the short name is removed without the names of all others. The control, in
// which nothing is mended, shows that the library takes those too.
func TestMend(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: it makes layers")
	}
	for name, test := range map[string]struct {
		flag, all, mend, whole bool // the record says that the layer is unfinished
	}{
		"unfinished":         {true, false, true, true},
		"unfinished control": {true, false, false, false},
		"after a power cut":  {false, true, true, true},
		"removed control":    {false, false, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			root, run := t.TempDir(), t.TempDir()
			open := func() storage.Store {
				st, err := storage.GetStore(storage.StoreOptions{GraphRoot: root, RunRoot: run, GraphDriverName: "overlay", GraphDriverOptions: []string{"overlay.skip_mount_home=true"}})
				if err != nil {
					t.Skip(err) // this file system cannot
				}
				t.Cleanup(func() { st.Shutdown(true); st.Free() })
				return st
			}
			st := open()
			kept, err := st.CreateLayer("", "", nil, "", false, nil)
			if err != nil {
				t.Fatal(err)
			}
			broken, err := st.CreateLayer("", "", nil, "", false, nil)
			if err != nil {
				t.Fatal(err)
			}
			st.Free()
			if err := os.Truncate(filepath.Join(root, "overlay", broken.ID, "link"), 0); err != nil {
				t.Fatal(err)
			}
			if test.flag {
				path := filepath.Join(root, "overlay-layers", "layers.json")
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				old := `{"id":"` + broken.ID + `",`
				if !strings.Contains(string(text), old) {
					t.Fatalf("%s", text)
				}
				if err := os.WriteFile(path, []byte(strings.Replace(string(text), old, old+`"flags":{"incomplete":true},`, 1)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if test.mend {
				Mend(root, test.all)
			}
			st = open()
			if !test.flag {
				if err := st.DeleteLayer(broken.ID); err != nil {
					t.Fatal(err)
				}
			} else if _, err := st.Layers(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(filepath.Join(root, "overlay", broken.ID)); err == nil {
				t.Error("the layer is still there")
			}
			link, err := os.ReadFile(filepath.Join(root, "overlay", kept.ID, "link"))
			if err != nil {
				t.Fatal(err)
			}
			_, err = os.Lstat(filepath.Join(root, "overlay", "l", string(link)))
			if (err == nil) != test.whole {
				t.Errorf("the other layer's short name: %v", err)
			}
			if names := shortNames(root); test.whole && len(names) != 1 {
				t.Errorf("short names: %v", names)
			}
		})
	}
}
