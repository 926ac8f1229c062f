// Package deps_test keeps what the programs may link, and how large they may get. A start pays for each package that the
// engine links, and each boot for those of the generator.
package deps_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/berth-pods/berth"
	tags   = "containers_image_openpgp exclude_graphdriver_zfs"
)

// run runs a go command in the module's root and returns its lines.
func run(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		message := ""
		if exit, ok := err.(*exec.ExitError); ok {
			message = string(exit.Stderr)
		}
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, message)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// linked lists what a program links.
func linked(t *testing.T, program string) []string {
	t.Helper()
	return run(t, "list", "-deps", "-tags", tags, "./"+program)
}

// below reports whether a package is root or below it.
func below(pkg, root string) bool { return pkg == root || strings.HasPrefix(pkg, root+"/") }

// matching returns the packages that are below one of the roots.
func matching(packages []string, roots ...string) []string {
	return slices.DeleteFunc(slices.Clone(packages), func(p string) bool {
		return !slices.ContainsFunc(roots, func(root string) bool { return below(p, root) })
	})
}

// outside returns the packages that are neither Go's own nor one of those allowed.
func outside(packages []string, allowed ...string) []string {
	return slices.DeleteFunc(slices.Clone(packages), func(p string) bool {
		first, _, _ := strings.Cut(p, "/")
		return !strings.Contains(first, ".") || strings.HasPrefix(p, "vendor/") || slices.Contains(allowed, p)
	})
}

// heavy is what costs the engine's start-up too much.
var heavy = []string{"go.podman.io/image", "k8s.io", "sigs.k8s.io", module + "/kube"}

func TestEngineIsLight(t *testing.T) {
	if found := matching(linked(t, "engine/berth"), heavy...); len(found) > 0 {
		t.Errorf("berth links %s", strings.Join(found, " "))
	}
	// The negative control: where they are linked they are seen.
	if found := matching(linked(t, "engine/image/berth-image"), heavy...); !slices.Contains(found, "go.podman.io/image/v5/copy") {
		t.Errorf("the check does not see that berth-image links image/v5: %v", found)
	}
}

// generatorPackages are all of ours that the generator may link.
var generatorPackages = []string{
	module + "/units", module + "/units/unitfile", module + "/generator", module + "/generator/sources", module + "/generator/berth-generator", module + "/installed",
}

func TestGeneratorStandsAlone(t *testing.T) {
	if found := outside(linked(t, "generator/berth-generator"), generatorPackages...); len(found) > 0 {
		t.Errorf("berth-generator links %s", strings.Join(found, " "))
	}
	found := outside(linked(t, "engine/berth"), generatorPackages...)
	if !slices.Contains(found, module+"/engine") || !slices.Contains(found, "github.com/spf13/pflag") {
		t.Errorf("the check does not see what berth links: %v", found)
	}
}

func TestKeeperIsSmall(t *testing.T) {
	allowed := []string{module + "/engine/keeper", module + "/engine/cgroup", module + "/engine/events", module + "/engine/userns", module + "/engine/keeper/berth-keeper", "golang.org/x/sys/unix"}
	linkedByKeeper := linked(t, "engine/keeper/berth-keeper")
	if found := append(outside(linkedByKeeper, allowed...), matching(linkedByKeeper, "net", "text/template")...); len(found) > 0 {
		t.Errorf("berth-keeper links %s", strings.Join(found, " "))
	}
	if found := outside(linked(t, "engine/berth"), allowed...); !slices.Contains(found, module+"/engine") {
		t.Errorf("the check does not see what berth links: %v", found)
	}
}

// homes are the packages that one outside package is for. Tests may use more.
var homes = map[string][]string{
	"github.com/opencontainers/selinux": {"engine/selinux"},
	"go.podman.io/storage":              {"engine/store", "engine/image"},
	"go.podman.io/image":                {"engine/image"},
	"github.com/containers/ocicrypt":    {"engine/image"},
	"go.podman.io/common":               {},
	"github.com/coreos/go-systemd":      {"engine/sd", "engine/keeper"},
	"github.com/godbus/dbus":            {"engine/sd"},
	"k8s.io":                            {"kube"},
	"sigs.k8s.io":                       {"kube"},
	"github.com/BurntSushi/toml":        {"engine/config"},
	"github.com/spf13/pflag":            {"engine/cli", "engine/image/verb", "engine/image/berth-image", "kube/berth-kube"},
	"github.com/containers/podman":      {},
	"github.com/opencontainers/runc":    {},
}

