package rootless

import (
	"os"
	"path/filepath"
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
	for _, name := range []string{"", "a:b", "a\nb"} {
		if _, err := AddRange(filepath.Join(t.TempDir(), "subuid"), name, false); err == nil {
			t.Errorf("the name %q is taken", name)
		}
	}
}
