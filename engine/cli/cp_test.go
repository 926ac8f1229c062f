package cli

import (
	"archive/tar"
	"strings"
	"testing"
)

func TestParseEnd(t *testing.T) {
	for word, want := range map[string]end{
		"web:/etc": {"web", "/etc"}, "web:etc": {"web", "etc"}, "web:": {"web", ""}, "-": {"", "-"}, "/a:b": {"", "/a:b"},
		"./a:b": {"", "./a:b"}, "../a:b": {"", "../a:b"}, "file": {"", "file"}, ":x": {"", ":x"}, "web:a:b": {"web", "a:b"},
	} {
		if got := parseEnd(word); got != want {
			t.Errorf("%s: %+v, want %+v", word, got, want)
		}
	}
}

func TestTopName(t *testing.T) {
	for p, want := range map[string]string{
		"/etc": "etc", "/etc/": "etc", "etc": "etc", "/etc/.": ".", "/": ".", ".": ".", "..": ".", "../..": ".", "/a/b/./": "b",
	} {
		if got := topName(end{path: p}); got != want {
			t.Errorf("%s: %q, want %q", p, got, want)
		}
	}
}

func TestDestination(t *testing.T) {
	file, dir, contents := &tar.Header{Name: "src", Typeflag: tar.TypeReg}, &tar.Header{Name: "src/", Typeflag: tar.TypeDir}, &tar.Header{Name: "./", Typeflag: tar.TypeDir}
	none, aFile, aDir := place{}, place{there: true}, place{there: true, dir: true}
	slash := func(p place) place { p.slash = true; return p }
	tests := []struct {
		what   string
		top    *tar.Header
		where  place
		inside bool
		name   string
		says   string
	}{
		{"a file to nothing", file, none, false, "dst", ""},
		{"a file to nothing/", file, slash(none), false, "", "no such directory"},
		{"a file to a file", file, aFile, false, "dst", ""},
		{"a file to a file/", file, slash(aFile), false, "", "no such directory"},
		{"a file to a directory", file, aDir, true, "src", ""},
		{"a file to a directory/", file, slash(aDir), true, "src", ""},
		{"a directory to nothing", dir, none, false, "dst", ""},
		{"a directory to nothing/", dir, slash(none), false, "dst", ""},
		{"a directory to a file", dir, aFile, false, "", "is a file"},
		{"a directory to a directory", dir, aDir, true, "src", ""},
		{"contents to nothing", contents, none, false, "dst", ""},
		{"contents to a directory", contents, aDir, true, "", ""},
		{"contents to a file", contents, aFile, false, "", "is a file"},
	}
	for _, tt := range tests {
		inside, name, err := destination(tt.top, tt.where, "/x/dst")
		if tt.says != "" {
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: %v", tt.what, err)
			}
			continue
		}
		if inside != tt.inside || name != tt.name || err != nil {
			t.Errorf("%s: %t %q %v", tt.what, inside, name, err)
		}
	}
}

func TestWithin(t *testing.T) {
	for _, tt := range []struct {
		p, dir string
		want   bool
	}{{"/a/b", "/a", true}, {"/a", "/a", true}, {"/ab", "/a", false}, {"a/../b", "/b", true}, {"/x", "/", true}, {"/a", "/a/b", false}} {
		if got := within(tt.p, tt.dir); got != tt.want {
			t.Errorf("%+v: %t", tt, got)
		}
	}
}
