package rootless

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOwnedBelow(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "svc")
	if err := os.Mkdir(mine, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a-file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := ownedBelow(dir, os.Getuid()); got != mine {
		t.Errorf("found %q, want %q", got, mine)
	}
	if got := ownedBelow(dir, os.Getuid()+1); got != "" {
		t.Errorf("another user gets %q", got)
	}
	if got := ownedBelow(filepath.Join(dir, "none"), os.Getuid()); got != "" {
		t.Errorf("found %q where there is nothing", got)
	}
}

func TestIsService(t *testing.T) {
	for dir, want := range map[string]bool{
		"/run/berth-users/svc": true, "/run/user/1000": false, "": false, "/run/berth-users": false, "/run/berth-users-of/x": false,
	} {
		if got := isService(dir); got != want {
			t.Errorf("%q: %t", dir, got)
		}
	}
}
