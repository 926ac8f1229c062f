package engine

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

// A container reads what is in a file of the caller's, and has no way to the file.
func TestForReading(t *testing.T) {
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte("echo hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := forReading(f)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if info, err := r.Stat(); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if text, err := io.ReadAll(r); err != nil || string(text) != "echo hello" {
		t.Errorf("%q, %v", text, err)
	}
	if same, err := forReading(r); err != nil || same != r {
		t.Errorf("a pipe: %v, %v", same, err)
	}
}
