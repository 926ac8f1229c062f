package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestReadApplications: whatever files lie in a directory of units, only lists with a name are lists.
func TestReadApplications(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		".app": "a.container\n", ".asset": "", ".web.app": "a.container\n../b\n\na.container\n", ".c.container.asset": "d.txt\n", "e.app": "f.container\n", ".app.app": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	apps, err := readApplications(dir)
	got := ""
	for _, a := range apps {
		got += fmt.Sprintf("%s %q; ", a.name(), a.members)
	}
	if want := `app []; c.container ["c.container" "d.txt"]; web ["a.container"]; `; err != nil || got != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}
