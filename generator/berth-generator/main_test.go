package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-pods/berth/installed"
)

// result of a run of the program.
type result struct {
	status         int
	stdout, stderr string
}

// runIn runs the program on unit directories; args follow the program's name.
func runIn(t testing.TB, dirs string, args ...string) result {
	t.Helper()
	t.Setenv("QUADLET_UNIT_DIRS", dirs)
	return runArgs(t, append([]string{"/usr/lib/systemd/system-generators/berth-generator"}, args...))
}

func runArgs(t testing.TB, args []string) result {
	t.Helper()
	tmp := t.TempDir()
	stdout, err := os.Create(tmp + "/stdout")
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	stderr, err := os.Create(tmp + "/stderr")
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	status := run(args, stdout, stderr)
	return result{status, readFile(t, stdout.Name()), readFile(t, stderr.Name())}
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// tree makes a directory of files.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const good = "[Container]\nImage=docker.io/library/a:1\n[Install]\nWantedBy=multi-user.target\n"

func TestDryRun(t *testing.T) {
	dir := tree(t, map[string]string{"web.container": good, "bad.container": "[Container]\nFoo=1\n"})
	got := runIn(t, dir, "-dryrun")
	if got.status != 1 {
		t.Errorf("status %d, want 1", got.status)
	}
	if !strings.HasPrefix(got.stdout, "---web.service---\n[Unit]\n") && !strings.HasPrefix(got.stdout, "---web.service---\n[X-Container]\n") {
		t.Errorf("stdout begins with %.60q", got.stdout)
	}
	if strings.Contains(got.stdout, "bad.service") || strings.Contains(got.stdout, "Automatically") {
		t.Errorf("stdout has a stub or a header:\n%s", got.stdout)
	}
	for _, want := range []string{
		"Loading source unit file " + dir + "/web.container\n",
		dir + "/bad.container:2: unknown key Foo=",
		"unsupported key 'Foo' in group 'Container' in " + dir + "/bad.container",
		"processing encountered some errors\n",
	} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("stderr lacks %q:\n%s", want, got.stderr)
		}
	}
}

// What runs without a file has a unit that stops it, and gives way to any other.
func TestGone(t *testing.T) {
	a, b, c, d, e := strings.Repeat("a", 64), strings.Repeat("b", 64), strings.Repeat("c", 64), strings.Repeat("d", 64), strings.Repeat("e", 64)
	state := func(unit string) string { return `{"version":1,"unit":"` + unit + `","x":1}` }
	t.Setenv("HOME", tree(t, map[string]string{".config/systemd/user/hand.service": ""}))
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("XDG_RUNTIME_DIR", tree(t, map[string]string{
		"berth/" + a + "/state.json":      state("web.service"),
		"berth/" + b + "/state.json":      state("old.service"),
		"berth/" + c + "/state.json":      state("hand.service"),
		"berth/" + d + "/state.json":      state("many@1.service"),
		"berth/" + e + "/state.json":      state("../../odd.service"),
		"berth/pods/" + a + "/state.json": state("old-pod.service"),
	}))
	for _, dir := range []string{tree(t, map[string]string{"web.container": good, "many@.container": good}), t.TempDir()} {
		out := t.TempDir()
		if got := runIn(t, dir, "-user", "-no-kmsg-log", out+"/normal", out+"/early", out+"/late"); got.status != 0 {
			t.Fatalf("status %d: %s", got.status, got.stderr)
		}
		found, err := filepath.Glob(out + "/late/*")
		if err != nil {
			t.Fatal(err)
		}
		var units []string
		for _, path := range found {
			units = append(units, filepath.Base(path))
		}
		want := "old-pod.service old.service"
		if made, err := os.ReadDir(out + "/normal"); err != nil || len(made) <= 1 { // there are no files: only what waits for the network
			want = "many@1.service old-pod.service old.service web.service"
		}
		if got := strings.Join(units, " "); got != want {
			t.Errorf("units %s, want %s", got, want)
		}
		text := readFile(t, out+"/late/old.service")
		for _, line := range []string{"Type=notify", "NotifyAccess=all", "KillMode=mixed", "Delegate=yes", "ExecStop=/usr/bin/berth stop -i " + b, "ExecStopPost=-/usr/bin/berth container cleanup " + b} {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("old.service lacks %s:\n%s", line, text)
			}
		}
		text = readFile(t, out+"/late/old-pod.service")
		for _, line := range []string{"RemainAfterExit=yes", "ExecStop=/usr/bin/berth pod stop --ignore " + a, "ExecStopPost=-/usr/bin/berth pod rm --ignore --force " + a} {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("old-pod.service lacks %s:\n%s", line, text)
			}
		}
	}
	// A directory for all, as people call it to see what it writes.
	out := t.TempDir()
	if got := runIn(t, tree(t, map[string]string{"web.container": good}), "-user", "-no-kmsg-log", out, out, out); got.status != 0 {
		t.Errorf("status %d: %s", got.status, got.stderr)
	}
	for _, name := range []string{"web.service", "old.service"} {
		if _, err := os.Stat(out + "/" + name); err != nil {
			t.Error(err)
		}
	}
}

