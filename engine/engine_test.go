package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/enginetest"
	"github.com/berth-pods/berth/engine/keeper"
	"github.com/berth-pods/berth/engine/spec"
)

// bench is a world with a place for the engine's state.
type bench struct {
	*enginetest.World
	t   *testing.T
	run string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("Run makes a mount namespace, and that needs root")
	}
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	if err := errors.Join(os.MkdirAll(filepath.Join(root, "etc"), 0o755), os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("a:x:7:8::/home/a:/bin/sh\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	b := &bench{World: &enginetest.World{Root: root}, t: t, run: filepath.Join(dir, "run")}
	t.Cleanup(b.End)
	return b
}

var errKilled = errors.New("killed")

// halting stands for the half of a start that connects the container, and for who makes it.
type halting struct {
	engine.Network
	engine.Runtime
	setup  func(context.Context) error
	create func(context.Context) error
}

func (h halting) Setup(ctx context.Context, _ engine.NetworkRequest) error { return h.setup(ctx) }

func (h halting) Create(ctx context.Context, _ engine.Bundle) (int, error) { return 0, h.create(ctx) }

// TestStartInterrupted: what failed first is told, and not that the rest was broken off then; of a start that was broken off, why it was.
func TestStartInterrupted(t *testing.T) {
	terminated, boom := errors.New("terminated"), errors.New("boom")
	for _, tt := range []struct{ name, want string }{{"create", "boom"}, {"setup", "boom"}, {"", "terminated"}} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			failed := make(chan bool, 1)
			fail := func(context.Context) error { failed <- true; return boom }
			broken := func(ctx context.Context) error {
				if tt.name != "" {
					<-failed
				}
				cancel(terminated)
				<-ctx.Done()
				return ctx.Err()
			}
			h := halting{setup: broken, create: broken}
			switch tt.name {
			case "create":
				h.create = fail
			case "setup":
				h.setup = fail
			}
			err := b.on(func(e *engine.Engine) error {
				h.Network, h.Runtime = e.Network, e.Runtime
				e.Network, e.Runtime = h, h
				_, err := e.Run(ctx, web())
				return err
			})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "canceled") || strings.Count(err.Error(), "terminated") > 1 {
				t.Errorf("%v", err)
			}
		})
	}
}

// start calls Run on a thread of its own, as main does, and waits for its end.
func (b *bench) start(c spec.Container) (s engine.State, err error) {
	done := make(chan struct{})
	err = errKilled
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with its mount namespace
		var runErr error
		s, runErr = b.Engine(b.run).Run(context.Background(), c)
		err = runErr
	}()
	<-done
	return s, err
}

// remove calls Remove, which may be killed, and waits for its end.
func (b *bench) remove(name string, o engine.RemoveOptions) (err error) {
	done := make(chan struct{})
	err = errKilled
	go func() {
		defer close(done)
		removeErr := b.Engine(b.run).Remove(context.Background(), name, o)
		err = removeErr
	}()
	<-done
	return err
}

var force = engine.RemoveOptions{Force: true, Ignore: true}

// clean fails the test when anything of a container is left, in the world or on disk.
func (b *bench) clean() {
	b.t.Helper()
	if left := b.Left(); len(left) > 0 {
		b.t.Errorf("left in the world: %v", left)
	}
	if files := b.files(); len(files) > 0 {
		b.t.Errorf("left on disk: %v", files)
	}
	if kept, _ := filepath.Glob(b.Kept() + "/*"); len(kept) > 0 {
		b.t.Errorf("left beside layers: %v", kept)
	}
}

// files lists the state directories and names.
func (b *bench) files() []string {
	list, _ := filepath.Glob(b.run + "/*/*")
	dirs, _ := filepath.Glob(b.run + "/*")
	for _, d := range dirs {
		if name := filepath.Base(d); name != "names" && name != "runtime" {
			list = append(list, d)
		}
	}
	return list
}

// web is a container with a network, so that a start has every step.
func web() spec.Container {
	return spec.Container{Name: "web", Image: "image", Cgroups: "split", Remove: true, Detach: true, StopTimeout: 10 * time.Second, Publish: []string{"8080:80"}}
}

var runSteps = []string{
	"store.Image", "network.Plan", "cgroups.Divide", "store.Create", "store.Mount", "cgroups.Wait", "runtime.Create", "notify MAINPID=container READY=1", "runtime.Start",
}

var stopSteps = []string{"cgroups.Thaw"}

var removeSteps = []string{"cgroups.Remove", "network.Teardown", "store.Remove"}

