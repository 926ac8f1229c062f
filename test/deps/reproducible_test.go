package deps_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestReproducible: the same source gives the same bytes, whatever the folder it lies in. Here two programs stand for all, and
// what earlier builds have compiled is used; `make reproducible` builds each program, one side from nothing.
func TestReproducible(t *testing.T) {
	programs, fresh := []string{"generator/berth-generator", "engine/berth"}, ""
	all := os.Getenv("BERTH_REPRODUCE") == "all"
	if all {
		programs = append(programs, "engine/image/berth-image", "engine/fetch/berth-fetch", "engine/keeper/berth-keeper")
		fresh = t.TempDir()
	}
	here, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	there := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Mkdir(there, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go.mod", "go.sum", "engine", "generator", "installed", "units", "kube"} {
		if _, err := os.Stat(filepath.Join(here, name)); err != nil {
			continue
		}
		if out, err := exec.Command("cp", "-a", filepath.Join(here, name), there).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for _, program := range programs {
		a, b := built(t, here, program, "", "-trimpath"), built(t, there, program, fresh, "-trimpath")
		if !bytes.Equal(a, b) {
			t.Errorf("%s: %d and %d bytes that differ", program, len(a), len(b))
		}
	}
	// The control: without -trimpath the folder shows.
	if all && bytes.Equal(built(t, here, programs[0], ""), built(t, there, programs[0], "")) {
		t.Error("the folder makes no difference at all, so this shows nothing")
	}
}

// built is a program as the Makefile builds it; from nothing where a cache of its own is given.
func built(t *testing.T, root, program, cache string, flags ...string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	cmd := exec.Command("go", append([]string{"build", "-buildvcs=false", "-tags", tags, "-ldflags", "-s -w", "-o", file}, append(flags, "./"+program)...)...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if cache != "" {
		cmd.Env = append(cmd.Env, "GOCACHE="+cache)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", program, err, out)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
