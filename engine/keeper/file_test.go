package keeper

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func texts(words ...string) (list []line) {
	for _, w := range words {
		list = append(list, line{text: []byte(strings.TrimSuffix(w, "+")), partial: strings.HasSuffix(w, "+")})
	}
	return list
}

var stamp = regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d) `)

func TestFile(t *testing.T) {
	s := &fileSink{path: filepath.Join(t.TempDir(), "ctr.log"), warn: func(f string, a ...any) { t.Errorf(f, a...) }}
	for _, step := range []struct {
		lines    []line
		standard int
	}{{texts("one", "", "tw+"), prioInfo}, {texts("o"), prioInfo}, {texts("bad"), prioError}} {
		if n, err := s.write(step.lines, step.standard); n != len(step.lines) || err != nil {
			t.Fatal(n, err)
		}
	}
	s.close()
	data, err := os.ReadFile(s.path)
	if got := stamp.ReplaceAllString(string(data), ""); err != nil || got != "stdout F one\nstdout F \nstdout P tw\nstdout F o\nstderr F bad\n" {
		t.Errorf("%q, %v", data, err)
	}
}

// TestTornFile: half a line of a keeper that was killed is taken away; a file of somebody else's is not touched before.
func TestTornFile(t *testing.T) {
	for before, want := range map[string]string{
		"": "", "a\n": "a\n", "a\nb": "a\n", "ab": "", "a\n" + strings.Repeat("b", 9000): "a\n", strings.Repeat("b", 4096) + "\n": strings.Repeat("b", 4096) + "\n",
	} {
		s := &fileSink{path: filepath.Join(t.TempDir(), "ctr.log")}
		if err := os.WriteFile(s.path, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.write(texts("x"), prioInfo); err != nil {
			t.Fatal(err)
		}
		s.close()
		data, _ := os.ReadFile(s.path)
		if got := stamp.ReplaceAllString(string(data), ""); got != want+"stdout F x\n" {
			t.Errorf("%.20q: %.60q", before, got)
		}
	}
}

func TestRotation(t *testing.T) {
	s := &fileSink{path: filepath.Join(t.TempDir(), "ctr.log"), maxSize: 400, warn: func(f string, a ...any) { t.Errorf(f, a...) }}
	for i := range 20 {
		if _, err := s.write(texts(fmt.Sprintf("line %02d", i)), prioInfo); err != nil {
			t.Fatal(err)
		}
	}
	s.close()
	older, err1 := os.ReadFile(s.path + oldSuffix)
	newer, err2 := os.ReadFile(s.path)
	if err1 != nil || err2 != nil || len(older) > 400 || len(newer) > 400 || !strings.HasSuffix(string(newer), "line 19\n") {
		t.Fatalf("%v, %v, %d and %d bytes", err1, err2, len(older), len(newer))
	}
	all := string(older) + string(newer)
	first := 20 - strings.Count(all, "\n")
	for i := first; i < 20; i++ {
		if !strings.Contains(all, fmt.Sprintf("line %02d\n", i)) {
			t.Errorf("line %d is missing", i)
		}
	}
}

// TestLostFile: a file that cannot be written does not hold the container up, and is complained of once.
func TestLostFile(t *testing.T) {
	warnings := 0
	s := &fileSink{path: filepath.Join(t.TempDir(), "none/ctr.log"), warn: func(string, ...any) { warnings++ }}
	for range 3 {
		if n, err := s.write(texts("a", "b"), prioInfo); n != 2 || err != nil {
			t.Error(n, err)
		}
	}
	if warnings != 1 {
		t.Errorf("%d warnings", warnings)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("/etc/passwd", link); err != nil {
		t.Fatal(err)
	}
	s = &fileSink{path: link, warn: func(string, ...any) { warnings++ }}
	s.write(texts("a"), prioInfo)
	if warnings != 2 {
		t.Error("a link was followed")
	}
}

// TestFileOfTwoRuns: the run before this one may write its last lines beside it.
func TestFileOfTwoRuns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ctr.log")
	runs := []*fileSink{{path: path}, {path: path}}
	for i, text := range []string{"one", "two", "three", "four"} {
		if _, err := runs[i%2].write(texts(text), prioInfo); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if got := stamp.ReplaceAllString(string(data), ""); err != nil || got != "stdout F one\nstdout F two\nstdout F three\nstdout F four\n" {
		t.Errorf("%q, %v", data, err)
	}
	for _, s := range runs {
		s.close()
	}
}
