package mend

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

// TestShortNames: a layer whose maker was killed before it wrote the short name is removed without the names of all others. The control, in
// which nothing is mended, shows that the library takes those too.
func TestShortNames(t *testing.T) {
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
				Store(root, test.all)
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

// TestTorn: the list of volatile containers, or that of their layers, did not reach the disk as a whole. Without mending the library
// cannot read the store; mended, what is not volatile is there, and a list that is whole is left alone.
func TestTorn(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: it makes layers")
	}
	for name, tear := range map[string]func([]byte) []byte{
		"zeros":           func(text []byte) []byte { return make([]byte, len(text)) },
		"zeros at end":    func(text []byte) []byte { return append(text[:len(text)/2:len(text)/2], make([]byte, len(text)/2)...) },
		"zeros at begin":  func(text []byte) []byte { return append(make([]byte, len(text)/2), text[len(text)/2:]...) },
		"cut short":       func(text []byte) []byte { return text[:len(text)/2] },
		"zeros in middle": func(text []byte) []byte { text[len(text)/2] = 0; return text },
	} {
		for _, list := range []string{"overlay-containers/volatile-containers.json", "overlay-layers/volatile-layers.json"} {
			t.Run(filepath.Base(list)+" "+name, func(t *testing.T) {
				o := storage.StoreOptions{GraphRoot: t.TempDir(), RunRoot: t.TempDir(), GraphDriverName: "overlay", GraphDriverOptions: []string{"overlay.skip_mount_home=true"}}
				look := func() (layers int, volatile bool, err error) {
					st, err := storage.GetStore(o)
					if err != nil {
						return 0, false, err
					}
					defer st.Free()
					all, err := st.Layers()
					if err != nil {
						return 0, false, err
					}
					containers, err := st.Containers()
					return len(all), len(containers) > 0, err
				}
				st, err := storage.GetStore(o)
				if err != nil {
					t.Skip(err) // this file system cannot
				}
				if _, err := st.CreateLayer("", "", nil, "", false, nil); err != nil {
					t.Fatal(err)
				}
				if _, err := st.CreateContainer("", nil, "", "", "", &storage.ContainerOptions{Volatile: true}); err != nil {
					t.Fatal(err)
				}
				st.Free()
				Store(o.GraphRoot, true)
				if layers, volatile, err := look(); layers != 2 || !volatile || err != nil {
					t.Fatalf("before the power cut there are %d layers, and a volatile container %v (%v)", layers, volatile, err)
				}
				path := filepath.Join(o.GraphRoot, list)
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, tear(text), 0o600); err != nil {
					t.Fatal(err)
				}
				if _, _, err := look(); err == nil {
					t.Fatal("control: the library can read the store")
				}
				Store(o.GraphRoot, false)
				if layers, _, err := look(); layers == 0 || err != nil {
					t.Errorf("afterwards there are %d layers: %v", layers, err)
				}
			})
		}
	}
}
