package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-pods/berth/engine"
)

// FuzzState: a state file, or a record beside the layer, is read or refused; it hides no other container, and no list stops
// at it.
func FuzzState(f *testing.F) {
	for _, s := range []string{
		`{"version":1,"id":"ID","name":"web","container":{"Name":"web"}}`, `{"version":99}`, `{"id":"../../x","name":"../x"}`, `{"version":-1,"container":{"Networks":null},"init":{"pid":-1}}`,
		`{"version":1,"name":"good"}`, ``, `null`, `[]`, `{"created":"x"}`,
	} {
		f.Add([]byte(s))
	}
	bad, good := strings.Repeat("ba", 32), strings.Repeat("0d", 32)
	f.Fuzz(func(t *testing.T, data []byte) {
		dirs := engine.Dirs{Run: t.TempDir(), Keep: t.TempDir()}
		data = []byte(strings.ReplaceAll(string(data), "ID", bad))
		write := func(path string, data []byte) {
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		write(filepath.Join(dirs.Run, bad, "state.json"), data)
		write(filepath.Join(dirs.Keep, bad, "userdata/berth.json"), data)
		write(filepath.Join(dirs.Run, good, "state.json"), []byte(`{"version":1,"id":"`+good+`","name":"good"}`))
		list, err := dirs.All()
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, s := range list {
			found = found || s.ID == good
		}
		if !found {
			t.Errorf("%s hides another container", data)
		}
		if s, err := dirs.FindSurely(good); err != nil || s.ID != good {
			t.Errorf("%s: the other container is %q, %v", data, s.ID, err)
		}
		_, _ = dirs.Load(bad)
		_, _ = dirs.Find(bad)
	})
}
