// Package stacks has no code of its own: its test translates and checks the unit files below this directory.
package stacks

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/berth-pods/berth/generator"
	"github.com/berth-pods/berth/generator/sources"
	"github.com/berth-pods/berth/units"
)

// enough is how many unit files there are to be at least.
const enough = 60

// userStacks are for users' managers.
var userStacks = []string{"rootless", "syncthing"}

// Each stack is correct when it is the only one, each of its files becomes a unit, and each drop-in is read.
func TestStacks(t *testing.T) {
	total := 0
	for _, name := range stacks(t) {
		t.Run(name, func(t *testing.T) {
			onDisk, dropins := unitFiles(t, name)
			set := read(t, name)
			if len(set.Files) != len(onDisk) || countDropins(set) != len(dropins) {
				t.Errorf("read %d files and %d drop-ins of %q and %q", len(set.Files), countDropins(set), onDisk, dropins)
			}
			checkClean(t, name, set)
			total += len(onDisk)
		})
	}
	if t.Logf("%d unit files", total); total < enough {
		t.Errorf("%d unit files, want %d", total, enough)
	}
}

// All stacks together have no name twice.
func TestAllStacksTogether(t *testing.T) {
	checkClean(t, "", read(t, "."))
}

func checkClean(t *testing.T, name string, set generator.Set) {
	t.Helper()
	cfg := generator.Config{User: slices.Contains(userStacks, name), Engine: "/usr/bin/berth", Reporter: "/usr/lib/berth/berth-generator"}
	for _, f := range generator.Findings(cfg, set) {
		t.Errorf("finding: %s", f)
	}
	from, made := map[string]bool{}, map[string]string{}
	generator.Generate(cfg, set, func(out *generator.Output) {
		for _, f := range out.Findings {
			t.Errorf("finding of the generator: %s", f)
		}
		if out.Name == "" || out.Stub || len(out.Text) == 0 {
			t.Errorf("%s becomes no unit", out.Source)
		}
		if by := made[out.Name]; by != "" {
			t.Errorf("%s is made of %s and of %s", out.Name, by, out.Source)
		}
		from[out.Source], made[out.Name] = true, out.Source
	})
	if len(made) != len(set.Files) {
		t.Errorf("%d units of %d files", len(made), len(set.Files))
	}
	for _, f := range set.Files {
		if !from[f.Path] {
			t.Errorf("%s yields nothing", f.Path)
		}
	}
}

var (
	imageKey  = regexp.MustCompile(`(?m)^Image=(.*)$`)
	secretKey = regexp.MustCompile(`(?m)^Secret=([^,\s]+)`)
	besideKey = regexp.MustCompile(`(?m)^(?:Volume|EnvironmentFile|File)=\./([^:\s]+)`)
	// pinned is a full name with a tag; those that a registry may move are no pins.
	pinned = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+/[^:]+:[^:]+$`)
)

// What a file speaks of is there: a README that names its secrets, files beside it, images with a tag.
func TestStacksAreComplete(t *testing.T) {
	for _, name := range stacks(t) {
		readme, err := os.ReadFile(filepath.Join(name, "README.md"))
		if err != nil {
			t.Error(err)
		}
		files, _ := unitFiles(t, name)
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range imageKey.FindAllSubmatch(text, -1) {
				if image := string(m[1]); units.KindOf(image) == 0 && (!pinned.MatchString(image) || strings.HasSuffix(image, ":latest")) {
					t.Errorf("%s: Image=%s is not pinned", file, image)
				}
			}
			for _, m := range secretKey.FindAllSubmatch(text, -1) {
				if !strings.Contains(string(readme), "podman secret create "+string(m[1])+" ") {
					t.Errorf("%s: the README does not tell how to make the secret %s", file, m[1])
				}
			}
			for _, m := range besideKey.FindAllSubmatch(text, -1) {
				if _, err := os.Stat(filepath.Join(name, string(m[1]))); err != nil {
					t.Errorf("%s: %v", file, err)
				}
			}
		}
	}
}

// A mistake planted in a copy of a stack is found where it is: the tests above are not blind.
func TestPlantedMistakes(t *testing.T) {
	for _, c := range []struct{ name, file, old, new, want string }{
		{"key", "nextcloud/nextcloud.container", "PublishPort=", "Publishport=", "unknown key Publishport="},
		{"network", "nextcloud/nextcloud.container", "Network=nextcloud-back.network", "Network=back.network", "back.network"},
		{"dependency", "nextcloud/nextcloud.container", "After=nextcloud-db.container", "After=database.container", "database.container"},
		{"pod", "wordpress/wordpress-php.container", "Pod=wordpress.pod", "Pod=word.pod", "word.pod"},
		{"working directory", "build/notes.build", "File=./Containerfile\nSetWorkingDirectory=unit", "File=./Containerfile", "relative path in File"},
		{"short name", "jellyfin/jellyfin.container", "Image=docker.io/jellyfin/", "Image=jellyfin/", "jellyfin/jellyfin"},
		{"boolean", "pihole/pihole.network", "DisableDNS=yes", "DisableDNS=yees", "yees"},
		{"drop-in", "appliance/gateway.container.d/50-site.conf", "Environment=", "Enviroment=", "unknown key Enviroment="},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			stack, inStack, _ := strings.Cut(c.file, "/")
			if err := os.CopyFS(dir, os.DirFS(stack)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, inStack)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			before, _, found := strings.Cut(string(text), c.old)
			if !found {
				t.Fatalf("%s has no %s", c.file, c.old)
			}
			planted := strings.Replace(string(text), c.old, c.new, 1)
			if err := os.WriteFile(path, []byte(planted), 0o644); err != nil {
				t.Fatal(err)
			}
			line := int32(strings.Count(before, "\n") + 1)
			findings := generator.Findings(generator.Config{}, read(t, dir))
			if !slices.ContainsFunc(findings, func(f units.Finding) bool {
				return f.At.Path == path && f.At.Line == line && strings.Contains(f.Message, c.want)
			}) {
				t.Errorf("findings %v, want %q in %s:%d", findings, c.want, path, line)
			}
		})
	}
}

func stacks(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// unitFiles walks a directory itself, so that what the generator's own search passes over is noticed.
func unitFiles(t *testing.T, dir string) (files, dropins []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil || e.IsDir():
		case units.KindOf(path) != 0:
			files = append(files, path)
		case strings.HasSuffix(filepath.Dir(path), ".d"):
			dropins = append(dropins, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, dropins
}

func read(t *testing.T, dir string) generator.Set {
	t.Helper()
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	set, errs := sources.Search{Paths: []string{dir}, LeaveOut: func(string) bool { return false }}.Read(nil)
	for _, err := range errs {
		t.Error(err)
	}
	for _, f := range set.Files {
		if f.Problem != "" || f.Masked {
			t.Errorf("%s %s", f.Path, f.Problem)
		}
	}
	return set
}

func countDropins(set generator.Set) (n int) {
	for _, list := range set.Dropins {
		n += len(list)
	}
	return n
}