// strays lists the imports that are not at home; imports maps a package to what it imports.
func strays(imports map[string][]string) []string {
	var list []string
	for pkg, imported := range imports {
		for root, allowed := range homes {
			found := matching(imported, root)
			ours := slices.ContainsFunc(allowed, func(home string) bool { return below(pkg, module+"/"+home) })
			if len(found) > 0 && !ours {
				list = append(list, fmt.Sprintf("%s imports %s, whose home is %v", pkg, found[0], allowed))
			}
		}
	}
	slices.Sort(list)
	return list
}

func TestEachOutsidePackageHasAHome(t *testing.T) {
	imports := map[string][]string{}
	for _, line := range run(t, "list", "-tags", tags, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...") {
		words := strings.Fields(line)
		imports[words[0]] = words[1:]
	}
	for _, s := range strays(imports) {
		t.Error(s)
	}
	if len(matching(imports[module+"/engine/store"], "go.podman.io/storage")) == 0 {
		t.Error("engine/store does not import storage: the list of imports is wrong")
	}
	planted := map[string][]string{
		module + "/engine":            {"fmt", "go.podman.io/storage/pkg/archive"},
		module + "/engine/storefront": {"go.podman.io/storage"},
		module + "/engine/store":      {"go.podman.io/storage"},
		module + "/units":             {"k8s.io/api/core/v1"},
	}
	if got := strays(planted); len(got) != 3 {
		t.Errorf("of three planted strays the check saw %v", got)
	}
}

// TestLanguageDoesNotKnowTheEngine: imports run one way.
func TestLanguageDoesNotKnowTheEngine(t *testing.T) {
	for _, pkg := range []string{"units", "units/unitfile", "generator"} {
		if found := matching(linked(t, pkg), module+"/engine", module+"/kube"); len(found) > 0 {
			t.Errorf("%s knows %v", pkg, found)
		}
	}
	if found := matching(linked(t, "engine/spec"), "os/exec", "net/http", module+"/engine/proc"); len(found) > 0 {
		t.Errorf("engine/spec is to be pure, and links %v", found)
	}
	if found := matching(linked(t, "engine/cli"), module+"/engine"); len(found) < 5 {
		t.Errorf("the check does not see what engine/cli knows: %v", found)
	}
}

// TestClock: who holds a lock or a lease is decided without the clock, which may be years off or be set meanwhile. A timer does
// not look at it.
func TestClock(t *testing.T) {
	reads := regexp.MustCompile(`\btime\.(Now|Since|Until)\b`)
	uses := func(pkg string) bool {
		return slices.ContainsFunc(run(t, "list", "-f", `{{range .GoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}`, "-tags", tags, "./"+pkg), func(file string) bool {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Error(err)
			}
			return reads.Match(text)
		})
	}
	for _, pkg := range []string{"engine/lease", "engine/atomicfile"} {
		if uses(pkg) {
			t.Errorf("%s asks for the time", pkg)
		}
	}
	if !uses("engine/store") {
		t.Error("the check does not see who asks for the time")
	}
}

// overweight returns a sentence for a file above its budget of so many MB (10^6 bytes), "" for one within.
func overweight(file string, budget float64) (string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	if mb := float64(info.Size()) / 1e6; mb > budget {
		return fmt.Sprintf("%s has %.2f MB; its budget is %.0f MB", filepath.Base(file), mb, budget), nil
	}
	return "", nil
}

func TestSizes(t *testing.T) {
	dir := t.TempDir()
	for program, budget := range map[string]float64{"generator/berth-generator": 3, "engine/berth": 12, "engine/keeper/berth-keeper": 4, "engine/usernet/berth-net": 4} {
		file := filepath.Join(dir, filepath.Base(program))
		run(t, "build", "-trimpath", "-buildvcs=false", "-tags", tags, "-gcflags", module+"/engine/cli=-l", "-gcflags", module+"/engine/spec=-l", "-gcflags", module+"/engine/network=-l", "-gcflags", module+"/engine/rootless=-l", "-gcflags", module+"/engine/autoupdate=-l", "-gcflags", module+"/engine/store=-l", "-gcflags", module+"/engine/format=-l", "-gcflags", module+"/generator=-l", "-gcflags", module+"/engine=-l", "-ldflags", "-s -w", "-o", file, "./"+program)
		complaint, err := overweight(file, budget)
		if err != nil {
			t.Fatal(err)
		}
		if complaint != "" {
			t.Error(complaint)
		}
		if complaint, _ := overweight(file, 0.5); complaint == "" {
			t.Errorf("%s passes a budget of half a megabyte: the check cannot fail", program)
		}
		info, _ := os.Stat(file)
		t.Logf("%s: %.2f MB of %.0f", program, float64(info.Size())/1e6, budget)
	}
}