func TestRunAndRemove(t *testing.T) {
	b := newBench(t)
	s, err := b.start(web())
	if err != nil {
		t.Fatal(err)
	}
	if got := b.Steps(); !slices.Equal(got, runSteps) {
		t.Errorf("steps of Run:\ngot  %v\nwant %v", got, runSteps)
	}
	if !s.Running() || s.Unit != "web.service" || s.StopSig != "SIGUSR1" || s.ImageID != "i1" || fmt.Sprint(s.Addresses) != "[10.88.0.9]" || fmt.Sprint(s.Command) != "[/bin/true]" {
		t.Errorf("state %+v", s)
	}
	onDisk, err := engine.Dirs{Run: b.run}.Find("web")
	if err != nil || onDisk.ID != s.ID || onDisk.Init != s.Init || onDisk.Cgroup != "/system.slice/web.service/container-"+s.ID {
		t.Errorf("on disk %+v, %v", onDisk, err)
	}
	b.Forget()
	if err := b.remove("web", engine.RemoveOptions{}); !errors.Is(err, engine.ErrRunning) || len(b.Steps()) > 0 {
		t.Errorf("removed while it ran: %v, %v", err, b.Steps())
	}
	if err := b.remove("web", force); err != nil {
		t.Fatal(err)
	}
	if got, want := b.Steps(), slices.Concat(stopSteps, removeSteps); !slices.Equal(got, want) {
		t.Errorf("steps of Remove:\ngot  %v\nwant %v", got, want)
	}
	b.clean()
	b.Forget()
	if err := b.remove("web", force); err != nil || len(b.Steps()) > 0 {
		t.Errorf("a second time: %v, %v", err, b.Steps())
	}
	if err := b.remove("web", engine.RemoveOptions{Force: true}); !errors.Is(err, engine.ErrNoContainer) {
		t.Errorf("without Ignore: %v", err)
	}
}

// moments are all places where a start with these steps can be cut off.
func moments(steps ...string) []enginetest.Moment {
	var list []enginetest.Moment
	for _, s := range steps {
		list = append(list, enginetest.Moment{Step: s}, enginetest.Moment{Step: s, After: true})
	}
	return list
}

// TestRunUndoes: whichever step fails, before or after it did its work, nothing is left.
func TestRunUndoes(t *testing.T) {
	for _, m := range moments(append([]string{"network.Setup"}, runSteps...)...) {
		t.Run(m.String(), func(t *testing.T) {
			b := newBench(t)
			b.FailAt = m
			if _, err := b.start(web()); !errors.Is(err, enginetest.ErrInjected) {
				t.Errorf("got %v", err)
			}
			b.clean()
		})
	}
}

// TestCleanSeesWhatIsLeft is the negative control of the tests that use clean.
func TestCleanSeesWhatIsLeft(t *testing.T) {
	b := newBench(t)
	s, err := b.start(web())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"connection " + s.ID, "group", "mount " + s.ID, "plan " + s.ID, "process", "record " + s.ID}
	if got := b.Left(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(b.files()) < 3 {
		t.Errorf("on disk: %v", b.files())
	}
}

// TestRemoveAfterKilledRun: a start that is killed between any two steps is taken away by its name.
func TestRemoveAfterKilledRun(t *testing.T) {
	for _, m := range moments(append([]string{"network.Setup"}, runSteps...)...) {
		t.Run(m.String(), func(t *testing.T) {
			b := newBench(t)
			b.KillAt = m
			if _, err := b.start(web()); !errors.Is(err, errKilled) {
				t.Fatalf("was not killed: %v", err)
			}
			b.KillAt = enginetest.Moment{}
			if err := b.remove("web", force); err != nil {
				t.Error(err)
			}
			b.clean()
		})
	}
}

// TestReplaceAfterKilledRun: the next start of the unit does so, too.
func TestReplaceAfterKilledRun(t *testing.T) {
	for _, m := range moments("store.Image", "runtime.Create", "runtime.Start") {
		t.Run(m.String(), func(t *testing.T) {
			b := newBench(t)
			b.KillAt = m
			if _, err := b.start(web()); !errors.Is(err, errKilled) {
				t.Fatalf("was not killed: %v", err)
			}
			b.KillAt = enginetest.Moment{}
			c := web()
			c.Replace = true
			s, err := b.start(c)
			if err != nil || !s.Running() {
				t.Fatalf("%+v, %v", s, err)
			}
			if err := b.remove("web", force); err != nil {
				t.Error(err)
			}
			b.clean()
		})
	}
}

// TestRemoveAfterKilledRemove: so is a removal.
func TestRemoveAfterKilledRemove(t *testing.T) {
	for _, m := range moments(removeSteps...) {
		t.Run(m.String(), func(t *testing.T) {
			b := newBench(t)
			if _, err := b.start(web()); err != nil {
				t.Fatal(err)
			}
			b.KillAt = m
			if err := b.remove("web", force); !errors.Is(err, errKilled) {
				t.Fatalf("was not killed: %v", err)
			}
			b.KillAt = enginetest.Moment{}
			if err := b.remove("web", force); err != nil {
				t.Error(err)
			}
			b.clean()
		})
	}
}

