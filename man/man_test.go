package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/berth-pods/berth/engine/cli"
	"github.com/berth-pods/berth/units"
)

func allPages() []Page { return Pages(cli.Commands(), units.Keys[:]) }

var pagesByFile = sync.OnceValue(func() map[string]string {
	texts := map[string]string{}
	for _, p := range allPages() {
		texts[p.File()] = p.Text
	}
	return texts
})

func page(t *testing.T, file string) string {
	t.Helper()
	text, ok := pagesByFile()[file]
	if !ok {
		t.Fatalf("there is no page %s", file)
	}
	return text
}

// TestSameBytes: what is made twice is the same.
func TestSameBytes(t *testing.T) {
	if !slices.Equal(allPages(), allPages()) {
		t.Error("two runs differ")
	}
}

// TestCommandTexts: a command without a summary and a flag without a text cannot be explained.
func TestCommandTexts(t *testing.T) {
	for _, c := range cli.Commands() {
		if c.Summary == "" {
			t.Errorf("berth %s has no summary", c.Name)
		}
		if strings.Contains(c.Text, "\t") {
			t.Errorf("berth %s: an example is indented by four blanks, or its lines are run together", c.Name)
		}
		text := page(t, pageName(c.Name)+".1")
		for _, f := range c.Flags {
			if f.Doc == "" {
				t.Errorf("--%s of berth %s has no text", f.Name, c.Name)
			}
			if !strings.Contains(text, bold("--"+f.Name)) {
				t.Errorf("the page of %s lacks --%s", c.Name, f.Name)
			}
		}
		if !c.Group && !strings.Contains(page(t, "berth.1"), bold(pageName(c.Name))) {
			t.Errorf("berth.1 lacks %s", c.Name)
		}
	}
}

// TestKeyTexts: every key stands on the page in the section of each of its kinds, with its text and its release.
func TestKeyTexts(t *testing.T) {
	sections := map[string]string{}
	for _, s := range strings.Split(page(t, "berth.unit.5"), "\n.SH ")[1:] {
		title, text, _ := strings.Cut(s, "\n")
		sections[strings.Trim(title, `"`)] = text
	}
	for i := range units.Keys {
		row := &units.Keys[i]
		if row.Doc == "" || row.Since == "" {
			t.Errorf("%s= has no text or no release", row.Name)
		}
		for _, k := range sectionOrder {
			if row.Kinds&k == 0 {
				continue
			}
			title := "[" + escape(k.String()) + "]"
			if everyKind(row) {
				title = "KEYS OF ALL KINDS"
			}
			_, after, found := strings.Cut(sections[title], ".TP\n"+bold(row.Name+"=")+"\n")
			entry, _, _ := strings.Cut(after, "\n.")
			entry = strings.ReplaceAll(entry, "\n", " ")
			if !found || !strings.HasPrefix(entry, inline(row.Doc)) || !strings.Contains(entry, row.SinceIn(k)) && row.Since != "berth" {
				t.Errorf("%s= in %s: %q", row.Name, title, entry)
			}
		}
	}
	for _, k := range sectionOrder {
		if kindText[k] == "" {
			t.Errorf("[%s] has no text", k)
		}
	}
}

// TestGeneratorFlags: the page has the flags that the program takes, which a switch in its source says.
func TestGeneratorFlags(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "generator", "berth-generator", "flags.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var taken, written []string
	ast.Inspect(file, func(n ast.Node) bool {
		if c, ok := n.(*ast.CaseClause); ok {
			for _, e := range c.List {
				if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					name, _ := strconv.Unquote(lit.Value)
					taken = append(taken, "-"+name)
				}
			}
		}
		return true
	})
	for _, f := range generatorFlags {
		written = append(written, strings.Split(f[0], ", ")...)
	}
	taken = slices.DeleteFunc(taken, func(s string) bool { return s == "-report" }) // for its own stubs
	slices.Sort(taken)
	slices.Sort(written)
	if !slices.Equal(taken, written) {
		t.Errorf("the page has %v, the program takes %v", written, taken)
	}
}

func TestEscape(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`a\b`, `a\eb`}, {"--rm", `\-\-rm`}, {"it's", `it\(aqs`}, {"…", `\[u2026]`}, {"~^", `\(ti\(ha`},
	} {
		if got := escape(c.in); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
	if got := lines(".container files"); got != `\&.container files` {
		t.Errorf("a line that begins with a dot: %q", got)
	}
	if got := lines(strings.Repeat("word ", 20) + ".conf"); strings.Contains(got, "\n.") || strings.Count(got, "\n") != 1 {
		t.Errorf("a long line: %q", got)
	}
	if got := inline("see `berth ps`, don`t"); got != `see \(gaberth ps\(ga, don\(gat` {
		t.Errorf("an odd number of back quotes: %q", got)
	}
	if got := sentence("split: a cgroup below"); got != "split: a cgroup below." {
		t.Errorf("a name that begins a text: %q", got)
	}
}

// TestFormat lets the formatters that are installed read every page; neither may complain.
func TestFormat(t *testing.T) {
	for _, tool := range [][]string{{"mandoc", "-T", "lint", "-W", "style"}, {"groff", "-ww", "-man", "-Tutf8", "-z"}} {
		t.Run(tool[0], func(t *testing.T) {
			if _, err := exec.LookPath(tool[0]); err != nil {
				t.Skipf("%s is not installed", tool[0])
			}
			dir := t.TempDir()
			if err := write(dir, allPages()); err != nil {
				t.Fatal(err)
			}
			for _, p := range allPages() {
				cmd := exec.Command(tool[0], append(tool[1:], p.File())...)
				cmd.Dir = dir
				var said bytes.Buffer
				cmd.Stdout, cmd.Stderr = &said, &said
				if err := cmd.Run(); err != nil || said.Len() > 0 {
					t.Errorf("%s: %v\n%s", p.File(), err, said.String())
				}
			}
		})
	}
}

func TestWriteFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := write(file, allPages()); err == nil {
		t.Error("pages were written into a file")
	}
}
