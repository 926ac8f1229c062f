package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/pflag"
	"golang.org/x/tools/txtar"

	"github.com/berth-pods/berth/engine/fetch"
	"github.com/berth-pods/berth/engine/proc"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden runs the commands of testdata/*.txtar. The comment of an archive has lines "$ berth WORD…", and lines that
// prepare: "unit: web.service active running" for systemd's answer, "no systemd", "link: PATH -> TARGET",
// "pipe: PATH", "large: PATH", "mkdir: PATH". "brief" leaves out of units what is the
// generator's matter. The files are laid out in a directory, W, of which units/ is the unit directory and usr/ another one after
// it; www/ is served as U. The file "output" is what comes of it, "tree" what lies in units/ at the end.
func TestGolden(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { golden(t, name) })
	}
}

func golden(t *testing.T, name string) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	name, err = filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, archive)
	var output strings.Builder
	for line := range strings.Lines(string(archive.Comment)) {
		w.line(strings.TrimSpace(line), &output)
	}
	got := &txtar.Archive{Comment: archive.Comment}
	for _, f := range archive.Files {
		if f.Name != "output" && f.Name != "tree" {
			got.Files = append(got.Files, f)
		}
	}
	got.Files = append(got.Files, txtar.File{Name: "output", Data: []byte(w.neutral(output.String()))})
	if strings.Contains(string(archive.Comment), "$ berth quadlet") {
		got.Files = append(got.Files, txtar.File{Name: "tree", Data: []byte(w.tree())})
	}
	text := txtar.Format(got)
	if *update {
		if err := os.WriteFile(name, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		t.Errorf("%s is different; run with -update and read the difference\n%s", filepath.Base(name), text)
	}
}

// world is the directory, the web server and the service manager of a test.
type world struct {
	t         *testing.T
	dir, url  string
	states    map[string]unitState
	noSystemd bool
	brief     bool
	said      []string // what systemctl was told
}

func newWorld(t *testing.T, archive *txtar.Archive) *world {
	w := &world{t: t, dir: t.TempDir(), states: map[string]unitState{}}
	for _, f := range archive.Files {
		if f.Name != "output" && f.Name != "tree" {
			w.write(f.Name, f.Data)
		}
	}
	server := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(w.dir, "www"))))
	t.Cleanup(server.Close)
	w.url = server.URL
	t.Chdir(w.dir)
	t.Setenv("QUADLET_UNIT_DIRS", w.dir+"/units:"+w.dir+"/usr")
	t.Setenv("PODMAN", "")
	t.Setenv("BERTH", "")
	return w
}

func (w *world) write(name string, data []byte) {
	w.t.Helper()
	at := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(at, data, 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) line(line string, output *strings.Builder) {
	w.t.Helper()
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "$":
		w.command(line, strings.Fields(strings.ReplaceAll(rest, "U/", w.url+"/"))[1:], output)
	case "unit:":
		words := strings.Fields(rest)
		w.states[words[0]] = unitState{"loaded", words[1], words[2]}
	case "brief":
		w.brief = true
	case "no":
		w.noSystemd = true
	case "link:":
		at, target, _ := strings.Cut(rest, " -> ")
		w.check(os.Symlink(target, filepath.Join(w.dir, at)))
	case "pipe:":
		w.check(syscall.Mkfifo(filepath.Join(w.dir, rest), 0o600))
	case "large:":
		w.write(rest, bytes.Repeat([]byte("# too much\n"), maxUnitSize/4))
	case "mkdir:":
		w.check(os.MkdirAll(filepath.Join(w.dir, rest), 0o755))
	case "#", "":
	default:
		w.t.Fatalf("unknown line %q", line)
	}
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// command runs a command line as Main does, and notes what it prints.
func (w *world) command(line string, args []string, output *strings.Builder) {
	var stdout, stderr bytes.Buffer
	env := &Env{In: strings.NewReader(""), Out: &stdout, Err: &stderr, Run: w.run}
	err := dispatch(context.Background(), env, args)
	status := 0
	var exit *ExitError
	switch {
	case err == nil, errors.Is(err, pflag.ErrHelp):
	case errors.As(err, &exit):
		status = exit.Code
		if exit.Err != nil {
			fmt.Fprintln(&stderr, "Error:", exit.Err)
		}
	default:
		status = statusFailed
		fmt.Fprintln(&stderr, "Error:", err)
	}
	fmt.Fprintln(output, line)
	for l := range strings.Lines(stdout.String()) {
		if !w.brief || toldBriefly(l) {
			output.WriteString(l)
		}
	}
	for l := range strings.Lines(stderr.String()) {
		output.WriteString("2> " + l)
	}
	for _, s := range w.said {
		fmt.Fprintln(output, "systemctl>", s)
	}
	w.said = nil
	if status != 0 {
		fmt.Fprintf(output, "status %d\n", status)
	}
	output.WriteString("\n")
}

// toldBriefly picks the lines of a unit that tell which it is.
func toldBriefly(line string) bool {
	for _, prefix := range []string{"---", "#", "Description=", "SourcePath=", "ExecStart="} {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}

// run stands for systemctl and berth-fetch.
func (w *world) run(ctx context.Context, c proc.Command) ([]byte, error) {
	switch filepath.Base(c.Path) {
	case "berth-fetch":
		f, err := fetch.Get(ctx, c.Args[0])
		if err != nil {
			return nil, &proc.ExitError{Program: "berth-fetch", Code: 1, Stderr: err.Error() + "\n"}
		}
		return append([]byte(f.Name+"\n"), f.Body...), nil
	case "systemctl":
		return w.systemctl(c.Args)
	}
	return nil, fmt.Errorf("unexpected program %s", c.Path)
}

func (w *world) systemctl(args []string) ([]byte, error) {
	if args[0] == "--user" {
		args = args[1:]
	}
	if w.noSystemd {
		return nil, &proc.ExitError{Program: "systemctl", Code: 1, Stderr: "System has not been booted with systemd as init system (PID 1). Can't operate.\n"}
	}
	if args[0] != "show" {
		w.said = append(w.said, strings.Join(args, " "))
		if args[0] == "stop" {
			for _, name := range args[2:] {
				w.states[name] = unitState{"loaded", "inactive", "dead"}
			}
		}
		return nil, nil
	}
	var blocks []string
	for _, pattern := range args[3:] {
		found := !strings.Contains(pattern, "*")
		s := w.states[pattern]
		for id, other := range w.states {
			if matches, _ := path.Match(pattern, id); matches && !found {
				blocks = append(blocks, block(id, other))
			}
		}
		if found {
			blocks = append(blocks, block(pattern, s))
		}
	}
	return []byte(strings.Join(blocks, "\n")), nil
}

func block(id string, s unitState) string {
	if s.load == "" {
		s = unitState{"not-found", "inactive", "dead"}
	}
	return fmt.Sprintf("Id=%s\nLoadState=%s\nActiveState=%s\nSubState=%s\n", id, s.load, s.active, s.sub)
}

// neutral takes what differs from run to run out of a text.
func (w *world) neutral(text string) string {
	text = strings.NewReplacer(w.url, "U", w.dir, "W").Replace(text)
	text = regexp.MustCompile(`(\S)  +`).ReplaceAllString(text, "$1  ") // the width of columns
	return strings.ReplaceAll(text, "  \n", "\n")
}

// tree lists the unit directory, lists of applications with what is in them.
func (w *world) tree() string {
	var b strings.Builder
	root := filepath.Join(w.dir, "units")
	err := filepath.WalkDir(root, func(at string, d fs.DirEntry, err error) error {
		if err != nil || at == root {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, at)
		fmt.Fprintf(&b, "%s %s", info.Mode(), name)
		if isTracking(d.Name()) {
			text, err := os.ReadFile(at)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %q", text)
		}
		b.WriteString("\n")
		return nil
	})
	w.check(err)
	return b.String()
}

// The examples are as they should be.
func TestLintExamples(t *testing.T) {
	if out, err := call("lint", "../../examples"); err != nil {
		t.Errorf("%s, %v", out, err)
	}
}
