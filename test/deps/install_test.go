package deps_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/berth-pods/berth/engine/atomicfile"
)

// Programs that are installed elsewhere know it: the units call the engine that lies beside.
func TestPrefix(t *testing.T) {
	plan, err := exec.Command("make", "-n", "-C", "../..", "build", "PREFIX=/opt/berth").Output()
	if err != nil {
		t.Fatal(err)
	}
	flags := regexp.MustCompile(`-ldflags '([^']*)' -o bin/berth-generator `).FindSubmatch(plan)
	if flags == nil {
		t.Fatalf("the generator is not built:\n%s", plan)
	}
	dir := t.TempDir()
	program, units := filepath.Join(dir, "berth-generator"), filepath.Join(dir, "units")
	run(t, "build", "-ldflags", string(flags[1]), "-o", program, "./generator/berth-generator")
	if err := os.Mkdir(units, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(units, "web.container"), []byte("[Container]\nImage=localhost/web\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-dryrun")
	cmd.Env = []string{"QUADLET_UNIT_DIRS=" + units}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "\nExecStart=/opt/berth/bin/berth run ") {
		t.Errorf("the unit does not call it:\n%s", out)
	}
}

// TestInstallAtOnce: what one `make install` renders into bin another one may be about to copy.
func TestInstallAtOnce(t *testing.T) {
	file, err := os.Open("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := atomicfile.Lock(file); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("make", "-n", "-C", "../..", "install")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for !waits(t, cmd.Process.Pid) {
		select {
		case err := <-ended:
			t.Fatalf("it did not wait: %v\n%s", err, out.String())
		case <-time.After(time.Millisecond):
		}
	}
	file.Close()
	if err := <-ended; err != nil || !strings.Contains(out.String(), "/berth-system-generator") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// waits tells whether a child of a process waits for a lock (proc_locks(5)).
func waits(t *testing.T, parent int) bool {
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`-> FLOCK +ADVISORY +WRITE ([0-9]+) `).FindAllSubmatch(locks, -1) {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%s/stat", m[1]))
		if strings.Contains(string(stat), fmt.Sprintf(" (flock) S %d ", parent)) {
			return true
		}
	}
	return false
}
