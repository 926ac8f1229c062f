package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func completionScript(t *testing.T, shell string) string {
	t.Helper()
	var out bytes.Buffer
	if err := runCompletion(t.Context(), &Env{Out: &out}, []string{shell}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestCompletionSyntax lets each shell read its script.
func TestCompletionSyntax(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		t.Run(shell, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "berth")
			if err := os.WriteFile(path, []byte(completionScript(t, shell)), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := exec.LookPath(shell); err != nil {
				t.Skipf("%s is not installed", shell)
			}
			if out, err := exec.Command(shell, "-n", path).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestBashCompletion asks bash what it would offer. The last word is the one that is being typed.
func TestBashCompletion(t *testing.T) {
	script := filepath.Join(t.TempDir(), "berth")
	if err := os.WriteFile(script, []byte(completionScript(t, "bash")), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ typed, want string }{
		{"berth ru", "run"},
		{"berth comp", "completion"},
		{"berth quadlet l", "list ls"},
		{"berth quadlet r", "rm"},
		{"berth image l", "load ls list"},
		{"berth quadlet rm --f", "--force"},
		{"berth rm --vol", "--volumes"},
		{"berth lint --t", "--target"},
		{"berth images --no-t", "--no-trunc"},
		{"berth lint some.cont", ""}, // paths are the shell's
		{"berth nothing --x", ""},
	} {
		words := strings.Fields(c.typed)
		code := `source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); _berth; echo "${COMPREPLY[*]}"`
		out, err := exec.Command("bash", append([]string{"-c", code, script}, words...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(string(out)); got != c.want {
			t.Errorf("%q offers %q, want %q", c.typed, got, c.want)
		}
	}
}

// TestCompletionHasAll: every command and every flag is offered by every shell.
func TestCompletionHasAll(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		script := completionScript(t, shell)
		for _, c := range Commands() {
			words := strings.Fields(c.Name)
			if !strings.Contains(script, words[len(words)-1]) {
				t.Errorf("%s lacks %s", shell, c.Name)
			}
			for _, f := range c.Flags {
				spelling := "--" + f.Name
				if shell == "fish" {
					spelling = "-l " + f.Name
				}
				if !strings.Contains(script, spelling) {
					t.Errorf("%s lacks %s of %s", shell, spelling, c.Name)
				}
			}
		}
	}
}

// TestCommands: what is printed of commands is there, and names are said once.
func TestCommands(t *testing.T) {
	var seen []string
	for _, c := range Commands() {
		for _, name := range c.spellings() {
			if slices.Contains(seen, name) {
				t.Errorf("%q stands twice", name)
			}
			seen = append(seen, name)
		}
		if c.Summary == "" || strings.HasSuffix(c.Summary, ".") {
			t.Errorf("summary of %s: %q", c.Name, c.Summary)
		}
		for _, f := range c.Flags {
			if f.Doc == "" {
				t.Errorf("--%s of %s has no text", f.Name, c.Name)
			}
		}
	}
	if len(seen) < 20 {
		t.Errorf("only %d commands", len(seen))
	}
}

func TestCompletionUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"tcsh"}, {"bash", "zsh"}} {
		if err := runCompletion(t.Context(), &Env{Out: &bytes.Buffer{}}, args); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
