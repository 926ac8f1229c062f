package sources

import (
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/generator"
)

const good = "[Container]\nImage=docker.io/library/a:1\n"

// tree makes a directory of files.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestWalk: subdirectories are read after their directory, links are followed once, directories of drop-ins are not unit
// directories whatever they are called.
func TestWalk(t *testing.T) {
	dir := tree(t, map[string]string{"b.container": good, "a.pod": "", "no.service": "", "readme": "", ".hidden.volume": ""})
	for path, text := range map[string]string{"sub/c.volume": "", "sub/deep/d.network": "", "x.d/e.volume": "", "b.container.d/1.conf": "x", "b.container.d/no.txt": "", "container.d/2.conf": "y", "other.d/3.conf": "z"} {
		if err := os.MkdirAll(dir+"/"+path[:strings.LastIndexByte(path, '/')], 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/"+path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"loop": ".", "sub/up": "..", "plain": "x.d", "t@1.container": "b.container"} {
		if err := os.Symlink(target, dir+"/"+link); err != nil {
			t.Fatal(err)
		}
	}
	var traced int
	set, errs := Search{Paths: []string{dir, dir + "/sub", dir + "/missing"}, LeaveOut: func(string) bool { return false }}.Read(func(string) { traced++ })
	var got []string
	for _, f := range set.Files {
		got = append(got, strings.TrimPrefix(f.Path, dir+"/"))
	}
	if want := ".hidden.volume a.pod b.container t@1.container sub/c.volume sub/deep/d.network"; strings.Join(got, " ") != want || len(errs) > 0 {
		t.Errorf("got %v, want %s; %v", got, want, errs)
	}
	if len(set.Dropins) != 2 || set.Dropins["b.container.d"][0].Text != "x" || len(set.Dropins["b.container.d"]) != 1 || set.Dropins["container.d"][0].Text != "y" {
		t.Errorf("drop-ins %v", set.Dropins)
	}
	if traced != len(got)+2 {
		t.Errorf("%d files traced", traced)
	}
}

// TestClosed: what the system closes to a user is not the user's to mend; the system's own manager is told.
func TestClosed(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: it looks as somebody else")
	}
	closed := t.TempDir()
	if err := errors.Join(os.Chmod(closed, 0o700), os.Mkdir(closed+"/users", 0o755)); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for user, want := range map[bool]int{true: 0, false: 1} {
		syscall.Syscall(syscall.SYS_SETFSUID, 65534, 0, 0)
		_, errs := Search{Paths: []string{closed + "/users"}, User: user, LeaveOut: func(string) bool { return false }}.Read(nil)
		syscall.Syscall(syscall.SYS_SETFSUID, 0, 0, 0)
		if len(errs) != want {
			t.Errorf("of a user %t: %v", user, errs)
		}
	}
}

func TestReadFile(t *testing.T) {
	dir := tree(t, map[string]string{"a.container": good})
	if s := ReadFile(dir + "/a.container"); s.Text != good || s.Name != "a.container" || s.Problem != "" {
		t.Errorf("%+v", s)
	}
	if s := ReadFile(dir + "/b.container"); s.Problem != "does not exist" {
		t.Errorf("%+v", s)
	}
	if s := ReadFile(dir); s.Problem != "is a directory, not a regular file" {
		t.Errorf("%+v", s)
	}
}

func TestSearchDirs(t *testing.T) {
	const uid = "1000"
	tests := []struct {
		name     string
		user     bool
		env      map[string]string
		want     string
		warnings int
	}{
		{"system", false, map[string]string{"HOME": "/root"}, "/run/containers/systemd /etc/containers/systemd /usr/share/containers/systemd", 0},
		{"user", true, map[string]string{"HOME": "/home/u", "XDG_RUNTIME_DIR": "/run/user/1"}, "/run/user/1/containers/systemd /home/u/.config/containers/systemd " +
			"/etc/containers/systemd/users/" + uid + " /etc/containers/systemd/users /usr/share/containers/systemd/users/" + uid + " /usr/share/containers/systemd/users", 0},
		{"user, own configuration directory", true, map[string]string{"HOME": "/home/u", "XDG_CONFIG_HOME": "/c"}, "/c/containers/systemd " +
			"/etc/containers/systemd/users/" + uid + " /etc/containers/systemd/users /usr/share/containers/systemd/users/" + uid + " /usr/share/containers/systemd/users", 0},
		{"user without a home", true, nil, "/etc/containers/systemd/users/" + uid + " /etc/containers/systemd/users /usr/share/containers/systemd/users/" + uid + " /usr/share/containers/systemd/users", 1},
		{"replaced", true, map[string]string{"QUADLET_UNIT_DIRS": "/a:/b//c/"}, "/a /b/c", 0},
		{"replaced, with a relative one", false, map[string]string{"QUADLET_UNIT_DIRS": "/a:b:/c"}, "/a", 1},
	}
	for _, test := range tests {
		got := For(func(name string) string { return test.env[name] }, test.user, 1000)
		if strings.Join(got.Paths, " ") != test.want {
			t.Errorf("%s: got %v", test.name, got.Paths)
		}
		if len(got.Warnings) != test.warnings {
			t.Errorf("%s: warnings %q", test.name, got.Warnings)
		}
	}
}

