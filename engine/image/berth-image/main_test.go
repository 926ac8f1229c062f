//go:build containers_image_openpgp

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.podman.io/storage/pkg/reexec"

	"github.com/berth-pods/berth/engine/image"
	"github.com/berth-pods/berth/engine/image/verb"
	"github.com/berth-pods/berth/examples/mkimage/archive"
)

func TestMain(m *testing.M) {
	if reexec.Init() {
		return
	}
	os.Exit(m.Run())
}

// A shell runs command lines on a store of its own.
type shell struct {
	t      *testing.T
	global []string
}

func newShell(t *testing.T) shell {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: layers are unpacked with their owners and mounted")
	}
	dir := t.TempDir()
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("CONTAINERS_STORAGE_CONF", write(t, filepath.Join(dir, "storage.conf"), "[storage]\ndriver=\"overlay\"\n"))
	t.Setenv("CONTAINERS_REGISTRIES_CONF", write(t, filepath.Join(dir, "registries.conf"), ""))
	policy := write(t, filepath.Join(dir, "policy.json"), `{"default":[{"type":"insecureAcceptAnything"}]}`)
	return shell{t, []string{"--root", filepath.Join(dir, "store"), "--runroot", filepath.Join(dir, "run"), "--storage-opt", "overlay.sync=none", "--signature-policy", policy}}
}

