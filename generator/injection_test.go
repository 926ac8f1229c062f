package generator

import (
	"slices"
	"strings"
	"testing"

	"github.com/berth-pods/berth/units"
	"github.com/berth-pods/berth/units/unitfile"
)

// The directives that the generator writes by itself.
var written = map[string][]string{
	"Unit": {"Description", "Wants", "After", "Before", "Requires", "BindsTo", "SourcePath", "RequiresMountsFor"},
	"Service": {"Environment", "KillMode", "ExecStop", "ExecStopPost", "ExecReload", "Delegate", "Type", "NotifyAccess", "SyslogIdentifier",
		"ExecStart", "ExecStartPre", "Restart", "PIDFile", "RemainAfterExit", "WorkingDirectory"},
}

// TestNoInjection: no value of any key becomes a directive of its own, ends a command or begins another one.
func TestNoInjection(t *testing.T) {
	base := map[units.Kind]string{
		units.KindContainer: "Image=docker.io/library/a\n", units.KindKube: "Yaml=a.yml\n", units.KindImage: "Image=docker.io/library/a\n",
		units.KindBuild: "ImageTag=localhost/a\nFile=/C\n", units.KindArtifact: "Artifact=quay.io/a/b\n",
	}
	values := []string{
		`x`, `\`, `\\`, `a\\`, `"`, `'`, `"a`, `a"b`, `;`, `a ; ExecStartPre=/bin/evil`, `"a\nExecStartPre=/bin/evil"`, `a\nb`, `%n`, `%`, `$X`, "a\u2028b", "a\u0085b", "a\u00a0",
		`[Service]`, `#x`, `--`, `-d`, `=`, `a=b`, `"a=b` + "\t" + `c"`, `/a b:/c`, `./x`, `../../x`, `x.volume`, `type=bind,source="/a b",dst=/c`, strings.Repeat("a", 5000),
		"a\x01b", "\x1b[2J", "a\x7f", `\x0aExecStartPre=/bin/evil`, `"\x0a[Service]\x0a"`,
	}
	for _, kind := range units.Kinds {
		for _, row := range units.RowsOf(kind) {
			for _, value := range values {
				name := "x" + kind.Extension()
				text := "[" + kind.String() + "]\n" + base[kind] + row.Name + "=" + value + "\n"
				set := Set{Files: []Source{{Name: name, Path: "/d/" + name, Text: text}, {Name: "x.volume", Path: "/d/x.volume"}}}
				Generate(Config{Engine: "/usr/bin/berth", Reporter: "/g"}, set, func(out *Output) {
					if out.Name != "" {
						checkDirectives(t, kind.String()+" "+row.Name+"="+value, out)
					}
				})
			}
		}
	}
}

func checkDirectives(t *testing.T, what string, out *Output) {
	t.Helper()
	unit, errs := unitfile.Parse(out.Name, string(out.Text))
	if len(errs) > 0 {
		t.Errorf("%.200s: %v", what, errs[0])
		return
	}
	if unit.String() != string(out.Text) {
		t.Errorf("%.200s: read again it differs", what)
	}
	for _, s := range unit.Sections {
		for _, e := range s.Entries {
			if strings.HasPrefix(s.Name, "X-") {
				continue
			}
			if !slices.Contains(written[s.Name], e.Key) {
				t.Errorf("%.200s: wrote %s= in [%s]", what, e.Key, s.Name)
			}
			if strings.HasPrefix(e.Key, "Exec") {
				checkCommand(t, what, e.Value)
			}
		}
	}
}

// checkCommand reads a command line as systemd does: one command of ours, with no lone semicolon.
func checkCommand(t *testing.T, what, line string) {
	t.Helper()
	words, err := unitfile.SplitArgs(line)
	if err != nil {
		t.Errorf("%.200s: %v in %s", what, err, line)
		return
	}
	if program := strings.TrimPrefix(words[0].Text, "-"); program != "/usr/bin/berth" && program != "/g" {
		t.Errorf("%.200s: runs %s", what, program)
	}
	for _, w := range words {
		if strings.HasPrefix(line[w.Off:], "; ") || line[w.Off:] == ";" {
			t.Errorf("%.200s: a semicolon ends the command in %s", what, line)
		}
	}
	for i := 0; i < len(line); i++ {
		if line[i] < ' ' && line[i] != '\t' || line[i] == 0x7f {
			t.Errorf("%.200s: control character in %q", what, line)
			return
		}
	}
}
