package deps_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
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
