package hosts

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRemoveOldBases(t *testing.T) {
	c := Cache{Dir: t.TempDir()}
	for _, name := range []string{"0123456789ab", "ba9876543210", "0123456789ab.partial", "machines/berth-test-1"} {
		if err := os.MkdirAll(filepath.Join(c.Dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	machine, err := tryLock(filepath.Join(c.Dir, "machines/berth-test-1/lock"))
	if err != nil {
		t.Fatal(err)
	}
	now := Base{filepath.Join(c.Dir, "ba9876543210")}
	if err := c.removeOldBases(t.Context(), now); err == nil || !exists(filepath.Join(c.Dir, "0123456789ab")) {
		t.Errorf("a base was removed while a machine ran: %v", err)
	}
	machine.Close()
	if err := c.removeOldBases(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"0123456789ab": false, "ba9876543210": true, "machines/berth-test-1": false} {
		if exists(filepath.Join(c.Dir, name)) != want {
			t.Errorf("%s is there: %v, want %v", name, !want, want)
		}
	}
	if err := c.Clean(t.Context()); err != nil || exists(c.Dir) {
		t.Errorf("cache still there after Clean, %v", err)
	}
}
