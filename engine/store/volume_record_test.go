package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func ownerOf(info os.FileInfo) uint32 { return info.Sys().(*syscall.Stat_t).Uid }

func TestCreateVolume(t *testing.T) {
	root := t.TempDir()
	made, err := createVolume(root, Volume{Name: "data", Labels: map[string]string{"app": "db"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	found, err := findVolume(root, "data")
	if err != nil || found.Path != made.Path || found.Labels["app"] != "db" || found.Version != volumeVersion {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err := createVolume(root, Volume{Name: "data"}, nil); !errors.Is(err, ErrVolumeExists) {
		t.Errorf("again: %v", err)
	}
	for _, name := range []string{"", "../x", "a/b", ".hidden"} {
		if _, err := createVolume(root, Volume{Name: name}, nil); err == nil {
			t.Errorf("the name %q is taken", name)
		}
	}
}

// TestVolumeElsewhere: a volume whose data is a link to a disk that is not mounted is there, stays as it is, and cannot be used.
func TestVolumeElsewhere(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "data")
	link, record := filepath.Join(dir, "_data"), filepath.Join(dir, recordFile)
	if err := errors.Join(os.Mkdir(dir, 0o755), writeRecord(dir, Volume{Name: "data"}), os.Symlink("/nowhere", link)); err != nil {
		t.Fatal(err)
	}
	if _, err := createVolume(root, Volume{Name: "data"}, func() error { return errors.New("its layer was made anew") }); !errors.Is(err, ErrVolumeExists) {
		t.Errorf("made anew: %v", err)
	}
	if err := writeVolume(dir, Volume{Name: "data", Path: link}, nil); !errors.Is(err, os.ErrExist) {
		t.Errorf("made by two at once: %v", err)
	}
	if target, err := os.Readlink(link); target != "/nowhere" {
		t.Fatalf("the link: %q, %v", target, err)
	}
	if err := writeRecord(dir, Volume{Name: "data"}); err != nil {
		t.Fatal(err)
	}
	if vol, err := findVolume(root, "data"); err != nil || !vol.Ours {
		t.Errorf("found %+v, %v", vol, err)
	}
	_, err := ensure(root, Volume{Name: "data"}, func(string) error { return errors.New("it was filled") })
	if err == nil || !strings.Contains(err.Error(), "_data is a link to /nowhere, which is not there: mount it") {
		t.Errorf("used: %v", err)
	}
	if _, err := os.Lstat(record); err != nil {
		t.Error(err)
	}
}

// The first container that uses a new volume fills it, once; what somebody has put in before stays as it is.
func TestFillCreated(t *testing.T) {
	root := t.TempDir()
	fills := 0
	fill := func(dir string) error {
		fills++
		return os.WriteFile(filepath.Join(dir, "file"), nil, 0o600)
	}
	for _, name := range []string{"empty", "given"} {
		if _, err := createVolume(root, Volume{Name: name}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "given/_data/own"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, name := range []string{"empty", "given"} {
			if _, err := ensure(root, Volume{Name: name}, fill); err != nil {
				t.Fatal(err)
			}
		}
	}
	if fills != 1 {
		t.Errorf("filled %d times", fills)
	}
	// A volume that its container has emptied stays empty.
	if err := os.Remove(filepath.Join(root, "empty/_data/file")); err != nil {
		t.Fatal(err)
	}
	if _, err := ensure(root, Volume{Name: "empty"}, fill); err != nil || fills != 1 {
		t.Errorf("filled %d times, %v", fills, err)
	}
}

func TestVolumeOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: it gives files away")
	}
	root, uid := t.TempDir(), 1234
	if _, err := createVolume(root, Volume{Name: "data", UID: &uid}, nil); err != nil {
		t.Fatal(err)
	}
	path, err := ensure(root, Volume{Name: "data"}, func(dir string) error { return os.Chown(dir, 7, 7) })
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || ownerOf(info) != 1234 {
		t.Errorf("owner %d, %v", ownerOf(info), err)
	}
}

func TestRemoveVolume(t *testing.T) {
	root := t.TempDir()
	if _, err := createVolume(root, Volume{Name: "data"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := removeVolume(root, "data", anyVolume); err != nil {
		t.Fatal(err)
	}
	if list, _ := os.ReadDir(root); len(list) != 0 {
		t.Errorf("left: %v", list)
	}
	if err := removeVolume(root, "data", anyVolume); !errors.Is(err, ErrNoVolume) {
		t.Errorf("again: %v", err)
	}
}

// A record of a newer version is refused, and stays as it is.
func TestNewerVolume(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "data")
	if err := os.MkdirAll(filepath.Join(dir, "_data"), 0o755); err != nil {
		t.Fatal(err)
	}
	text := []byte(`{"version":99,"name":"data"}`)
	if err := os.WriteFile(filepath.Join(dir, recordFile), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := findVolume(root, "data"); err == nil {
		t.Error("a record of version 99 was read")
	}
	if got, _ := os.ReadFile(filepath.Join(dir, recordFile)); string(got) != string(text) {
		t.Errorf("the record is now %s", got)
	}
}

// TestRemoveBegun: what a start that was killed has left of a volume can be removed; a directory of somebody else's stays.
func TestRemoveBegun(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files []string
		want  bool // removed
	}{
		{"nothing in it yet", nil, true},
		{"a record that was being written", []string{".volume.json.123"}, true},
		{"half filled", []string{"volume.json", ".new-12/etc/passwd"}, true},
		{"made and not filled", []string{"volume.json", ".untouched.7", "untouched"}, true},
		{"of another program", []string{"volume.json", "opts.json"}, false},
		{"of another program alone", []string{"db/data"}, false},
	} {
		root := t.TempDir()
		dir := filepath.Join(root, "data")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, f := range tt.files {
			if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, f)), 0o755), os.WriteFile(filepath.Join(dir, f), nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		err := removeVolume(root, "data", anyVolume)
		left, _ := os.ReadDir(root)
		if tt.want != (err == nil && len(left) == 0) || !tt.want && !errors.Is(err, ErrNoVolume) {
			t.Errorf("%s: %v, left %v", tt.name, err, left)
		}
	}
	if err := removeVolume(t.TempDir(), "../x", anyVolume); !errors.Is(err, ErrNoVolume) {
		t.Errorf("a name that is none: %v", err)
	}
}

// TestBegunRecord: the next start takes away what lies beside the record that a killed one was writing.
func TestBegunRecord(t *testing.T) {
	root := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(root, "data"), 0o755), os.WriteFile(filepath.Join(root, "data/.volume.json.5"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := ensure(root, Volume{Name: "data"}, func(string) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "data/.volume.json.5")); err == nil {
		t.Error("it is still there")
	}
}

// FuzzVolumeRecord: a volume's record is read or refused, and hides no other volume from its owner.
func FuzzVolumeRecord(f *testing.F) {
	for _, text := range []string{
		`{"version":1,"name":"bad","driver":"local","options":{"type":"tmpfs","o":"size=1m"}}`, `{"version":99}`, `{"name":"../x"}`,
		`{"options":null,"labels":null}`, `null`, `[]`, ``,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		root := t.TempDir()
		for _, name := range []string{"bad", "good"} {
			if err := os.MkdirAll(filepath.Join(root, name, "_data"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(root, "bad", recordFile), data, 0o644); err != nil {
			t.Fatal(err)
		}
		if vol, err := findVolume(root, "bad"); err == nil && (vol.Name != "bad" || vol.Path != filepath.Join(root, "bad", "_data")) {
			t.Errorf("%s: the volume is %q at %s", data, vol.Name, vol.Path)
		}
		if vol, err := findVolume(root, "good"); err != nil || vol.Name != "good" {
			t.Errorf("%s: the other volume is %q, %v", data, vol.Name, err)
		}
		for _, name := range []string{"bad", "good"} {
			if err := removeVolume(root, name, anyVolume); err != nil {
				t.Errorf("%s: volume %s cannot be removed: %v", data, name, err)
			}
		}
	})
}

// TestFillBesideStart: the first container that has a volume waits while something is put into it, and leaves that there.
func TestFillBesideStart(t *testing.T) {
	root := t.TempDir()
	vol, err := createVolume(root, Volume{Name: "data"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan error, 1)
	err = Volumes{}.Fill(vol, func() error {
		inside, err := os.OpenRoot(vol.Path) // as who unpacks an archive
		if err != nil {
			return err
		}
		defer inside.Close()
		go func() {
			_, err := ensure(root, Volume{Name: "data"}, func(dir string) error { return os.WriteFile(filepath.Join(dir, "image"), nil, 0o600) })
			started <- err
		}()
		for opened := 0; opened < 2 && len(started) == 0; { // by both
			opened = 0
			files, _ := filepath.Glob("/proc/self/fd/*")
			for _, f := range files {
				if target, _ := os.Readlink(f); target == filepath.Join(root, "data") {
					opened++
				}
			}
		}
		return inside.WriteFile("mine", nil, 0o600)
	})
	if err := errors.Join(err, <-started); err != nil {
		t.Fatal(err)
	}
	if list, err := filepath.Glob(filepath.Join(vol.Path, "*")); err != nil || len(list) != 1 || filepath.Base(list[0]) != "mine" {
		t.Errorf("%v, %v", list, err)
	}
}

// What a file asks for by now, and its volume does not have, is named.
func TestVolumeDiffers(t *testing.T) {
	one, two := 1, 2
	again := 1
	there := Volume{Name: "v", Ours: true, Options: map[string]string{"type": "tmpfs"}, UID: &one, Labels: map[string]string{"a": "1"}}
	for want, asked := range map[string]Volume{
		"":              {Driver: "local", Options: map[string]string{"type": "tmpfs"}, UID: &again},
		"options":       {UID: &one},
		"owner":         {Options: there.Options, UID: &two, GID: &one},
		"driver":        {Driver: "image", Options: there.Options, UID: &one},
		"options owner": {Options: map[string]string{"type": "nfs"}},
	} {
		if got := strings.Join(there.Differs(asked), " "); got != want {
			t.Errorf("%+v: %q, want %q", asked, got, want)
		}
	}
	if got := (Volume{Name: "v"}).Differs(there); got != nil {
		t.Errorf("one of Podman's: %v", got)
	}
}

// TestAdopt: a volume of Podman's that is a file system gets its options, unless it has a record or files of its own.
func TestAdopt(t *testing.T) {
	root := t.TempDir()
	v := Volumes{Dir: func() (string, error) { return root, nil }}
	for _, name := range []string{"theirs", "full", "plain"} {
		if err := os.MkdirAll(filepath.Join(root, name, "_data"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "full", "_data", "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := createVolume(root, Volume{Name: "ours"}, nil); err != nil {
		t.Fatal(err)
	}
	nfs := map[string]string{"type": "nfs", "device": "host:/dir"}
	for name, options := range map[string]map[string]string{"theirs": nfs, "full": nfs, "ours": nfs, "plain": {"o": "uid=5"}} {
		files, err := v.Adopt(Volume{Name: name, Options: options})
		if err != nil || files != (name == "full") {
			t.Errorf("%s: %v, %v", name, files, err)
		}
		found, err := findVolume(root, name)
		if err != nil || found.Ours != (name == "ours") || (found.Options["type"] != "") != (name == "theirs") {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
}