func TestWrite(t *testing.T) {
	dir := tree(t, map[string]string{"web.container": good, "sub/data.volume": "", "bad.container": "[Container]\nImage=docker.io/library/a\nFoo=1\n[Install]\nWantedBy=multi-user.target\n"})
	out := t.TempDir() + "/made/normal"
	got := runIn(t, dir, "-no-kmsg-log", out, out+"-early", out+"-late")
	if got.status != 1 || got.stdout != "" {
		t.Errorf("status %d, stdout %q", got.status, got.stdout)
	}
	if text := readFile(t, out+"/web.service"); !strings.HasPrefix(text, "# Automatically generated by berth-generator\n\n") {
		t.Errorf("web.service begins with %.60q", text)
	}
	if text := readFile(t, out+"/bad.service"); !strings.Contains(text, "Description=bad.container has errors: bad.container:3: unknown key Foo=\n") {
		t.Errorf("the stub does not tell:\n%s", text)
	}
	if target, err := os.Readlink(out + "/multi-user.target.wants/web.service"); err != nil || target != "../web.service" {
		t.Errorf("link %q, %v", target, err)
	}
	assertNames(t, out, "bad.service", "data-volume.service", "multi-user.target.wants", "web.service")
}

// TestWriteAgain: a second run over an old directory replaces files and links, and leaves nothing beside.
func TestWriteAgain(t *testing.T) {
	dir := tree(t, map[string]string{"web.container": good})
	out := tree(t, map[string]string{"web.service": "old", "multi-user.target.wants/x": ""})
	if err := os.Symlink("/nowhere", out+"/multi-user.target.wants/web.service"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := runIn(t, dir, "-no-kmsg-log", out); got.status != 0 || got.stderr != "" {
			t.Fatalf("status %d, stderr %s", got.status, got.stderr)
		}
	}
	if text := readFile(t, out+"/web.service"); !strings.Contains(text, "docker.io/library/a:1") {
		t.Errorf("web.service is %q", text)
	}
	if target, _ := os.Readlink(out + "/multi-user.target.wants/web.service"); target != "../web.service" {
		t.Errorf("link %q", target)
	}
	assertNames(t, out, "multi-user.target.wants", "web.service")
}

func assertNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s has %v, want %v", dir, got, want)
	}
}

func TestNothingFound(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()+"/missing"
	out := t.TempDir() + "/out"
	got := runIn(t, a+":"+b, "-no-kmsg-log", "-v", out)
	if want := "No files parsed from [" + a + " " + b + "]\n"; got.status != 0 || !strings.HasSuffix(got.stderr, want) {
		t.Errorf("status %d, stderr %q", got.status, got.stderr)
	}
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Errorf("the output directory was made")
	}
}

func TestNoOutputDirectory(t *testing.T) {
	if got := runIn(t, t.TempDir(), "-no-kmsg-log"); got.status != 1 || !strings.Contains(got.stderr, "missing output directory") {
		t.Errorf("status %d, stderr %q", got.status, got.stderr)
	}
}

// TestUnwritable: the output directory is a file.
func TestUnwritable(t *testing.T) {
	dir := tree(t, map[string]string{"web.container": good, "file": ""})
	if got := runIn(t, dir, "-no-kmsg-log", dir+"/file/out"); got.status != 1 || !strings.Contains(got.stderr, "not a directory") {
		t.Errorf("status %d, stderr %q", got.status, got.stderr)
	}
}

