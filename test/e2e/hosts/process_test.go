package hosts

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestKill(t *testing.T) {
	p, err := start(exec.Command("sleep", "1000"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.kill(); err != nil {
		t.Fatal(err)
	}
	if err := p.kill(); err != nil {
		t.Errorf("the second time: %v", err)
	}
	if err := p.wait(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestSweepSparesMachinesInUse(t *testing.T) {
	if v2, _, err := cgroupMounts(); err != nil {
		t.Skip("no cgroup v2 on this machine:", v2, err)
	}
	all := t.TempDir()
	for _, name := range []string{"berth-test-used", "berth-test-left"} {
		if err := os.Mkdir(filepath.Join(all, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	lock, err := tryLock(filepath.Join(all, "berth-test-used/lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := sweep(all); err != nil {
		t.Fatal(err)
	}
	if !exists(filepath.Join(all, "berth-test-used")) || exists(filepath.Join(all, "berth-test-left")) {
		t.Error("sweep must remove the unused machine and no other")
	}
}

func TestCacheLockIsExclusive(t *testing.T) {
	c := Cache{Dir: t.TempDir()}
	first, err := c.lock(context.Background(), "x.lock")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.lock(ctx, "x.lock"); !errors.Is(err, context.Canceled) {
		t.Errorf("a second lock: %v, want to have waited until the context ended", err)
	}
	first.Close()
	second, err := c.lock(context.Background(), "x.lock")
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
}