func write(t *testing.T, path, data string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// run returns what a command line printed and its exit code.
func (s shell) run(in string, args ...string) (out, err string, code int) {
	s.t.Helper()
	var o, e bytes.Buffer
	code = env{In: strings.NewReader(in), Out: &o, Err: &e, Notify: func(string) {}}.main(s.t.Context(), append(s.global, args...))
	return o.String(), e.String(), code
}

// want runs a command line and compares everything.
func (s shell) want(code int, out, err string, args ...string) {
	s.t.Helper()
	o, e, c := s.run("", args...)
	if c != code || o != out || !strings.Contains(e, err) || (err == "") != (e == "") {
		s.t.Errorf("%s\nexit %d, stdout %q, stderr %q\nwant %d, %q, %q", strings.Join(args, " "), c, o, e, code, out, err)
	}
}

func webImage(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	err := archive.Write(&b, archive.OCI, archive.Image{
		Names: []string{"localhost/web:1", "web:2"}, Arch: "amd64", Created: time.Unix(1e9, 0),
		Config: archive.Config{Cmd: []string{"/web"}, Labels: map[string]string{"app": "web"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestVerbs(t *testing.T) {
	s := newShell(t)
	file := write(t, filepath.Join(t.TempDir(), "web.tar"), webImage(t))

	s.want(1, "", "", "image", "exists", "web:1")
	s.want(0, "Loaded image: localhost/web:1\nLoaded image: localhost/web:2\n", "", "load", "-i", file)
	s.want(0, "", "", "image", "exists", "web:1")

	out, _, _ := s.run("", "images", "-q", "--no-trunc")
	id := strings.TrimPrefix(strings.TrimSpace(out), "sha256:")
	if len(id) != 64 {
		t.Fatalf("images -q --no-trunc printed %q", out)
	}
	s.want(0, id[:12]+"\n", "", "images", "-q")
	s.want(0, "localhost/web 1\nlocalhost/web 2\n", "", "images", "--format", "{{.Repository}} {{.Tag}}", "--sort", "tag")
	s.want(0, "IMAGE ID      TAG\n"+id[:12]+"  1\n"+id[:12]+"  2\n", "", "image", "ls", "--format", `table {{.ID}}\t{{.Tag}}`, "--sort", "tag")
	s.want(0, "", "", "images", "-n", "nothing")
	s.want(0, "[\"/web\"] web "+id+" "+id+"\n", "", "image", "inspect", "web:1", "--format", `{{json .Config.Cmd}} {{index .Labels "app"}} {{.Id}} {{.ID}}`)
	s.want(0, id+"\n", "", "pull", "--policy", "never", "web:2")
	s.want(0, id+"\n", "", "image", "pull", "--policy=missing", "-q", "localhost/web:1")

	s.want(0, "", "", "tag", "web:1", "front")
	s.want(0, "Untagged: localhost/front:latest\n", "", "rmi", "front")
	s.want(1, "", `image "front": no such image in the store`, "rmi", "front")
	s.want(0, "", "", "rmi", "-f", "front")
	s.want(125, "", "several names", "rmi", id)
	s.want(0, "Untagged: localhost/web:1\nUntagged: localhost/web:2\nDeleted: "+id+"\n", "", "rmi", "-a")
	s.want(0, "[]\n", "", "images", "--format", "json")
}

func TestLoadFromStandardInput(t *testing.T) {
	s := newShell(t)
	out, err, code := s.run(webImage(t), "load")
	if code != 0 || err != "" || out != "Loaded image: localhost/web:1\nLoaded image: localhost/web:2\n" {
		t.Errorf("exit %d, %q, %q", code, out, err)
	}
}

func TestJSON(t *testing.T) {
	s := newShell(t)
	if _, err, code := s.run(webImage(t), "load"); code != 0 {
		t.Fatal(err)
	}
	out, _, _ := s.run("", "images", "--format", "json")
	var list []struct {
		Id, Digest, CreatedAt string
		Names                 []string
		Created               int64
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 2 || list[1].Id != list[0].Id || len(list[0].Names) != 2 || list[0].Created != 1e9 {
		t.Errorf("%v, %s", err, out)
	}
	out, _, _ = s.run("", "image", "inspect", "web:1", list[0].Id)
	var details []struct {
		Id, Architecture string
		RepoTags         []string
		Config           struct{ Cmd []string }
	}
	if err := json.Unmarshal([]byte(out), &details); err != nil || len(details) != 2 || details[0].Id != list[0].Id || details[1].Config.Cmd[0] != "/web" {
		t.Errorf("%v, %s", err, out)
	}
}

func TestListsAmongImages(t *testing.T) {
	s := newShell(t)
	if _, err, code := s.run(webImage(t), "load"); code != 0 {
		t.Fatal(err)
	}
	if _, err, code := s.run("", "manifest", "create", "all:1", "web:1"); code != 0 {
		t.Fatal(err)
	}
	s.want(0, "localhost/all true\nlocalhost/web false\nlocalhost/web false\n", "", "images", "--sort", "repository", "--format", `{{.Repository}} {{.IsManifestList}}`)
	out, _, _ := s.run("", "images", "--format", "json")
	if n := strings.Count(out, `"IsManifestList": true`); n != 1 || strings.Contains(out, "false") {
		t.Errorf("%d lists: %s", n, out)
	}
}

func TestUsageErrors(t *testing.T) {
	s := newShell(t)
	for args, want := range map[string]string{
		"fly":                          "unrecognized command `berth fly`; `berth --help` lists",
		"pull":                         "pull: needs at least 1: type it as berth pull [FLAGS] IMAGE…",
		"pull --nope x":                "pull: unknown flag: --nope",
		"pull --policy=sometimes x":    "use always, missing, newer or never",
		"pull --platform=linux x":      "OS/ARCH",
		"pull --platform=a/b --os=c x": "give one or the others",
		"pull --creds=:x x":            "user name",
		"pull --creds=me x":            "no terminal",
		"pull --decryption-key=k:pw x": "pull x: --decryption-key k: open k: no such file",
		"pull --retry-delay=soon x":    "is not a time",
		"pull Web":                     "lower case",
		"pull web":                     "names none to search",
		"load extra":                   "takes no arguments",
		"load -i /nonexistent":         "load /nonexistent: there is no file /nonexistent",
		"image exists a b":             "takes 1 argument",
		"images --sort=color":          "use created, id, repository, size or tag",
		"images --format={{.Nope}} -n": "can't evaluate field Nope",
		"images --format={{":           "--format",
		"images -f color=red":          `filter "color=red"`,
		"rmi":                          "needs the name of an image, or --all",
		"rmi -a x":                     "takes no names",
		"--log-level=loud images":      "use debug, info, warn, error or fatal",
		"--storage-driver=nope images": "open the image store",
	} {
		out, err, code := s.run("", strings.Fields(args)...)
		if code != 125 || out != "" || !strings.Contains(err, want) || !strings.HasPrefix(err, "Error: ") || strings.Count(err, "\n") != 1 {
			t.Errorf("%s\nexit %d, stdout %q, stderr %q, want 125 and one line with %q", args, code, out, err, want)
		}
	}
}

func TestHelp(t *testing.T) {
	var b bytes.Buffer
	e := env{Out: &b, Err: &b}
	for _, args := range [][]string{{"--help"}, {}, {"image", "--help"}, {"artifact", "-h"}, {"pull", "--help"}, {"image", "ls", "-h"}} {
		b.Reset()
		if code := e.main(t.Context(), args); code != 0 || !strings.Contains(b.String(), "Usage: berth") {
			t.Errorf("%q: exit %d, %s", args, code, b.String())
		}
	}
}

// TestExitCode: that of an interrupted command is the signal's, as shells have it.
func TestExitCode(t *testing.T) {
	stopped := fmt.Errorf("pull x: %w", context.Canceled)
	for _, tt := range []struct {
		cause, err error
		want       int
	}{
		{interruption(syscall.SIGINT), stopped, 130}, {interruption(syscall.SIGTERM), stopped, 143},
		{interruption(syscall.SIGTERM), errors.New("a"), 125}, {nil, stopped, 125}, {nil, errQuiet, 1},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		if tt.cause != nil {
			cancel(tt.cause)
		}
		if got := exitCode(ctx, tt.err); got != tt.want {
			t.Errorf("%v, %v: %d, want %d", tt.cause, tt.err, got, tt.want)
		}
		cancel(nil)
	}
}

// A group without a command lists its own, and fails.
func TestGroups(t *testing.T) {
	for _, c := range []struct{ args, status, out, err string }{
		{"image", "125", "  image exists", "Error: missing command `berth image COMMAND`\n"},
		{"image", "125", "  image pull ", "Error: missing command `berth image COMMAND`\n"},
		{"manifest", "125", "  manifest add ", "Error: missing command `berth manifest COMMAND`\n"},
		{"artifact", "125", "  artifact add ", "Error: missing command `berth artifact COMMAND`\n"},
		{"image --help", "0", "  image prune", ""},
		{"image fly", "125", "", "Error: unrecognized command `berth image fly`; `berth image --help` lists the commands\n"},
	} {
		var out, err bytes.Buffer
		status := strconv.Itoa(env{Out: &out, Err: &err}.main(t.Context(), strings.Fields(c.args)))
		if status != c.status || !strings.Contains(out.String(), c.out) || (c.out == "") != (out.String() == "") || err.String() != c.err ||
			strings.Contains(out.String(), "login") {
			t.Errorf("%s: exit %s, %q, %q", c.args, status, out.String(), err.String())
		}
	}
}

func TestEveryVerbIsThere(t *testing.T) {
	do := verbs()
	maps.Copy(do, storeless())
	for _, v := range verb.Table() {
		if do[v.Name] == nil {
			t.Errorf("%s is in the table and does nothing", v.Name)
		}
		delete(do, v.Name)
	}
	for name := range do {
		t.Errorf("%s is not in the table", name)
	}
}

func TestStatus(t *testing.T) {
	now := time.Unix(1000, 0)
	w := &watch{doing: "Pulling"}
	for i, c := range []struct {
		after time.Duration
		done  int64
		want  string
	}{
		{0, 10, "STATUS=Pulling web: 10% (10 B of 100 B, 0 B/s)\nEXTEND_TIMEOUT_USEC=60000000"},
		{500 * time.Millisecond, 20, ""},
		{1500 * time.Millisecond, 30, "STATUS=Pulling web: 30% (30 B of 100 B, 0 B/s)\nEXTEND_TIMEOUT_USEC=60000000"},
		{5 * time.Second, 30, ""}, // no byte has come: the timeout must run on
		{6 * time.Second, 31, "STATUS=Pulling web: 31% (31 B of 100 B, 0 B/s)\nEXTEND_TIMEOUT_USEC=60000000"},
	} {
		got, due := w.status(image.Progress{Image: "web", Done: c.done, Total: 100}, now.Add(c.after))
		if got != c.want || due != (c.want != "") {
			t.Errorf("step %d: %q, want %q", i, got, c.want)
		}
	}
}

func TestNotifyReachesTheManager(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	sent := make(chan struct{})
	go func() { notify("STATUS=x"); close(sent) }()
	if err := l.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	n, err := l.Read(b)
	if err != nil || string(b[:n]) != "STATUS=x" {
		t.Errorf("%q, %v", b[:n], err)
	}
	if _, err := l.Read(b); err != nil { // the barrier, whose pipe the kernel closes as nobody takes it
		t.Error(err)
	}
	<-sent
}

// A manager that does not answer holds nothing up.
func TestBackground(t *testing.T) {
	begun, release := make(chan string, 10), make(chan struct{})
	send := background(func(s string) { begun <- s; <-release })
	send("1")
	if got := <-begun; got != "1" {
		t.Fatalf("sent %q first", got)
	}
	for _, s := range []string{"2", "3", "4"} {
		send(s) // returns at once
	}
	close(release)
	if got := <-begun; got != "2" {
		t.Errorf("sent %q next, want the one that waited", got)
	}
}

// Progress goes to the manager and the terminal line is taken away at the end.
func TestWatch(t *testing.T) {
	var b bytes.Buffer
	var told []string
	w := &watch{err: &b, doing: "Loading", live: true, notify: func(s string) { told = append(told, s) }}
	w.progress(image.Progress{Image: "web", Done: 1, Total: 2})
	w.say("Pulling db")
	w.progress(image.Progress{Image: "db", Done: 2, Total: 2})
	w.end()
	w.end()
	want := "Loading web: 50% (1 B of 2 B, 0 B/s)\n\r\x1b[1A\x1b[JPulling db\nLoading db: 100% (2 B of 2 B, 0 B/s)\n\r\x1b[1A\x1b[J"
	if b.String() != want || len(told) != 1 {
		t.Errorf("drew %q, want %q; told %q", b.String(), want, told)
	}
	b.Reset()
	quiet := &watch{err: &b, live: true, quiet: true, notify: func(string) {}}
	quiet.say("x")
	quiet.progress(image.Progress{})
	quiet.end()
	if b.Len() > 0 {
		t.Errorf("a quiet one drew %q", b.String())
	}
}