// TestRemoveGoesOn: what fails to go is reported, the rest goes, and another try finds it.
func TestRemoveGoesOn(t *testing.T) {
	for _, step := range removeSteps {
		t.Run(step, func(t *testing.T) {
			b := newBench(t)
			if _, err := b.start(web()); err != nil {
				t.Fatal(err)
			}
			b.Forget()
			b.FailAt = enginetest.Moment{Step: step}
			if err := b.remove("web", force); !errors.Is(err, enginetest.ErrInjected) || !strings.Contains(err.Error(), `"web"`) {
				t.Errorf("got %v", err)
			}
			if got := b.Steps(); !slices.Equal(got, slices.Concat(stopSteps, removeSteps)) {
				t.Errorf("did not go on: %v", got)
			}
			b.FailAt = enginetest.Moment{}
			if err := b.remove("web", force); err != nil {
				t.Error(err)
			}
			b.clean()
		})
	}
}

// TestHalfReleased: a removal killed while it gave the name and the directory back.
func TestHalfReleased(t *testing.T) {
	b := newBench(t)
	s, err := b.start(web())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.remove("web", force); err != nil {
		t.Fatal(err)
	}
	names := filepath.Join(b.run, "names")
	// The directory is gone, the name is not.
	if err := errors.Join(os.MkdirAll(names, 0o700), os.Symlink("../"+s.ID, filepath.Join(names, "web"))); err != nil {
		t.Fatal(err)
	}
	if err := b.remove("web", force); err != nil {
		t.Error(err)
	}
	b.clean()
	// The state file is gone, some of the rest is not.
	if err := errors.Join(os.Symlink("../"+s.ID, filepath.Join(names, "web")), os.MkdirAll(filepath.Join(b.run, s.ID, "runtime"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := b.remove("web", force); err != nil {
		t.Error(err)
	}
	b.clean()
	// The same, asked for by the ID, as who has looked the name up before does.
	if err := errors.Join(os.Symlink("../"+s.ID, filepath.Join(names, "web")), os.MkdirAll(filepath.Join(b.run, s.ID), 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := b.remove(s.ID, force); err != nil {
		t.Error(err)
	}
	b.clean()
}

func TestNameInUse(t *testing.T) {
	b := newBench(t)
	first, err := b.start(web())
	if err != nil {
		t.Fatal(err)
	}
	b.Forget()
	_, err = b.start(web())
	if !errors.Is(err, engine.ErrNameInUse) || !strings.Contains(err.Error(), "berth rm web") {
		t.Errorf("got %v", err)
	}
	if len(b.Steps()) > 0 || !first.Running() {
		t.Errorf("the first one was touched: %v", b.Steps())
	}
	c := web()
	c.Replace = true
	second, err := b.start(c)
	if err != nil || first.Running() || !second.Running() {
		t.Errorf("replace: %v; the first runs: %v, the second: %v", err, first.Running(), second.Running())
	}
	if list, _ := (engine.Dirs{Run: b.run}).List(); len(list) != 1 || list[0].ID != second.ID {
		t.Errorf("list: %v", list)
	}
}

// TestNameIsNoBeginningOfAnID: a container named as another one's ID begins takes that one neither away nor for itself.
func TestNameIsNoBeginningOfAnID(t *testing.T) {
	b := newBench(t)
	other, err := b.start(web())
	if err != nil {
		t.Fatal(err)
	}
	name := other.ID[:2]
	if err := b.remove(name, force); err != nil || !other.Running() {
		t.Fatalf("rm -f -i %s: %v; the other one runs: %v", name, err, other.Running())
	}
	c := web()
	c.Name, c.Replace = name, true
	if _, err := b.start(c); err != nil || !other.Running() {
		t.Errorf("run --replace --name %s: %v; the other one runs: %v", name, err, other.Running())
	}
	// Who asks for it by hand may be brief, and what `ps` prints is always enough.
	if err := b.remove(other.ID[:12], force); err != nil || other.Running() {
		t.Errorf("rm -f -i of twelve digits: %v; it runs: %v", err, other.Running())
	}
}

// TestNameBeforeID: the name of a container at rest comes before the beginning of the ID of one that runs, and such a beginning may be of both.
func TestNameBeforeID(t *testing.T) {
	dirs := engine.Dirs{Run: t.TempDir(), Keep: t.TempDir()}
	runs, named, rests := "db"+strings.Repeat("a", 62), strings.Repeat("c", 64), "dbb"+strings.Repeat("b", 61)
	writeState(t, dirs, runs, `{"version":1,"id":"`+runs+`","name":"web"}`)
	for id, name := range map[string]string{named: "db", rests: "rests", runs: "web"} {
		record := filepath.Join(dirs.Keep, id, "userdata/berth.json")
		if err := errors.Join(os.MkdirAll(filepath.Dir(record), 0o700), os.WriteFile(record, []byte(`{"version":1,"id":"`+id+`","name":"`+name+`"}`), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for word, want := range map[string]string{"db": named, "dba": runs, "dbb": rests, runs[:12]: runs, rests: rests} {
		if s, err := dirs.Find(word); err != nil || s.ID != want {
			t.Errorf("%s: %s, %v", word, s.ID, err)
		}
	}
	if s, err := dirs.Find("d"); err == nil || !strings.Contains(err.Error(), "2 container IDs") {
		t.Errorf("of two: %s, %v", s.ID, err)
	}
}

// closedStore is a store that cannot be opened.
type closedStore struct{ engine.Store }

func (closedStore) Image(string) (engine.Image, error) { return engine.Image{}, enginetest.ErrInjected }
func (closedStore) Remove(string) error                { return enginetest.ErrInjected }

// TestRunWithoutStore: a container for which the store could not be opened is not there.
func TestRunWithoutStore(t *testing.T) {
	b := newBench(t)
	err := b.on(func(e *engine.Engine) error {
		e.Store = closedStore{e.Store}
		_, err := e.Run(t.Context(), web())
		return err
	})
	if !errors.Is(err, enginetest.ErrInjected) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
	b.clean()
}

// TestNameOfARootfs: a container on a directory is not in the store, and has its name nevertheless.
func TestNameOfARootfs(t *testing.T) {
	b := newBench(t)
	s := b.kept()
	c := web()
	c.Rootfs, c.Image, c.Command = true, b.Root, []string{"/bin/true"}
	if _, err := b.start(c); !errors.Is(err, engine.ErrNameInUse) {
		t.Errorf("the name of one at rest: %v", err)
	}
	c.Name = "live"
	if _, err := b.start(c); err != nil {
		t.Fatal(err)
	}
	e := engine.Engine{Dirs: b.dirs()}
	if err := e.Rename(s, "live", func(string, string) error { return nil }); !errors.Is(err, engine.ErrNameInUse) {
		t.Errorf("renamed: %v", err)
	}
	if now, err := b.dirs().Find(s.ID); err != nil || now.Name != "web" {
		t.Errorf("%s, %v", now.Name, err)
	}
}

func TestFind(t *testing.T) {
	dirs := engine.Dirs{Run: t.TempDir()}
	ids := []string{strings.Repeat("a", 64), "ab" + strings.Repeat("c", 62)}
	for i, id := range ids {
		writeState(t, dirs, id, fmt.Sprintf(`{"version":1,"id":"%s","name":"n%d"}`, id, i))
	}
	for word, want := range map[string]string{"aa": ids[0], "ab": ids[1], ids[1]: ids[1]} {
		if s, err := dirs.Find(word); err != nil || s.ID != want {
			t.Errorf("%s: %s, %v", word, s.ID, err)
		}
	}
	if _, err := dirs.Find("a"); err == nil || errors.Is(err, engine.ErrNoContainer) || !strings.Contains(err.Error(), "2 container IDs") {
		t.Errorf("ambiguous: %v", err)
	}
	for _, word := range []string{"", "..", "../" + ids[0], "b", "names", "a/b", strings.Repeat("a", 65)} {
		if s, err := dirs.Find(word); !errors.Is(err, engine.ErrNoContainer) {
			t.Errorf("%q: %s, %v", word, s.ID, err)
		}
	}
}

func writeState(t *testing.T, dirs engine.Dirs, id, text string) string {
	t.Helper()
	file := filepath.Join(dirs.Container(id), "state.json")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestStateFiles: what a newer berth wrote, or what is damaged, is refused with a sentence and left as it is.
func TestStateFiles(t *testing.T) {
	dirs := engine.Dirs{Run: t.TempDir()}
	good, newer, damaged := strings.Repeat("a", 64), strings.Repeat("b", 64), strings.Repeat("c", 64)
	texts := map[string]string{
		good: `{"version":1,"id":"` + good + `","name":"good"}`, newer: `{"version":2,"id":"` + newer + `","name":"newer"}`, damaged: `{"version":1,"id":`,
	}
	files := map[string]string{}
	for id, text := range texts {
		files[id] = writeState(t, dirs, id, text)
	}
	for id, want := range map[string]string{newer: "use the newer berth", damaged: "is damaged"} {
		_, err := dirs.Find(id)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), files[id]) {
			t.Errorf("got %v, want %q and the file's name", err, want)
		}
		e := (&enginetest.World{}).Engine(dirs.Run)
		if err := e.Remove(context.Background(), id, force); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("remove: %v", err)
		}
		if got, _ := os.ReadFile(files[id]); string(got) != texts[id] {
			t.Errorf("%s was written: %q", files[id], got)
		}
	}
	list, err := dirs.List()
	if err != nil || len(list) != 1 || list[0].Name != "good" {
		t.Errorf("list: %v, %v", list, err)
	}
	// Whoever asks before a volume is removed hears that not all is known.
	for _, id := range []string{newer, damaged} {
		if err := dirs.CheckUnused("data"); err == nil || !strings.Contains(err.Error(), files[id]) {
			t.Errorf("the volume counts as unused though %s cannot be read: %v", files[id], err)
		}
		os.Remove(files[id])
	}
	if err := dirs.CheckUnused("data"); err != nil {
		t.Errorf("all can be read: %v", err)
	}
}

// TestVolumeUsers: a record that a newer berth has written counts, though no container runs.
func TestVolumeUsers(t *testing.T) {
	id := strings.Repeat("a", 64)
	dirs := engine.Dirs{Run: t.TempDir(), Keep: t.TempDir()}
	record := filepath.Join(dirs.Keep, id, "userdata/berth.json")
	write := func(text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(record), 0o700), os.WriteFile(record, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"version":99,"id":"` + id + `"}`)
	if err := dirs.CheckUnused("data"); err == nil || !strings.Contains(err.Error(), "version 99") {
		t.Errorf("a record of a newer version: %v", err)
	}
	write(`{"version":1,"id":"` + id + `","name":"web","mounts":[{"name":"data"}],"container":{"Volumes":["data:/d"]}}`)
	var used *engine.VolumeUsedError
	if err := dirs.CheckUnused("data"); !errors.As(err, &used) || len(used.Users) != 1 || used.Users[0] != "web" {
		t.Errorf("used: %v", err)
	}
	if err := errors.Join(dirs.CheckUnused("data", "web"), dirs.CheckUnused("other")); err != nil {
		t.Error(err)
	}
}

func TestListWithoutAny(t *testing.T) {
	if list, err := (engine.Dirs{Run: filepath.Join(t.TempDir(), "none")}).List(); len(list) != 0 || err != nil {
		t.Errorf("%v, %v", list, err)
	}
}

// TestRunRefuses: what can be seen to be wrong is refused before anything is touched.
func TestRunRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*spec.Container)
		want   string
	}{
		{"name", func(c *spec.Container) { c.Name = "../x" }, "name"},
		{"port", func(c *spec.Container) { c.Publish = []string{"x"} }, "published port"},
		{"two networks, one alone", func(c *spec.Container) { c.Publish, c.Networks = nil, []string{"host", "b"} }, "stands alone"},
		{"stop signal", func(c *spec.Container) { c.StopSignal = "NOPE" }, "stop signal"},
		{"sysctl", func(c *spec.Container) { c.Sysctls = []string{"kernel.panic=1"} }, "change the host"},
		{"volume", func(c *spec.Container) { c.Volumes = []string{"/no/such/place:/data"} }, "the host has no /no/such/place"},
		{"environment file", func(c *spec.Container) { c.EnvFiles = []string{"/no/such/file"} }, "environment file"},
		{"user", func(c *spec.Container) { c.User = "nobody-of-that-name" }, "nobody-of-that-name"},
		{"user number", func(c *spec.Container) { c.User = "4294967296" }, "4294967296"},
		{"image", func(c *spec.Container) { c.Image, c.Pull = "none", "never" }, "--pull=never forbids"},
		{"missing image", func(c *spec.Container) { c.Image = "none" }, "image not known"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			c := web()
			tt.change(&c)
			if _, err := b.start(c); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			b.clean()
		})
	}
}

func TestPull(t *testing.T) {
	b := newBench(t)
	c := web()
	c.Image, c.Networks, c.Publish = "remote", []string{"none"}, nil
	if _, err := b.start(c); err != nil {
		t.Fatal(err)
	}
	if got := b.Steps()[:4]; !slices.Equal(got, []string{"store.Image", "pull", "store.Image", "cgroups.Divide"}) {
		t.Errorf("missing: %v", got)
	}
	b.Forget()
	c.Name, c.Pull = "other", "always"
	if _, err := b.start(c); err != nil {
		t.Fatal(err)
	}
	if got := b.Steps()[:2]; !slices.Equal(got, []string{"pull", "store.Image"}) {
		t.Errorf("always: %v", got)
	}
	b.Forget()
	c.Name, c.Pull, c.Platform = "third", "never", "linux/other" // the helper fetches nothing, but knows what the image is for
	if _, err := b.start(c); err != nil {
		t.Fatal(err)
	}
	if got := b.Steps()[:2]; !slices.Equal(got, []string{"pull", "store.Image"}) {
		t.Errorf("never, for another platform: %v", got)
	}
}

// TestPruneBesideAStart: an image that is removed between its lookup and its use is brought in once more, where that is allowed.
func TestPruneBesideAStart(t *testing.T) {
	for policy, want := range map[string]string{"missing": "", "always": "", "never": "--pull=never forbids"} {
		b := newBench(t)
		b.Meanwhile = func(m enginetest.Moment) {
			if m.Step == "network.Plan" {
				b.Prune()
				b.Meanwhile = nil
			}
		}
		c := web()
		c.Image, c.Pull = "remote", policy
		if policy == "never" { // it is there
			if err := b.Engine(t.TempDir()).Pull(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		_, err := b.start(c)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("--pull=%s: %v, want %q", policy, err, want)
		}
	}
}

// TestStopKills: a container that does not heed its stop signal is killed when its time is over.
func TestStopKills(t *testing.T) {
	b := newBench(t)
	c := web()
	c.StopSignal = "CHLD" // which sleep ignores
	c.StopTimeout = 20 * time.Millisecond
	s, err := b.start(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.remove("web", force); err != nil || s.Running() {
		t.Errorf("%v; it runs: %v", err, s.Running())
	}
	b.clean()
}

func TestUser(t *testing.T) {
	b := newBench(t)
	c := web()
	c.User, c.WorkDir = "a", "/srv/deep"
	s, err := b.start(c)
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join(b.run, s.ID, "config.json"))
	if err != nil || !strings.Contains(string(config), `"uid":7,"gid":8`) || !strings.Contains(string(config), "HOME=/home/a") {
		t.Errorf("%s, %v", config, err)
	}
	if info, err := os.Stat(filepath.Join(b.Root, "srv/deep")); err != nil || !info.IsDir() {
		t.Errorf("the working directory: %v", err)
	}
}

// TestFilesOfAFinishedStart: the ones asked for hold the PID and the ID; one that cannot be written fails the start.
func TestFilesOfAFinishedStart(t *testing.T) {
	b := newBench(t)
	c := web()
	dir := t.TempDir()
	c.PIDFile, c.CIDFile = filepath.Join(dir, "pid"), filepath.Join(dir, "cid")
	s, err := b.start(c)
	if err != nil {
		t.Fatal(err)
	}
	pid, _ := os.ReadFile(c.PIDFile)
	cid, _ := os.ReadFile(c.CIDFile)
	if string(pid) != fmt.Sprintf("%d\n", s.Init.PID) || string(cid) != s.ID {
		t.Errorf("%q, %q", pid, cid)
	}
	if err := b.remove("web", force); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(c.CIDFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file with the ID of a container that has gone: %v", err)
	}
	if _, err := b.start(c); err != nil {
		t.Fatal(err)
	}
	other := strings.Repeat("0", 64)
	if err := errors.Join(os.WriteFile(c.CIDFile, []byte(other), 0o600), b.remove("web", force)); err != nil {
		t.Fatal(err)
	}
	if cid, err := os.ReadFile(c.CIDFile); string(cid) != other {
		t.Errorf("another container's file is %q, %v", cid, err)
	}
	c.PIDFile = filepath.Join(dir, "none/pid")
	b.Forget()
	if _, err := b.start(c); err == nil || slices.Contains(b.Steps(), "notify MAINPID=container READY=1") {
		t.Errorf("%v; steps %v", err, b.Steps())
	}
	b.clean()
}

// TestNotifySocket: systemd's own is given to a container that cannot be root outside. What another one says is for the keeper, and
// nobody waits for it.
func TestNotifySocket(t *testing.T) {
	for _, tt := range []struct {
		user, front bool
		driver      string
		maps        []string
		keeps       string
	}{
		{keeps: "keeper.Keep journald notify stdout stderr"},
		{driver: "none", keeps: "keeper.Keep none notify"},
		{driver: "passthrough", keeps: "keeper.Keep passthrough notify"},
		{front: true, keeps: "keeper.Keep journald notify"},
		{user: true, driver: "none"},
		{maps: []string{"0:100000:1000"}, driver: "none"},
		{maps: []string{"0:100000:1", "1:0:1"}, driver: "none", keeps: "keeper.Keep none notify"},
	} {
		b := newBench(t)
		b.Socket, b.User, b.Keeps = "/run/systemd/notify", tt.user, true
		c := web()
		c.SDNotify, c.UIDMaps, c.GIDMaps, c.LogDriver, c.Detach = "container", tt.maps, tt.maps, tt.driver, !tt.front
		s, err := b.start(c)
		if err != nil {
			t.Fatalf("%+v: %v", tt, err)
		}
		dir := filepath.Join(b.run, s.ID)
		config, err := os.ReadFile(filepath.Join(dir, "config.json"))
		if err != nil || strings.Contains(string(config), `"source":"/run/systemd/notify"`) != (tt.keeps == "") || !strings.Contains(string(config), "NOTIFY_SOCKET=/run/notify/notify.sock") {
			t.Errorf("%+v: %s, %v", tt, config, err)
		}
		var said []string
		for _, s := range b.Steps() {
			if strings.HasPrefix(s, "notify") || strings.HasPrefix(s, "keeper.Keep") {
				said = append(said, s)
			}
		}
		want := []string{"notify MAINPID=container"}
		if tt.keeps != "" {
			want = []string{tt.keeps, want[0]}
			if b.Record.Notify != b.Socket {
				t.Errorf("%+v: the keeper is to tell it to %q", tt, b.Record.Notify)
			}
			if got, err := say(filepath.Join(dir, "notify.sock"), b.Handed[0]); got != "STATUS=a" || err != nil {
				t.Errorf("%+v: the keeper hears %q, %v", tt, got, err)
			}
		}
		if !slices.Equal(said, want) {
			t.Errorf("%+v: %q, want %q", tt, said, want)
		}
		for _, fd := range b.Handed {
			unix.Close(fd)
		}
		if err := b.remove("web", force); err != nil {
			t.Fatal(err)
		}
	}
}

// say sends a message to a container's notification socket, and reads it where the keeper does.
func say(path string, at int) (string, error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	defer dir.Close()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	to := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)) // the name of a socket is short
	if err := unix.Sendto(fd, []byte("STATUS=a"), 0, &unix.SockaddrUnix{Name: to}); err != nil {
		return "", err
	}
	buf := make([]byte, 100)
	n, _, err := unix.Recvfrom(at, buf, unix.MSG_DONTWAIT)
	return string(buf[:max(n, 0)]), err
}

// TestGuarded: the keeper is told of each container that systemd is told of, before its program begins, and after.
func TestGuarded(t *testing.T) {
	for _, tt := range []struct {
		driver, socket, notify string
		before, after          string
	}{
		{driver: "passthrough", socket: "/run/systemd/notify", before: "keeper.Guard", after: "keeper.Started"},
		{driver: "none", socket: "/run/systemd/notify", before: "keeper.Guard", after: "keeper.Started"},
		{socket: "/run/systemd/notify", before: "keeper.Keep journald stdout stderr", after: "keeper.Started"},
		{driver: "none"},
		{driver: "none", socket: "/run/systemd/notify", notify: "ignore"},
	} {
		b := newBench(t)
		b.Socket, b.Keeps = tt.socket, true
		c := web()
		c.LogDriver, c.SDNotify, c.Detach = tt.driver, tt.notify, true
		if _, err := b.start(c); err != nil {
			t.Fatal(err)
		}
		var before, after string
		at := &before
		for _, s := range b.Steps() {
			switch {
			case s == "runtime.Start":
				at = &after
			case strings.HasPrefix(s, "keeper.") && s != "keeper.Wait":
				*at += s
			}
		}
		if before != tt.before || after != tt.after {
			t.Errorf("%+v: %q before the start, %q after", tt, before, after)
		}
		if err := b.remove("web", force); err != nil {
			t.Fatal(err)
		}
		b.clean()
	}
}

// TestHealthyWithoutOutput: the keeper looks after the health of a container whose output nobody keeps.
func TestHealthyWithoutOutput(t *testing.T) {
	b := newBench(t)
	b.Socket, b.Keeps = "/run/systemd/notify", true
	c := web()
	c.LogDriver, c.SDNotify, c.Detach, c.HealthCmd = "none", "healthy", true, "true"
	if _, err := b.start(c); err != nil {
		t.Fatal(err)
	}
	if steps := b.Steps(); !slices.Contains(steps, "keeper.Keep none") || steps[len(steps)-1] != "notify READY=1" {
		t.Errorf("%q", steps)
	}
	if err := b.remove("web", force); err != nil {
		t.Fatal(err)
	}
	b.clean()
}

// losing is a keeper that ends once while it is waited for.
type losing struct {
	engine.Keeping
	lost bool
}

func (l *losing) AwaitHealthy(ctx context.Context, id string) error {
	if !l.lost {
		l.lost = true
		return keeper.ErrLost
	}
	return l.Keeping.AwaitHealthy(ctx, id)
}

// busy is a keeper that ends once when it has been handed something.
type busy struct {
	engine.Keeping
	lost bool
}

func (k *busy) Wait(ctx context.Context) error {
	if !k.lost {
		k.lost = true
		return keeper.ErrLost
	}
	return k.Keeping.Wait(ctx)
}

// TestKeepTerminal: the terminal of a command is the next keeper's when the one before has ended.
func TestKeepTerminal(t *testing.T) {
	b := newBench(t)
	b.Keeps = true
	e := b.Engine(b.run)
	first, err := e.Keeper()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.KeepTerminal(t.Context(), &busy{Keeping: first}, keeper.Record{ID: "x", Driver: keeper.Discard}, os.Stdin); err != nil {
		t.Error(err)
	}
	if kept := strings.Join(b.Steps(), " "); strings.Count(kept, "keeper.Keep") != 2 || !strings.HasSuffix(kept, "keeper.Wait") || len(b.Handed) != 1 {
		t.Errorf("%s; %d files", kept, len(b.Handed))
	}
}

// TestKeeperEndsBeforeHealthy: the next keeper is not to kill a container of which the one before was told that it has been started.
func TestKeeperEndsBeforeHealthy(t *testing.T) {
	b := newBench(t)
	b.Socket, b.Keeps = "/run/systemd/notify", true
	c := web()
	c.SDNotify, c.HealthCmd = "healthy", "true"
	var guards []bool
	b.Meanwhile = func(m enginetest.Moment) {
		if m == (enginetest.Moment{Step: "keeper.Wait"}) {
			guards = append(guards, b.Record.Guard)
		}
	}
	b.must(func(e *engine.Engine) error {
		keeping, err := e.Keeper()
		l := &losing{Keeping: keeping}
		e.Keeper = func() (engine.Keeping, error) { return l, err }
		_, err = e.Run(t.Context(), c)
		return err
	})
	if !slices.Equal(guards, []bool{true, false}) {
		t.Errorf("guarded: %v", guards)
	}
}

// TestNotify: who tells systemd what.
func TestNotify(t *testing.T) {
	for who, want := range map[string]string{
		"": "notify MAINPID=container READY=1", "conmon": "notify MAINPID=container READY=1", "container": "notify MAINPID=container", "ignore": "",
	} {
		b := newBench(t)
		c := web()
		c.SDNotify = who
		if _, err := b.start(c); err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, s := range b.Steps() {
			if strings.HasPrefix(s, "notify") {
				said = append(said, s)
			}
		}
		if got := strings.Join(said, " "); got != want {
			t.Errorf("%q: %q, want %q", who, got, want)
		}
	}
}

func TestVolumes(t *testing.T) {
	b := newBench(t)
	volume := func(name string) string { return filepath.Join(filepath.Dir(b.Root), "volumes", name) }
	err := errors.Join(os.MkdirAll(filepath.Join(b.Root, "srv/data/deep"), 0o755), os.WriteFile(filepath.Join(b.Root, "srv/data/file"), []byte("of the image"), 0o640),
		os.Chown(filepath.Join(b.Root, "srv/data"), 33, 34), os.Symlink(t.TempDir(), filepath.Join(b.Root, "away")))
	if err != nil {
		t.Fatal(err)
	}
	c := web()
	c.User = "a"
	c.Volumes = []string{"full:/srv/data", "empty:/srv/data:nocopy", "none:/not/in/the/image", "away:/away/x"}
	if _, err := b.start(c); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"full": "33:34 deep file", "empty": "7:8", "none": "7:8", "away": "7:8"} {
		info, err := os.Stat(volume(name))
		if err != nil {
			t.Error(err)
			continue
		}
		st := info.Sys().(*syscall.Stat_t)
		got := fmt.Sprintf("%d:%d", st.Uid, st.Gid)
		list, _ := os.ReadDir(volume(name))
		for _, e := range list {
			got += " " + e.Name()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	// What is in a volume stays as it is.
	if err := errors.Join(os.WriteFile(filepath.Join(volume("full"), "file"), []byte("mine"), 0o600), b.remove("web", force)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.start(c); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(filepath.Join(volume("full"), "file")); string(got) != "mine" {
		t.Errorf("a volume was filled again: %q", got)
	}
}

// TestUserWords: a user that is not what it seems is refused, never taken for root (CVE-2024-40635, CVE-2026-46680).
func TestUserWords(t *testing.T) {
	tests := map[string]string{
		"": `"uid":0,"gid":0`, "0": `"uid":0,"gid":0`, "root:0": "", "a": `"uid":7,"gid":8`, "a:9": `"uid":7,"gid":9`, "7": `"uid":7,"gid":8`,
		"1000": `"uid":1000,"gid":0`, "1000:1001": `"uid":1000,"gid":1001`, ":5": `"uid":0,"gid":5`, "2147483647": `"uid":2147483647,"gid":0`,
		"-1": "", "2147483648": "", "4294967295": "", "4294967296": "", "18446744073709551616": "", "0x0": "", "1e3": "", "1.0": "", "nobody": "", "a:nogroup": "", "1:-1": "",
		"1:4294967296": "", "a b": "", "a\n": "",
	}
	for who, want := range tests {
		b := newBench(t)
		c := web()
		c.User, c.Networks, c.Publish = who, []string{"none"}, nil
		s, err := b.start(c)
		if want == "" {
			if err == nil {
				config, _ := os.ReadFile(filepath.Join(b.run, s.ID, "config.json"))
				t.Errorf("%q was taken: %.60s", who, config)
			}
			continue
		}
		config, _ := os.ReadFile(filepath.Join(b.run, s.ID, "config.json"))
		if err != nil || !strings.Contains(string(config), want) {
			t.Errorf("%q: %v; %.80s", who, err, config)
		}
	}
}
