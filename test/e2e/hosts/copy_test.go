package hosts

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCopyInAndOut(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	data := bytes.Repeat([]byte("data\x00"), 100000)
	if err := os.WriteFile(at("from"), data, 0o750); err != nil {
		t.Fatal(err)
	}
	m := &localMachine{}
	if err := CopyIn(t.Context(), m, at("from"), at("new/in")); err != nil {
		t.Fatal(err)
	}
	if err := CopyOut(t.Context(), m, at("new/in"), at("out")); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(at("out"))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back of %d, %v", len(got), len(data), err)
	}
	if info, err := os.Stat(at("new/in")); err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("%v, %v; want mode 750", info, err)
	}
	if err := CopyOut(t.Context(), m, at("missing"), at("out")); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("error %v does not name the file", err)
	}
}