// TestHostileFiles: each bad file costs only itself, in bounded time, and leaves a unit that says why.
func TestHostileFiles(t *testing.T) {
	dir := tree(t, map[string]string{
		"good.container": good,
		"nul.container":  "[Container]\nImage=a\x00b\n",
		"utf8.container": "[Container]\nImage=\xff\xfe\n",
		"lines.volume":   "[Volume]\n" + strings.Repeat("x\n", 500_000),
		"blank.volume":   strings.Repeat("\n", 1<<20),
		"slash.volume":   "[Volume]\nLabel=" + strings.Repeat("\\\n", 500_000),
		"heads.volume":   strings.Repeat("[a]\n[b]\n", 100_000),
		"again.volume":   strings.Repeat("[a]\nk=1\n[b]\nk=1\n", 60_000),
		"many.volume":    manySections(),
		"words.volume":   "[Volume]\nLabel=" + strings.Repeat("a=b ", 250_000) + "\n",
		"equals.volume":  "[Volume]\n" + strings.Repeat("=\n", 400_000),
		"in/a.container": good,
		"keys.container": "[Container]\n" + strings.Repeat("Unknown=\n", 50_000) + "[Service]\n" + strings.Repeat("Whatever=\n", 50_000),
		"refs.container": "[Unit]\n" + strings.Repeat("After=good.container\nWants=in.pod\n", 8_000) + good + strings.Repeat("Volume=blank.volume:/a\n", 20_000),
	})
	if err := os.Mkdir(dir+"/good.container.d", 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		if err := os.WriteFile(fmt.Sprintf("%s/good.container.d/%d.conf", dir, i), []byte("[Container]\nDNS=1\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(dir+"/directory.container", 0o755))
	must(syscall.Mkfifo(dir+"/fifo.container", 0o644))
	must(os.Symlink("/dev/zero", dir+"/device.container"))
	must(os.Symlink("/dev/null", dir+"/masked.container"))
	must(os.Symlink("loop.container", dir+"/loop.container"))
	must(os.Symlink("nowhere", dir+"/dangling.container"))
	must(os.Symlink(".", dir+"/again"))
	must(os.Symlink("..", dir+"/in/up"))
	must(os.WriteFile(dir+"/large.container", nil, 0o644))
	must(os.Truncate(dir+"/large.container", 60<<20))
	socket, err := net.Listen("unix", dir+"/socket.container")
	must(err)
	defer socket.Close()

	out := t.TempDir()
	done := make(chan result, 1)
	go func() { done <- runIn(t, dir, "-no-kmsg-log", out) }()
	var got result
	select {
	case got = <-done:
	case <-time.After(3 * time.Minute):
		t.Fatal("the generator hangs")
	}
	if got.status != 1 {
		t.Errorf("status %d", got.status)
	}
	if size := len(got.stderr); size > 200_000 {
		t.Errorf("%d bytes of messages", size)
	}
	for unit, want := range map[string]string{
		"good.service":          "ExecStart=/usr/bin/berth run",
		"a.service":             "ExecStart=/usr/bin/berth run",
		"nul.service":           "nul.container:2: a NUL byte",
		"utf8.service":          "utf8.container:2: not valid UTF-8",
		"directory.service":     "is a directory, not a regular file",
		"fifo.service":          "is a FIFO, not a regular file",
		"device.service":        "is a device, not a regular file",
		"socket.service":        "is a socket, not a regular file",
		"loop.service":          "the links go in a circle",
		"dangling.service":      "the link points to nothing",
		"large.service":         "is too large: 62914560 bytes",
		"many-volume.service":   "more than 1000 sections",
		"lines-volume.service":  "lines.volume:21:",
		"equals-volume.service": "equals.volume:21:",
		"blank-volume.service":  "ExecStart=/usr/bin/berth volume create",
		"heads-volume.service":  "ExecStart=/usr/bin/berth volume create",
		"words-volume.service":  "--label a=b systemd-words",
		"slash-volume.service":  "ExecStart=/usr/bin/berth volume create",
		"again-volume.service":  "ExecStart=/usr/bin/berth volume create",
		"keys.service":          "keys.container:2: unknown key Unknown=",
		"refs.service":          "in.pod",
	} {
		text, err := os.ReadFile(out + "/" + unit)
		if err != nil {
			t.Error(err)
			continue
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("%s lacks %q:\n%.2000s", unit, want, text)
		}
	}
	if n := strings.Count(got.stderr, "too many errors; the rest of the file was not read"); n != 3 {
		t.Errorf("%d files were given up, want 3", n)
	}
	if _, err := os.Stat(out + "/masked.service"); !os.IsNotExist(err) {
		t.Errorf("a masked file was generated")
	}
}

func manySections() string {
	var text strings.Builder
	for i := range 60_000 {
		text.WriteString("[a" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676%26)) + "]\n")
	}
	return text.String()
}

func TestPrecedenceAndDropins(t *testing.T) {
	first := tree(t, map[string]string{"web.container": "[Container]\nBroken\n", "web.container.d/a.conf": "[Container]\nDNS=first\n", "container.d/x.container": good})
	second := tree(t, map[string]string{"web.container": good, "other.container": good, "deep/other.container.d/a.conf": "[Container]\nDNS=deep\n", "web.container.d/a.conf": "[Container]\nDNS=second\n"})
	out := t.TempDir()
	runIn(t, first+":"+second, "-no-kmsg-log", out)
	if text := readFile(t, out+"/web.service"); !strings.Contains(text, "web.container:2:") {
		t.Errorf("a broken file uncovers what it hides:\n%s", text)
	}
	if text := readFile(t, out+"/other.service"); !strings.Contains(text, "--dns deep") {
		t.Errorf("no drop-in of another directory:\n%s", text)
	}
	assertNames(t, out, "multi-user.target.wants", "other.service", "web.service")
}

func TestRelativeUnitDirs(t *testing.T) {
	a, b := tree(t, map[string]string{"a.container": good}), tree(t, map[string]string{"b.container": good})
	out := t.TempDir()
	got := runIn(t, a+":relative:"+b, "-no-kmsg-log", out)
	if got.status != 0 || !strings.Contains(got.stderr, `"relative" in QUADLET_UNIT_DIRS is not an absolute path`) {
		t.Errorf("status %d, stderr %q", got.status, got.stderr)
	}
	assertNames(t, out, "a.service", "multi-user.target.wants")
}

// TestUnreadableUnitDir: a directory that cannot be found out about is told of, and does not keep the others from being read.
func TestUnreadableUnitDir(t *testing.T) {
	loop, good := t.TempDir()+"/loop", tree(t, map[string]string{"a.container": good})
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	got := runIn(t, loop+":"+loop+".none:"+good, "-no-kmsg-log", out)
	if got.status != 1 || !strings.Contains(got.stderr, "read unit directory "+loop+": ") || strings.Contains(got.stderr, ".none") {
		t.Errorf("status %d, stderr %q", got.status, got.stderr)
	}
	assertNames(t, out, "a.service", "multi-user.target.wants")
}

func TestFlags(t *testing.T) {
	tests := []struct {
		args string
		want options
		err  string
	}{
		{"/x/system-generators/g out", options{operands: []string{"out"}}, ""},
		{"/x/podman-user-generator out early late", options{user: true, operands: []string{"out", "early", "late"}}, ""},
		{"/usr/lib/systemd/user-generators/berth-generator out", options{user: true, operands: []string{"out"}}, ""},
		{"/home/user/berth-generator out", options{operands: []string{"out"}}, ""},
		{"user-gen -user=false", options{}, ""},
		{"g --user -dryrun --v=true -no-kmsg-log", options{user: true, dryRun: true, verbose: true, noKmsg: true}, ""},
		{"g -v out -dryrun", options{verbose: true, operands: []string{"out", "-dryrun"}}, ""},
		{"g -- -v", options{operands: []string{"-v"}}, ""},
		{"g -version", options{version: true}, ""},
		{"g -report a b", options{report: true, operands: []string{"a", "b"}}, ""},
		{"g -nope", options{}, "flag provided but not defined: -nope"},
		{"g -v=maybe", options{}, `invalid boolean value "maybe" for -v`},
		{"g --help", options{}, "help wanted"},
	}
	for _, test := range tests {
		got, err := parseFlags(strings.Fields(test.args))
		if err != nil || test.err != "" {
			if err == nil || err.Error() != test.err {
				t.Errorf("%s: error %v, want %q", test.args, err, test.err)
			}
			continue
		}
		if strings.Join(got.operands, " ") != strings.Join(test.want.operands, " ") {
			t.Errorf("%s: operands %q", test.args, got.operands)
		}
		got.operands, test.want.operands = nil, nil
		if got.dryRun != test.want.dryRun || got.user != test.want.user || got.verbose != test.want.verbose ||
			got.noKmsg != test.want.noKmsg || got.version != test.want.version || got.report != test.want.report {
			t.Errorf("%s: got %+v, want %+v", test.args, got, test.want)
		}
	}
}

func TestStatusOfFlags(t *testing.T) {
	for args, want := range map[string]result{
		"g -version":          {0, installed.Version + "\n", ""},
		"g -h":                {0, "", usage},
		"g -x":                {2, "", "flag provided but not defined: -x\n" + usage},
		"g -report one two=3": {1, "one\ntwo=3\n", ""},
	} {
		if got := runArgs(t, strings.Fields(args)); got != want {
			t.Errorf("%s: got %+v, want %+v", args, got, want)
		}
	}
}

// TestLinks: what the program links is std and the packages of the language; anything else costs boot time.
func TestLinks(t *testing.T) {
	list, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	const module = "github.com/berth-pods/berth/"
	allowed := map[string]bool{module + "units": true, module + "units/unitfile": true, module + "generator": true, module + "generator/sources": true, module + "generator/berth-generator": true, module + "installed": true}
	for _, path := range strings.Fields(string(list)) {
		if !allowed[path] {
			t.Errorf("links %s", path)
		}
	}
	list, err = exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, heavy := range []string{"regexp", "text/template", "net", "net/http", "encoding/json"} {
		if bytes.Contains(list, []byte("\n"+heavy+"\n")) {
			t.Errorf("links %s", heavy)
		}
	}
}

// TestSize: at most 3 MB, static, stripped.
// TestEarlyBoot: before /var, /home and all the rest are mounted the units are the same as later, and nothing but them is written.
func TestEarlyBoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: it changes the root directory")
	}
	program := readFile(t, build(t))
	early := map[string]string{
		"gen":                                  program,
		"etc/containers/systemd/web.container": good + "[Container]\nVolume=/var/lib/web:/web\nVolume=data.volume:/data\nEnvironmentFile=/home/web/env\nPod=all.pod\n",
		"etc/containers/systemd/data.volume":   "[Volume]\n",
		"etc/containers/systemd/bad.container": "[Container]\nFoo=1\n",
		"usr/share/containers/systemd/all.pod": "[Pod]\nPublishPort=80\n",
		"run/systemd/generator/mark":           "",
	}
	later := maps.Clone(early)
	for _, name := range []string{"var/lib/web/file", "home/web/env", "var/lib/containers/storage/db.sql", "proc/self/status", "dev/log"} {
		later[name] = "A=1"
	}
	var units []string
	for _, files := range []map[string]string{early, later} {
		root := tree(t, files)
		if err := os.Chmod(root+"/gen", 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/gen", "/run/systemd/generator", "/run/systemd/generator.early", "/run/systemd/generator.late")
		cmd.Dir, cmd.Env, cmd.SysProcAttr = "/", []string{"SYSTEMD_SCOPE=system"}, &syscall.SysProcAttr{Chroot: root}
		var exit *exec.ExitError
		if out, err := cmd.CombinedOutput(); !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "bad.container:2") {
			t.Fatalf("%v\n%s", err, out)
		}
		var made strings.Builder
		err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
			name := strings.TrimPrefix(path, root+"/")
			if err != nil || !e.Type().IsRegular() || files[name] != "" {
				return err
			}
			text, err := os.ReadFile(path)
			made.WriteString(name + "\n" + string(text))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		units = append(units, made.String())
	}
	if units[0] != units[1] {
		t.Errorf("early:\n%s\nlater:\n%s", units[0], units[1])
	}
	for _, unit := range []string{"web.service", "data-volume.service", "bad.service", "all-pod.service"} {
		if !strings.Contains(units[0], "run/systemd/generator/"+unit+"\n") {
			t.Errorf("%s is missing:\n%s", unit, units[0])
		}
	}
	if n := strings.Count(units[0], "# Automatically generated"); n != 4 || strings.Contains(units[0], "\nvar/") || strings.Contains(units[0], "\netc/") {
		t.Errorf("%d units:\n%s", n, units[0])
	}
}

