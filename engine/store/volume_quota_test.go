package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-pods/berth/engine/atomicfile"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]uint64{"10": 10, "10k": 10 << 10, "10M": 10 << 20, "2g": 2 << 30, "1t": 1 << 40, "5kb": 5 << 10, "5KiB": 5 << 10} {
		if got, err := parseSize(text); got != want || err != nil {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "m", "-1", "1.5g", "99999999999t", "1x"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q is taken as %d", text, got)
		}
	}
}

// A file system without quotas refuses in a sentence, and nothing of the volume is there.
func TestLimitWithoutQuotas(t *testing.T) {
	root := t.TempDir()
	_, err := createVolume(root, Volume{Name: "data", Options: map[string]string{"o": "size=10m"}}, nil)
	if err == nil {
		t.Skip("this file system has project quotas")
	}
	if !strings.Contains(err.Error(), root) || !strings.Contains(err.Error(), "project quotas") {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(root, "data")); err == nil {
		t.Error("something is left")
	}
}

// TestOwnProjects: a directory that goes gives its project back, unless the machine has given it or the data that stays has it.
func TestOwnProjects(t *testing.T) {
	for _, tt := range []struct{ projects, names, want string }{
		{".:0 .new-1:7", ".new-1", "[7]"},
		{".:0 .new-1:0", ".new-1", "[]"},
		{".:0 _data:7 .new-1:7", ".new-1", "[]"},
		{".:0 _data:7 .new-1:8 .new-2:8 .new-3:9", ".new-1 .new-2 .new-3", "[8 9]"},
		{".:5 .new-1:5 .new-2:7", ".new-1 .new-2", "[7]"},
		{".:5 _data:7", "_data", "[7]"},
		{".:5 _data:5", "_data", "[]"},
		{".:0", ".new-1", "[]"},
	} {
		projects := map[string]uint32{}
		for _, word := range strings.Fields(tt.projects) {
			name, project, _ := strings.Cut(word, ":")
			projects[filepath.Join("/v", name)] = uint32(project[0] - '0')
		}
		of := func(path string) (uint32, error) {
			project, ok := projects[path]
			if !ok {
				return 0, os.ErrNotExist
			}
			return project, nil
		}
		if got := fmt.Sprint(ownProjects("/v", strings.Fields(tt.names), of)); got != tt.want {
			t.Errorf("%s, without %s: %s, want %s", tt.projects, tt.names, got, tt.want)
		}
	}
}

// TestKilledCreate: what a creation that was killed has left goes with the next one, and with a sweep; who is still at work is left alone.
func TestKilledCreate(t *testing.T) {
	root := t.TempDir()
	killed := func(name string) string {
		t.Helper()
		dir := filepath.Join(root, name)
		fresh := filepath.Join(dir, newPrefix+"1")
		if err := errors.Join(os.MkdirAll(fresh, 0o700), writeRecord(dir, Volume{Name: name, Options: map[string]string{"o": "size=1m"}})); err != nil {
			t.Fatal(err)
		}
		return fresh
	}
	left := killed("again")
	if _, err := createVolume(root, Volume{Name: "again"}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after another creation: %v", err)
	}
	left = killed("left")
	lock, err := atomicfile.LockDir(filepath.Dir(left))
	if err != nil {
		t.Fatal(err)
	}
	if err := (Volumes{Dir: func() (string, error) { return root, nil }}).Sweep(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); err != nil {
		t.Errorf("who fills it is at work: %v", err)
	}
	lock.Close()
	if err := (Volumes{Dir: func() (string, error) { return root, nil }}).Sweep(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after a sweep: %v", err)
	}
}
