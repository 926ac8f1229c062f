package rootless

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAddRange(t *testing.T) {
	for _, tt := range []struct{ name, before, line, after string }{
		{"bob", "", "bob:100000:65536", "bob:100000:65536\n"},
		{"bob", "al:100000:65536\n", "bob:165536:65536", "al:100000:65536\nbob:165536:65536\n"},
		{"bob", "al:165536:65536\n# note\ncy:100000:65536", "bob:231072:65536", "al:165536:65536\n# note\ncy:100000:65536\nbob:231072:65536\n"},
		{"bob", "bob:5:5\n", "", "bob:5:5\n"},
		{"containers", "al:100000:65536\n", "containers:2147483647:2147483648", "al:100000:65536\ncontainers:2147483647:2147483648\n"},
		{"containers", "al:2147483647:10\n", "containers:2147483657:2097152", "al:2147483647:10\ncontainers:2147483657:2097152\n"},
	} {
		file := filepath.Join(t.TempDir(), "subuid")
		if err := os.WriteFile(file, []byte(tt.before), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, dry := range []bool{true, false} {
			line, err := AddRange(file, tt.name, dry)
			if line != tt.line || err != nil {
				t.Errorf("%s in %q: %q, %v; want %q", tt.name, tt.before, line, err, tt.line)
			}
			if dry {
				if text, _ := os.ReadFile(file); string(text) != tt.before {
					t.Errorf("a dry run wrote %q", text)
				}
			}
		}
		if text, _ := os.ReadFile(file); string(text) != tt.after {
			t.Errorf("%s in %q: the file is %q", tt.name, tt.before, text)
		}
	}
	for _, name := range []string{"", "a:b", "a\nb", " a", "#a"} {
		if _, err := AddRange(filepath.Join(t.TempDir(), "subuid"), name, false); err == nil {
			t.Errorf("the name %q is taken", name)
		}
	}
}

// FuzzSubIDs: what is read of a file are ranges that the kernel takes, the same ones when they are written and read again; and a name is given
// a range that overlaps none, at the end of what was there, or the file stays as it is.
func FuzzSubIDs(f *testing.F) {
	for _, text := range []string{
		"al:100000:65536\n# note\ncy:165536:65536", "containers:2147483647:2147483648\n", "bob::1\n", "bob:4294967296:1", "a:4294967295:0", "a:1:4294967295\nb:7:7", ":::", "\r\n",
	} {
		f.Add(text, "bob")
		f.Add(text, autoUser)
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		file := filepath.Join(t.TempDir(), "subuid")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		all := func(string) bool { return true }
		list, bad := readSubIDs(file, all)
		var lines strings.Builder
		for _, s := range list {
			if s.Start < 0 || s.Count <= 0 || s.Start+s.Count > math.MaxUint32 {
				t.Errorf("%q gives %+v", text, s)
			}
			fmt.Fprintf(&lines, "%s:%d:%d\n", s.Name, s.Start, s.Count)
		}
		if again, err := parseSubIDs(file, lines.String(), all); err != nil || fmt.Sprint(again) != fmt.Sprint(list) {
			t.Errorf("%q gives %v, and then %v, %v", text, list, again, err)
		}
		line, err := AddRange(file, name, false)
		after, _ := os.ReadFile(file)
		if line == "" {
			if string(after) != text || err == nil && bad != nil {
				t.Errorf("%q is %q with no new line; %v, %v", text, after, bad, err)
			}
			return
		}
		now, err := Ranges(file, name)
		if err != nil || len(now) != 1 || !strings.HasPrefix(string(after), text) {
			t.Fatalf("%q with %q: %v, %v", text, line, now, err)
		}
		for _, s := range list {
			if n := now[0]; s.Start < n.Start+n.Count && n.Start < s.Start+s.Count {
				t.Errorf("%q with %q overlaps %+v", text, line, s)
			}
		}
	})
}