func TestSize(t *testing.T) {
	path := build(t)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", info.Size())
	if info.Size() > 3_000_000 {
		t.Errorf("%d bytes are more than 3 MB", info.Size())
	}
}

// build makes the program as it is shipped.
func build(t *testing.T) string {
	t.Helper()
	path := t.TempDir() + "/berth-generator"
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// TestKilledAndConcurrent: whenever a run is killed, and whoever else runs at the same time, a unit is there as a whole or
// not at all.
func TestKilledAndConcurrent(t *testing.T) {
	program := build(t)
	const files = 200
	set := map[string]string{}
	for i := range files {
		set[fmt.Sprintf("web%d.container", i)] = good
	}
	dir := tree(t, set)
	start := func(out string) *exec.Cmd {
		cmd := exec.Command(program, "-no-kmsg-log", out)
		cmd.Env = []string{"QUADLET_UNIT_DIRS=" + dir}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	clean := t.TempDir()
	if err := start(clean).Wait(); err != nil {
		t.Fatal(err)
	}
	for _, killAt := range []int{1, 100, files, files + 1} {
		out := t.TempDir()
		cmd := start(out)
		waitForEntries(t, out, killAt)
		cmd.Process.Kill()
		cmd.Wait()
		assertWhole(t, clean, out)
	}
	out := t.TempDir()
	var running []*exec.Cmd
	for range 3 {
		running = append(running, start(out))
	}
	for _, cmd := range running {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	if n := assertWhole(t, clean, out); n != files {
		t.Errorf("%d units of %d", n, files)
	}
}

// waitForEntries returns when the directory has n entries, temporary ones included.
func waitForEntries(t *testing.T, dir string, n int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) >= n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d entries after 30 s, want %d", len(entries), n)
		}
	}
}

