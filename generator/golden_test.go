package generator

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/berth-pods/berth/units"
	"github.com/berth-pods/berth/units/unitfile"
)

var update = flag.Bool("update", false, "write the golden files anew")

// archive is a text file with several files in it, each after a line "-- NAME --".
type archive struct {
	comment string
	files   []archived
}

type archived struct{ name, text string }

func parseArchive(text string) archive {
	var a archive
	into := &a.comment
	for line := range strings.Lines(text) {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "-- ")
		name, ok2 := strings.CutSuffix(name, " --")
		if ok && ok2 {
			a.files = append(a.files, archived{name: name})
			into = &a.files[len(a.files)-1].text
			continue
		}
		*into += line
	}
	return a
}

func (a archive) String() string {
	text := a.comment
	for _, f := range a.files {
		text += "-- " + f.name + " --\n" + f.text
	}
	return text
}

const goldenDir = "/etc/containers/systemd/"

// input makes a set of the files that are not results: NAME is a unit file, DIR.d/NAME a drop-in.
func (a archive) input() Set {
	set := Set{Dropins: map[string][]Source{}}
	for _, f := range a.files {
		dir, name, isDropin := strings.Cut(f.name, "/")
		switch {
		case strings.HasPrefix(f.name, "out/"):
		case isDropin:
			set.Dropins[dir] = append(set.Dropins[dir], Source{Name: name, Path: goldenDir + f.name, Text: f.text})
		default:
			set.Files = append(set.Files, goldenSource(f))
		}
	}
	return set
}

func goldenSource(f archived) Source {
	s := Source{Name: f.name, Path: goldenDir + f.name, Text: f.text}
	if problem, ok := strings.CutPrefix(f.text, "PROBLEM "); ok {
		s.Text, s.Problem = "", strings.TrimSpace(problem)
	}
	if f.text == "MASKED\n" {
		s.Text, s.Masked = "", true
	}
	return s
}

// config reads lines "# user", "# existing: web.service" and "# device: /dev/null" of an archive's comment.
func (a archive) config() Config {
	cfg := Config{Engine: "/usr/bin/berth", Reporter: "/usr/lib/systemd/system-generators/berth-generator"}
	var devices, existing []string
	for line := range strings.Lines(a.comment) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "# user":
			cfg.User = true
		case "# device":
			devices = append(devices, value)
		case "# existing":
			existing = append(existing, value)
		}
	}
	cfg.DeviceExists = func(path string) bool { return slices.Contains(devices, path) }
	cfg.Existing = func(unit string) string {
		if slices.Contains(existing, unit) {
			return "/usr/lib/systemd/system/" + unit
		}
		return ""
	}
	return cfg
}

// generateArchive returns the archive with its results made anew.
func generateArchive(a archive) archive {
	result := archive{comment: a.comment}
	for _, f := range a.files {
		if !strings.HasPrefix(f.name, "out/") {
			result.files = append(result.files, f)
		}
	}
	var findings, links strings.Builder
	Generate(a.config(), a.input(), func(out *Output) {
		for _, f := range out.Findings {
			findings.WriteString(f.Severity.String() + ": " + f.String() + "\n")
		}
		if out.Name != "" {
			result.files = append(result.files, archived{"out/" + out.Name, string(out.Text)})
		}
		for _, unit := range append([]Output{{Links: out.Links}}, out.Also...) {
			if unit.Name != "" {
				result.files = append(result.files, archived{"out/" + unit.Name, string(unit.Text)})
			}
			for _, l := range unit.Links {
				links.WriteString(l.Name + " -> " + l.Target + "\n")
			}
		}
	})
	if links.Len() > 0 {
		result.files = append(result.files, archived{"out/LINKS", links.String()})
	}
	if findings.Len() > 0 {
		result.files = append(result.files, archived{"out/FINDINGS", findings.String()})
	}
	return result
}

func goldenFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	return files
}

func TestGolden(t *testing.T) {
	for _, path := range goldenFiles(t) {
		t.Run(strings.TrimPrefix(path, "testdata/"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := generateArchive(parseArchive(string(text))).String()
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(text) {
				t.Errorf("differs; run with -update and read the diff:\n%s", firstDifference(string(text), got))
			}
		})
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return "want " + w[i] + "\n got " + g[i]
		}
	}
	return "one is longer"
}

// TestGoldenCoversKeys: a row of the table without a golden case is a row nobody has looked at.
func TestGoldenCoversKeys(t *testing.T) {
	covered := map[string]bool{}
	for _, path := range goldenFiles(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range parseArchive(string(text)).input().Files {
			file, _ := unitfile.Parse(s.Path, s.Text)
			for _, section := range file.Sections {
				for _, e := range section.Entries {
					covered[section.Name+"."+e.Key] = true
				}
			}
		}
	}
	for _, kind := range append(units.Kinds[:], units.KindQuadlet, units.KindBerth) {
		for _, row := range units.RowsOf(kind) {
			if name := kind.String() + "." + row.Name; !covered[name] {
				t.Errorf("no golden case for %s", name)
			}
		}
	}
}

// TestGoldenRoundTrip: what is written is read back as the same directives, and writing it again gives the same bytes.
func TestGoldenRoundTrip(t *testing.T) {
	for _, path := range goldenFiles(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range parseArchive(string(text)).files {
			if !strings.HasSuffix(f.name, ".service") {
				continue
			}
			parsed, errs := unitfile.Parse(f.name, f.text)
			if len(errs) > 0 {
				t.Errorf("%s: %s: %v", path, f.name, errs[0])
			}
			if again := parsed.String(); again != f.text {
				t.Errorf("%s: %s: written again it differs: %s", path, f.name, firstDifference(f.text, again))
			}
		}
	}
}
