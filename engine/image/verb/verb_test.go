package verb

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden file anew")

// The help text of everything is kept, so that a change of the table is seen as what users will see.
func TestHelp(t *testing.T) {
	var b bytes.Buffer
	Overview(&b, "berth", Table(), Global())
	for _, v := range Table() {
		b.WriteString("\n== " + v.Name + "\n")
		Help(&b, "berth", v)
	}
	golden := filepath.Join("testdata", "help.txt")
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, b.Bytes()) {
		t.Errorf("the help text has changed; run with -update and read the difference\n%s", b.String())
	}
}

func TestTableIsComplete(t *testing.T) {
	spellings := map[string]string{}
	for _, v := range Table() {
		for _, s := range append([]string{v.Name}, v.Aliases...) {
			if spellings[s] != "" {
				t.Errorf("%q means both %s and %s", s, spellings[s], v.Name)
			}
			spellings[s] = v.Name
		}
		if !strings.HasSuffix(v.Doc, ".") {
			t.Errorf("%s: its text is no sentence: %q", v.Name, v.Doc)
		}
		checkFlags(t, v.Name, v.Flags)
	}
	checkFlags(t, "before the verb", Global())
}

var lower = regexp.MustCompile(`^[a-z][a-z-]+$`)

func checkFlags(t *testing.T, where string, all []Flag) {
	seen := map[string]bool{}
	for _, f := range all {
		if !lower.MatchString(f.Name) || seen[f.Name] || (f.Short != "" && seen[f.Short]) || len(f.Short) > 1 {
			t.Errorf("%s: bad or double flag %q %q", where, f.Name, f.Short)
		}
		seen[f.Name] = true
		if f.Short != "" {
			seen[f.Short] = true
		}
		if f.Doc == "" {
			t.Errorf("%s: --%s has no text", where, f.Name)
		}
		if takesValue := f.Kind != Bool && f.Kind != Tristate; takesValue != (f.Value != "") {
			t.Errorf("%s: --%s: value name %q does not fit its kind", where, f.Name, f.Value)
		}
	}
}

func TestFind(t *testing.T) {
	for typed, want := range map[string]string{
		"pull x":           "pull [x]",
		"image pull x":     "pull [x]",
		"image ls":         "images []",
		"images -q":        "images [-q]",
		"image inspect a":  "image inspect [a]",
		"image":            "unrecognized command `berth image`; `berth --help` lists the commands",
		"image nonsense x": "unrecognized command `berth image nonsense`; `berth image --help` lists the commands",
		"":                 "no verb given",
	} {
		v, rest, err := Find(Table(), strings.Fields(typed))
		got := v.Name + " [" + strings.Join(rest, " ") + "]"
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("Find(%q) = %q, want %q", typed, got, want)
		}
	}
}
