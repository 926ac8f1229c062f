package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestReadSearches: directories that overlap give each file once, those found first in front.
func TestReadSearches(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{"a/one.volume", "a/sub/two.volume", "a/one.volume.d/x.conf", "b/three.volume"} {
		at := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	set, err := readSearches(oneDir(dir+"/b", true), oneDir(dir+"/a", false), oneDir(dir, true))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range set.Files {
		got = append(got, strings.TrimPrefix(s.Path, dir))
	}
	if want := []string{"/b/three.volume", "/a/one.volume", "/a/sub/two.volume"}; !slices.Equal(got, want) {
		t.Errorf("read are %q, want %q", got, want)
	}
	if n := len(set.Dropins["one.volume.d"]); n != 1 {
		t.Errorf("the drop-in was read %d times", n)
	}
}

func TestCheckFileName(t *testing.T) {
	for name, good := range map[string]bool{
		"web.container": true, ".env": true, "a b.volume": true,
		"": false, ".": false, "..": false, "a/b": false, `a\b`: false, "a\nb": false, "a\x00b": false, ".web.app": false,
		".web.container.asset": false, strings.Repeat("x", 256): false,
	} {
		if err := checkFileName(name); (err == nil) != good {
			t.Errorf("%.20q: %v", name, err)
		}
	}
}

// FuzzSplitBundle: no name leaves the directory, and no line is lost but the separators.
func FuzzSplitBundle(f *testing.F) {
	f.Add("# FileName=a\n[Volume]\n---\n# FileName=../b\n[Pod]\n")
	f.Fuzz(func(t *testing.T, text string) {
		parts, _ := splitBundle(text)
		lines := strings.Count(text, "\n")
		for _, p := range parts {
			if filepath.Base(p.name) != p.name || checkFileName(p.name) != nil || p.skipped > lines {
				t.Errorf("%q: part %q after %d lines", text, p.name, p.skipped)
			}
			if !strings.Contains(text, p.text) {
				t.Errorf("%q: part %q is not in it", text, p.text)
			}
		}
	})
}

func TestWithoutPassword(t *testing.T) {
	for address, want := range map[string]string{
		"https://me:secret@a.example/x/y@z": "https://a.example/x/y@z",
		"https://a.example":                 "https://a.example",
		"http://a@b@c.example:80/":          "http://c.example:80/",
	} {
		if got := withoutPassword(address); got != want {
			t.Errorf("%s is shown as %s", address, got)
		}
	}
}
