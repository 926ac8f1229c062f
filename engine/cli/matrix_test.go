package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	scripts  = "../../test/e2e/scripts"
	flagRows = scripts + "/50-flags.table"
)

// matrixRow is a row of 50-flags.table, which explains the columns.
type matrixRow struct{ flag, where, args, command, want string }

func matrix(t *testing.T) []matrixRow {
	t.Helper()
	text, err := os.ReadFile(flagRows)
	if err != nil {
		t.Fatal(err)
	}
	var rows []matrixRow
	for _, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.SplitN(line, "|", 5)
		if len(f) != 5 {
			t.Errorf("%s: %q has %d columns of 5", flagRows, line, len(f))
			continue
		}
		for i := range f {
			f[i] = strings.TrimSpace(f[i])
		}
		rows = append(rows, matrixRow{strings.TrimPrefix(f[0], "="), f[1], f[2], f[3], f[4]})
	}
	return rows
}

// uncovered lists the flags that no row is about.
func uncovered(flags []runFlag, rows []matrixRow) []string {
	var list []string
	for _, f := range flags {
		if !slices.ContainsFunc(rows, func(r matrixRow) bool { return r.flag == f.name }) {
			list = append(list, f.name)
		}
	}
	return list
}

// TestEveryFlagHasATest: what a flag does is seen from inside a container by a row of 50-flags.table, or the row names the
// script or the test that shows it.
func TestEveryFlagHasATest(t *testing.T) {
	rows := matrix(t)
	for _, name := range uncovered(runFlags, rows) {
		t.Errorf("--%s has no row in %s: add what it does to a container, or which script or test shows it (WHERE is elsewhere)", name, filepath.Base(flagRows))
	}
	if got := uncovered(append([]runFlag{{name: "planted"}}, runFlags...), rows); !slices.Contains(got, "planted") {
		t.Error("a flag without a row is not seen")
	}
	places := []string{"any", "crun", "runc", "vm", "vm-crun", "vm-runc", "nspawn", "elsewhere"}
	tests := testNames(t)
	for _, r := range rows {
		if !slices.ContainsFunc(runFlags, func(f runFlag) bool { return f.name == r.flag }) {
			t.Errorf("there is a row for --%s, but no such flag", r.flag)
			continue
		}
		switch {
		case !slices.Contains(places, r.where):
			t.Errorf("--%s: %q is none of %v", r.flag, r.where, places)
		case r.where != "elsewhere":
			if !strings.Contains(r.args, "--"+r.flag) && !strings.Contains(r.args, "-") || r.want == "" {
				t.Errorf("--%s: the row does not use the flag, or expects nothing: %+v", r.flag, r)
			}
			if _, err := regexp.CompilePOSIX(strings.ReplaceAll(r.want, `\b`, "")); err != nil {
				t.Errorf("--%s: %v", r.flag, err)
			}
		case strings.HasSuffix(r.command, ".sh"):
			text, err := os.ReadFile(filepath.Join(scripts, r.command))
			if err != nil || !strings.Contains(plain(string(text)), plain(r.flag)) {
				t.Errorf("--%s: %s does not speak of it, nor of its key (%v)", r.flag, r.command, err)
			}
		case !slices.Contains(tests, r.command):
			t.Errorf("--%s: there is no test %q", r.flag, r.command)
		}
	}
}

// plain is a text without what flags and keys differ in: --health-cmd and HealthCmd=.
func plain(text string) string { return strings.ToLower(strings.ReplaceAll(text, "-", "")) }

// testNames lists the tests of the engine.
func testNames(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("grep", "-rhoE", "--include=*_test.go", "^func Test[A-Za-z0-9]+", "..").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(strings.ReplaceAll(string(out), "func ", ""))
}
