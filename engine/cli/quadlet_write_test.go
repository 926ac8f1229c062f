package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestTransactionUndo: a step that fails puts back what the steps before it have replaced, made and removed.
func TestTransactionUndo(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"kept.volume": "old", "gone.volume": "old"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tx := newTransaction(dir, true)
	for _, name := range []string{"kept.volume", "new.volume", "late.volume"} {
		if err := tx.put(name, []byte("new"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tx.steps = append([]step{{name: "gone.volume"}}, tx.steps...)
	if err := os.Mkdir(filepath.Join(dir, "late.volume"), 0o755); err != nil { // after it was staged
		t.Fatal(err)
	}
	err := tx.commit()
	tx.close()
	if err == nil {
		t.Fatal("a directory was replaced by a file")
	}
	assertFiles(t, dir, map[string]string{"kept.volume": "old", "gone.volume": "old", "late.volume": "DIR"})
}

// TestTransactionRace: without --replace a file that appears after the look is not overwritten.
func TestTransactionRace(t *testing.T) {
	dir := t.TempDir()
	tx := newTransaction(dir, false)
	for _, name := range []string{"a.volume", "b.volume"} {
		if err := tx.put(name, []byte("new"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "b.volume"), []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := tx.commit()
	tx.close()
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("error %v, want one that says that the file exists", err)
	}
	assertFiles(t, dir, map[string]string{"b.volume": "other"})
}

func assertFiles(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range entries {
		got[e.Name()] = "DIR"
		if text, err := os.ReadFile(filepath.Join(dir, e.Name())); err == nil {
			got[e.Name()] = string(text)
		}
	}
	if len(got) != len(want) {
		t.Errorf("there is %v, want %v", got, want)
	}
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s is %q, want %q", name, got[name], text)
		}
	}
}
