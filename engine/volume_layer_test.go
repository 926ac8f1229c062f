package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLayerUsersUnread: a container that cannot be read may have a volume's layer mounted.
func TestLayerUsersUnread(t *testing.T) {
	d, id := Dirs{Run: t.TempDir()}, strings.Repeat("a", 64)
	file := filepath.Join(d.Container(id), "state.json")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte("{"), 0o600)); err != nil {
		t.Fatal(err)
	}
	users, err := d.layerUsers("data", "")
	if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "or reboot") {
		t.Errorf("%v, %v", users, err)
	}
}