func TestOthersDir(t *testing.T) {
	for path, want := range map[string]bool{
		"/etc/containers/systemd/users/1000":       false,
		"/etc/containers/systemd/users/1001":       true,
		"/usr/share/containers/systemd/users/1001": true,
		"/etc/containers/systemd/users/web":        false,
		"/etc/containers/systemd/users":            false,
		"/etc/containers/systemd/users/1000/1001":  false,
		"/home/1001": false,
	} {
		if got := othersDir(path, "1000"); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
	system := For(func(string) string { return "" }, false, 0)
	for _, path := range []string{"/etc/containers/systemd/users", "/usr/share/containers/systemd/users"} {
		if !system.LeaveOut(path) {
			t.Errorf("the system's generator reads %s", path)
		}
	}
}

func TestTotalIsBounded(t *testing.T) {
	dir := tree(t, map[string]string{"a.container": good})
	r := reader{total: maxTotal - 10}
	if s := r.readSource("a.container", dir+"/a.container", 0, false); s.Text != "" || !strings.Contains(s.Problem, "more than 16 MiB") {
		t.Errorf("%+v", s)
	}
}

// TestExisting: the answer is the same whether names are looked up or listed.
func TestExisting(t *testing.T) {
	dir := tree(t, map[string]string{"there.service": ""}) + "/"
	if err := os.Symlink("/dev/null", dir+"masked.service"); err != nil {
		t.Fatal(err)
	}
	e := existing{dirs: []string{t.TempDir() + "/", dir}}
	for range 2 * manyUnits {
		for unit, want := range map[string]string{"there.service": dir + "there.service", "masked.service": "", "gone.service": ""} {
			if got := e.find(unit); got != want {
				t.Fatalf("%s: %q after %d questions", unit, got, e.asked)
			}
		}
	}
	if e.lists == nil {
		t.Error("no list was read")
	}
}

// TestLive: the engine's own state files are understood, whatever stands in them, and others are passed over.
func TestLive(t *testing.T) {
	run := t.TempDir()
	id := func(c string) string { return strings.Repeat(c, 64) }
	write := func(path string, state any) {
		t.Helper()
		text, err := json.Marshal(state)
		if err == nil {
			err = os.MkdirAll(run+"/"+path[:strings.LastIndexByte(path, '/')], 0o755)
		}
		if err == nil {
			err = os.WriteFile(run+"/"+path, text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	misleading := `"unit":"other.service"`
	write("berth/"+id("a")+"/state.json", engine.State{ID: id("a"), Name: "a", Image: misleading, Command: []string{misleading}, Unit: `a\x2d1.service`})
	write("berth/"+id("b")+"/state.json", engine.State{ID: id("b"), Command: []string{misleading}}) // of no unit
	write("berth/"+id("c")+"/state.json", engine.State{ID: id("c"), Unit: "c.service"})
	write("systemd/transient/c.service", nil)
	write("berth/"+id("8")+"/state.json", engine.State{ID: id("8"), Unit: "e.service"})
	write("systemd/user/e.service", nil)
	write("berth/"+id("d")+"/state.json", "damaged")
	write("berth/"+id("e")+"/other", nil)
	write("berth/names/state.json", engine.State{Unit: "f.service"})
	write("berth/"+id("9")+"/state.json", engine.State{Unit: "session-1.scope"})
	write("berth/pods/"+id("f")+"/state.json", engine.Pod{ID: id("f"), Unit: "f-pod.service", Spec: spec.Pod{Name: misleading}})
	getenv := func(string) string { return run }
	want := []generator.Live{{Unit: `a\x2d1.service`, ID: id("a")}, {Unit: "f-pod.service", ID: id("f"), Pod: true}}
	if got := Live(getenv, true); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := Live(func(string) string { return "" }, true); got != nil {
		t.Errorf("without a runtime directory: %+v", got)
	}
}