func assertWhole(t *testing.T, clean, dir string) (units int) {
	t.Helper()
	found, err := filepath.Glob(dir + "/*.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		if readFile(t, path) != readFile(t, clean+"/"+filepath.Base(path)) {
			t.Errorf("%s is not whole", path)
		}
	}
	return len(found)
}

// TestUserWaits: a user's units wait for a unit that is written beside them; the system's do not.
func TestUserWaits(t *testing.T) {
	const wait = "podman-user-wait-network-online.service"
	dir := tree(t, map[string]string{"web.container": good})
	for _, user := range []bool{true, false} {
		out := t.TempDir()
		got := runIn(t, dir, "-no-kmsg-log", fmt.Sprintf("-user=%v", user), out)
		if got.status != 0 {
			t.Fatal(got.stderr)
		}
		_, err := os.Stat(out + "/" + wait)
		if named := strings.Contains(readFile(t, out+"/web.service"), "After="+wait); named != user || (err == nil) != user {
			t.Errorf("user %v: unit named %v, written %v", user, named, err == nil)
		}
	}
}

// TestMemory: at most 16 MiB are resident with 5,000 files.
func TestMemory(t *testing.T) {
	program := build(t)
	base, err := os.MkdirTemp(memoryFileSystem(), "berth-generator-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(base)
	if err := os.Mkdir(base+"/in", 0o755); err != nil {
		t.Fatal(err)
	}
	text := "[Unit]\nDescription=Web\n[Container]\nImage=docker.io/library/nginx:1.27\n" + strings.Repeat("Environment=NAME=value OTHER=\"two words\"\n", 10) +
		"Volume=/srv/web:/usr/share/nginx/html:ro\nPublishPort=8080:80\nExec=nginx -g \"daemon off;\"\n[Service]\nRestart=always\n[Install]\nWantedBy=multi-user.target\n"
	for i := range 5000 {
		if err := os.WriteFile(fmt.Sprintf("%s/in/web%d.container", base, i), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "-no-kmsg-log", base+"/out")
	cmd.Env = []string{"QUADLET_UNIT_DIRS=" + base + "/in"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// The high-water mark only rises, so that the last reading before the end is the figure.
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	peak := 0
	for {
		if kib := residentPeak(cmd.Process.Pid); kib > peak {
			peak = kib
		}
		select {
		case err := <-done:
			t.Logf("%d KiB", peak)
			if err != nil || peak == 0 || peak > 16<<10 {
				t.Errorf("%d KiB resident, want at most %d; %v", peak, 16<<10, err)
			}
			return
		default:
		}
	}
}

func memoryFileSystem() string {
	if inMemory("/dev/shm") {
		return "/dev/shm"
	}
	return ""
}

// residentPeak reads VmHWM of a process that has been started; 0 when it is gone, or before it has become the program.
func residentPeak(pid int) int {
	exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil || filepath.Base(exe) != "berth-generator" {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib int
	fmt.Sscan(rest, &kib)
	return kib
}
