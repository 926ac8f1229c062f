package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/enginetest"
	"github.com/berth-pods/berth/engine/events"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

// on calls f with an engine on a thread of its own, as main does.
func (b *bench) on(f func(*engine.Engine) error) (err error) {
	done := make(chan struct{})
	err = errKilled
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with its mount namespace
		fErr := f(b.Engine(b.run))
		err = fErr
	}()
	<-done
	return err
}

func (b *bench) dirs() engine.Dirs { return engine.Dirs{Run: b.run, Keep: b.Kept()} }

// keptWeb is a container that outlives its end.
func keptWeb() spec.Container {
	c := web()
	c.Remove = false
	return c
}

// keptWithData is one that has an anonymous volume.
func keptWithData() spec.Container {
	c := keptWeb()
	c.Volumes = []string{"/data"}
	return c
}

// atRest runs a container until it has ended and is put away.
func (b *bench) atRest(c spec.Container) engine.State {
	b.t.Helper()
	s, err := b.start(c)
	if err != nil {
		b.t.Fatal(err)
	}
	b.End()
	b.must(func(e *engine.Engine) error { return e.Cleanup(b.t.Context(), s, engine.Exit{}) })
	return s
}

// TestLife: create, start, end, start again, remove; after each step it is found by its name, and only the last leaves
// nothing.
func TestLife(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	var s engine.State
	if err := b.on(func(e *engine.Engine) (err error) { s, err = e.Create(ctx, keptWeb()); return err }); err != nil {
		t.Fatal(err)
	}
	if files := b.files(); len(files) > 0 {
		t.Errorf("a container that does not run has state of this boot: %v", files)
	}
	if err := b.on(func(e *engine.Engine) error { _, err := e.Create(ctx, keptWeb()); return err }); !errors.Is(err, engine.ErrNameInUse) {
		t.Errorf("the name a second time: %v", err)
	}
	for round := range 2 {
		found, err := b.dirs().Find("web")
		if err != nil || found.ID != s.ID || found.Running() || (found.Exit == nil) != (round == 0) {
			t.Fatalf("before start %d: %+v, %v", round, found, err)
		}
		b.Forget()
		if err := b.on(func(e *engine.Engine) (err error) { s, err = e.Start(ctx, found); return err }); err != nil {
			t.Fatal(err)
		}
		if steps := b.Steps(); slices.Contains(steps, "store.Create") || !slices.Contains(steps, "store.Mount") || !slices.Contains(steps, "network.Plan") {
			t.Errorf("start %d: %v", round, steps)
		}
		if found, err = b.dirs().Find("web"); err != nil || !found.Running() || found.Exit != nil || found.Started.IsZero() {
			t.Errorf("started: %+v, %v", found, err)
		}
		if err := b.on(func(e *engine.Engine) error { _, err := e.Start(ctx, found); return err }); !errors.Is(err, engine.ErrIsRunning) {
			t.Errorf("started twice: %v", err)
		}
		b.End()
		for range 2 {
			if err := b.on(func(e *engine.Engine) error { return e.Cleanup(ctx, found, engine.Exit{Code: 7}) }); err != nil {
				t.Fatal(err)
			}
		}
		found, err = b.dirs().Find(s.ID[:12])
		if err != nil || found.Exit == nil || found.Exit.Code != 7 || found.Finished.IsZero() || found.Networked {
			t.Errorf("ended: %+v, %v", found, err)
		}
		if left := fmt.Sprint(b.Left()); left != fmt.Sprintf("[mount %s record %[1]s]", s.ID) || len(b.files()) > 0 {
			t.Errorf("an ended container has %s %v", left, b.files())
		}
	}
	if list, err := b.dirs().All(); err != nil || len(list) != 1 {
		t.Errorf("all: %v, %v", list, err)
	}
	if err := b.remove("web", engine.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	b.clean()
	if list, err := b.dirs().All(); err != nil || len(list) != 0 {
		t.Errorf("removed: %v, %v", list, err)
	}
}

// TestCreateKilled: a container whose maker was killed when it was made as a whole can be started, and removed.
func TestCreateKilled(t *testing.T) {
	for _, started := range []bool{false, true} {
		b := newBench(t)
		err := b.on(func(e *engine.Engine) error {
			e.Event = func(events.Event) { runtime.Goexit() }
			_, err := e.Create(t.Context(), keptWeb())
			return err
		})
		if !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		found, err := b.dirs().Find("web")
		if list, _ := b.dirs().List(); err != nil || found.Startable() != nil || found.OnItsWay() || len(list) > 0 {
			t.Errorf("%+v, %v; runs: %v", found, err, list)
		}
		if err := b.on(func(e *engine.Engine) error { _, err := e.Create(t.Context(), keptWeb()); return err }); !errors.Is(err, engine.ErrNameInUse) {
			t.Errorf("the name a second time: %v", err)
		}
		if started {
			b.must(func(e *engine.Engine) error { _, err := e.Start(t.Context(), found); return err })
		}
		if err := b.remove("web", force); err != nil {
			t.Error(err)
		}
		b.clean()
	}
}

// TestStartFails: a start that fails at any step leaves the container as it was, and says why.
func TestStartFails(t *testing.T) {
	for _, m := range moments("network.Plan", "cgroups.Divide", "store.Mount", "cgroups.Wait", "runtime.Create", "runtime.Start") {
		t.Run(m.String(), func(t *testing.T) {
			b := newBench(t)
			ctx := context.Background()
			var s engine.State
			if err := b.on(func(e *engine.Engine) (err error) { s, err = e.Create(ctx, keptWeb()); return err }); err != nil {
				t.Fatal(err)
			}
			b.FailAt = m
			if err := b.on(func(e *engine.Engine) error { _, err := e.Start(ctx, s); return err }); !errors.Is(err, enginetest.ErrInjected) {
				t.Fatal(err)
			}
			b.FailAt = enginetest.Moment{}
			found, err := b.dirs().Find("web")
			if err != nil || found.Exit == nil || found.Exit.Code != 125 || found.Exit.Error == "" || len(b.files()) > 0 {
				t.Errorf("%+v, %v; %v", found, err, b.files())
			}
			if err := b.remove("web", engine.RemoveOptions{}); err != nil {
				t.Fatal(err)
			}
			b.clean()
		})
	}
}

// TestStartKilled: a start that was killed can be cleaned up, and started again.
func TestStartKilled(t *testing.T) {
	for _, m := range moments("network.Plan", "network.Setup", "cgroups.Divide", "store.Mount", "cgroups.Wait", "runtime.Create", "runtime.Start") {
		t.Run(m.String(), func(t *testing.T) {
			b := newBench(t)
			ctx := context.Background()
			var s engine.State
			if err := b.on(func(e *engine.Engine) (err error) { s, err = e.Create(ctx, keptWeb()); return err }); err != nil {
				t.Fatal(err)
			}
			b.KillAt = m
			if err := b.on(func(e *engine.Engine) error { _, err := e.Start(ctx, s); return err }); !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
			b.KillAt = enginetest.Moment{}
			found, err := b.dirs().Find("web")
			if err != nil {
				t.Fatal(err)
			}
			b.End()
			if err := b.on(func(e *engine.Engine) error { return e.Cleanup(ctx, found, engine.Exit{Code: 137}) }); err != nil {
				t.Fatal(err)
			}
			if found, err = b.dirs().Find("web"); err != nil || found.Exit == nil || len(b.files()) > 0 {
				t.Errorf("%+v, %v; %v", found, err, b.files())
			}
			if err := b.remove("web", engine.RemoveOptions{}); err != nil {
				t.Fatal(err)
			}
			b.clean()
		})
	}
}

// TestStartAfterHalfAStart: what a start has left that was killed while it took the name, or an end while it gave it back, is no hindrance.
func TestStartAfterHalfAStart(t *testing.T) {
	for _, tt := range []struct{ name, directory bool }{{true, false}, {true, true}, {false, true}} {
		b := newBench(t)
		s := b.kept()
		dir, names := b.dirs().Container(s.ID), filepath.Join(b.run, "names")
		err := os.MkdirAll(names, 0o700)
		if tt.name {
			err = errors.Join(err, os.Symlink("../"+s.ID, filepath.Join(names, "web")))
		}
		if tt.directory {
			err = errors.Join(err, os.MkdirAll(filepath.Join(dir, "runtime"), 0o700))
		}
		if err != nil {
			t.Fatal(err)
		}
		found, err := b.dirs().Find("web")
		if err != nil {
			t.Fatal(err)
		}
		if err := b.on(func(e *engine.Engine) error { _, err := e.Start(t.Context(), found); return err }); err != nil {
			t.Errorf("%+v: %v", tt, err)
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "runtime")); err == nil {
			t.Errorf("%+v: what was left is there", tt)
		}
		if err := b.remove("web", force); err != nil {
			t.Error(err)
		}
		b.clean()
	}
}

// TestConnectIsSeen: while a container is put on a network its state tells so, for who removes networks looks there; when that fails, no more.
func TestConnectIsSeen(t *testing.T) {
	b := newBench(t)
	s := b.kept()
	b.must(func(e *engine.Engine) (err error) { s, err = e.Start(t.Context(), s); return err })
	on := func() bool {
		s, err := b.dirs().Find("web")
		return err == nil && slices.ContainsFunc(s.Attached, func(a engine.Attached) bool { return a.Network == "more" })
	}
	more := func(e *engine.Engine) error { return e.Connect(t.Context(), "web", spec.Attachment{Network: "more"}) }
	step := enginetest.Moment{Step: "network.Connect more"}
	b.Meanwhile = func(m enginetest.Moment) {
		if m == step && !on() {
			t.Error("it is not seen")
		}
	}
	b.FailAt = step
	if err := b.on(more); err == nil || on() {
		t.Errorf("%v; it is on the network: %t", err, on())
	}
	b.FailAt = enginetest.Moment{}
	b.must(more)
}

// TestConnectedInFront: who stands in front of a container and puts it away at its end has not seen what it was connected with meanwhile.
func TestConnectedInFront(t *testing.T) {
	b := newBench(t)
	s := b.kept()
	b.must(func(e *engine.Engine) (err error) { s, err = e.Start(t.Context(), s); return err })
	b.must(func(e *engine.Engine) error { return e.Connect(t.Context(), "web", spec.Attachment{Network: "more"}) })
	b.End()
	b.must(func(e *engine.Engine) error { return e.Cleanup(t.Context(), s, engine.Exit{Code: 7}) })
	if now, err := b.dirs().Find("web"); err != nil || !slices.Contains(now.Network.Networks, "more") || now.Exit == nil || now.Exit.Code != 7 {
		t.Errorf("%v, %+v, %v", now.Network.Networks, now.Exit, err)
	}
}

// TestRunKilled: what is left of a run that was killed, of a container that is kept, can be looked at and removed, also after its
// unit has cleaned up; and then it can be started, or nothing is left of it.
func TestRunKilled(t *testing.T) {
	for _, m := range moments(runSteps...) {
		for _, cleaned := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, cleaned up %t", m, cleaned), func(t *testing.T) {
				b := newBench(t)
				b.KillAt = m
				if _, err := b.start(keptWeb()); !errors.Is(err, errKilled) {
					t.Fatal(err)
				}
				b.KillAt = enginetest.Moment{}
				b.End()
				found, err := b.dirs().Find("web")
				if err != nil {
					t.Fatal(err)
				}
				if err := b.dirs().Change(found.ID, func(*engine.State) error { return nil }); err != nil { // which makes nothing more of it
					t.Fatal(err)
				}
				if cleaned {
					b.must(func(e *engine.Engine) error { return e.Cleanup(context.Background(), found, engine.Exit{Code: 137}) })
					if found, err = b.dirs().Find("web"); errors.Is(err, engine.ErrNoContainer) {
						b.clean()
						return
					}
				}
				_, missing := os.Stat(filepath.Join(b.Kept(), found.ID))
				err = b.on(func(e *engine.Engine) error { _, err := e.Start(context.Background(), found); return err })
				if cleaned && err != nil || err != nil && (missing == nil || !strings.Contains(err.Error(), "berth rm web")) {
					t.Errorf("start: %v; %v", err, b.Left())
				}
				if err := b.remove("web", engine.RemoveOptions{Force: true}); err != nil {
					t.Fatal(err)
				}
				b.clean()
			})
		}
	}
}

// TestStopOfReusedPID: a state whose PID has gone to another process names a container that has ended. Neither a stop nor a
// removal touches that process.
func TestStopOfReusedPID(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	other := exec.Command("/bin/sleep", "1000")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { other.Process.Kill(); other.Wait() }()
	id, err := proc.Identify(other.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Duration(0)
	for _, tt := range []struct {
		start uint64
		hit   bool
	}{{id.Start - 1, false}, {id.Start + 1, false}, {id.Start, true}} {
		s := engine.State{ID: strings.Repeat("a", 64), Name: "web", Init: proc.ID{PID: id.PID, Start: tt.start}, Container: web()}
		err := b.on(func(e *engine.Engine) error {
			return e.Stop(ctx, s, engine.RemoveOptions{Force: true, Timeout: &at})
		})
		if err != nil {
			t.Fatal(err)
		}
		if hit := !id.Running(); hit != tt.hit {
			t.Errorf("start time %d of %d: hit %v", tt.start, id.Start, hit)
		}
	}
}

// kept makes a container that outlives its end and returns it at rest.
func (b *bench) kept() engine.State {
	b.t.Helper()
	err := b.on(func(e *engine.Engine) error { _, err := e.Create(context.Background(), keptWeb()); return err })
	s, findErr := b.dirs().Find("web")
	if err := errors.Join(err, findErr); err != nil {
		b.t.Fatal(err)
	}
	return s
}

// TestMadeToBeStarted: a container that was made counts as on its way until who has it made has started it, or has ended.
func TestMadeToBeStarted(t *testing.T) {
	b := newBench(t)
	maker := exec.Command("sleep", "1000")
	if err := maker.Start(); err != nil {
		t.Fatal(err)
	}
	defer maker.Wait()
	defer maker.Process.Kill()
	err := b.on(func(e *engine.Engine) error {
		e.Host.Environment[engine.MakerVariable] = fmt.Sprint(maker.Process.Pid)
		_, err := e.Create(t.Context(), keptWeb())
		return err
	})
	s, findErr := b.dirs().Find("web")
	if err := errors.Join(err, findErr); err != nil || !s.OnItsWay() {
		t.Fatalf("made: on its way %t, %v", s.OnItsWay(), err)
	}
	ended := s
	ended.Exit = &engine.Exit{Code: 125}
	if ended.OnItsWay() {
		t.Error("it could not be started, and is on its way")
	}
	if err := maker.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	maker.Wait()
	if s, err = b.dirs().Find("web"); err != nil || s.OnItsWay() {
		t.Errorf("its maker has ended: on its way %t, %v", s.OnItsWay(), err)
	}
}

// TestStartAtOnce: of many starts of one container one succeeds, the others say that it runs, and nothing of it is taken away.
func TestStartAtOnce(t *testing.T) {
	b := newBench(t)
	s := b.kept()
	b.Forget()
	results := make(chan error)
	const starts = 8
	for range starts {
		e := b.Engine(b.run)
		go func() {
			runtime.LockOSThread() // never unlocked: the thread ends with its mount namespace
			_, err := e.Start(context.Background(), s)
			results <- err
		}()
	}
	won := 0
	for range starts {
		if err := <-results; err == nil {
			won++
		} else if !errors.Is(err, engine.ErrIsRunning) {
			t.Error(err)
		}
	}
	if steps := b.Steps(); won != 1 || countOf(steps, "store.Mount") != 1 || slices.Contains(steps, "cgroups.Remove") || slices.Contains(steps, "network.Teardown") {
		t.Errorf("%d have started it: %v", won, steps)
	}
	if now, err := b.dirs().Find("web"); err != nil || !now.Running() {
		t.Errorf("%+v, %v", now, err)
	}
}

// TestFilesBesideStart: a container that is started between the search for it and the look at its files is one that runs. Its layer is
// not mounted a second time.
func TestFilesBesideStart(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("it mounts")
	}
	for how, look := range map[string]func(*engine.Engine, engine.State) error{
		"Files": func(e *engine.Engine, s engine.State) error {
			files, err := e.Files(s)
			return errors.Join(err, files.Close())
		},
		"Rootfs": func(e *engine.Engine, s engine.State) error {
			files, err := e.Rootfs(s)
			return errors.Join(err, files.Close())
		},
		"ShowRootfs": func(e *engine.Engine, s engine.State) error {
			if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, "")); err != nil {
				return err
			}
			place := t.TempDir()
			shown, err := e.ShowRootfs(s, func(string) (string, error) { return place, nil })
			if err == nil && (shown != place || !engine.IsMounted(place)) {
				err = fmt.Errorf("shown at %q", shown)
			}
			return err
		},
	} {
		t.Run(how, func(t *testing.T) {
			b := newBench(t)
			s := b.kept()
			b.must(func(e *engine.Engine) error { _, err := e.Start(t.Context(), s); return err })
			b.Forget()
			b.must(func(e *engine.Engine) error { return look(e, s) })
			if steps := b.Steps(); slices.Contains(steps, "store.Mount") {
				t.Errorf("%v", steps)
			}
		})
	}
}

// TestRemoveBesideStart: a removal waits for who makes or starts the container. Then it runs, and is left alone, or is stopped first.
func TestRemoveBesideStart(t *testing.T) {
	starts := map[string]func(*engine.Engine, engine.State) error{
		"run --rm": func(e *engine.Engine, _ engine.State) error { _, err := e.Run(t.Context(), web()); return err },
		"run":      func(e *engine.Engine, _ engine.State) error { _, err := e.Run(t.Context(), keptWeb()); return err },
		"start":    func(e *engine.Engine, s engine.State) error { _, err := e.Start(t.Context(), s); return err },
	}
	for how, start := range starts {
		for _, m := range moments("store.Image", "network.Plan", "store.Mount", "runtime.Create") {
			for _, o := range []engine.RemoveOptions{{}, force} {
				t.Run(fmt.Sprintf("%s, %s, force %t", how, m, o.Force), func(t *testing.T) {
					removeBeside(t, m, o, how == "start", start)
				})
			}
		}
	}
}

// TestRemoveBesideReservation: one that is being made may have no more than its name for a moment, or a directory that is not locked yet.
// It is not taken for what a killed maker has left.
func TestRemoveBesideReservation(t *testing.T) {
	for _, directory := range []bool{false, true} {
		b := newBench(t)
		id, lock := b.reserved("web")
		lock.Close()
		names, err := atomicfile.LockDir(filepath.Join(b.run, "names"))
		if err != nil {
			t.Fatal(err)
		}
		if !directory {
			if err := os.Remove(b.dirs().Container(id)); err != nil {
				t.Fatal(err)
			}
		}
		impatient, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.Engine(b.run).Remove(impatient, "web", force); !errors.Is(err, context.Canceled) {
			t.Errorf("directory %t: it did not wait: %v", directory, err)
		}
		names.Close()
		if err := b.remove("web", force); err != nil {
			t.Error(err)
		}
		b.clean()
	}
}

func removeBeside(t *testing.T, m enginetest.Moment, o engine.RemoveOptions, kept bool, start func(*engine.Engine, engine.State) error) {
	b := newBench(t)
	var s engine.State
	if kept {
		s = b.kept()
	}
	impatient, cancel := context.WithCancel(context.Background())
	cancel()
	removed := make(chan error, 1)
	b.Meanwhile = func(now enginetest.Moment) {
		if now != m {
			return
		}
		e := b.Engine(b.run)
		if err := e.Remove(impatient, "web", o); !errors.Is(err, context.Canceled) {
			t.Errorf("it did not wait: %v", err)
		}
		go func() { removed <- e.Remove(context.Background(), "web", o) }()
	}
	if err := b.on(func(e *engine.Engine) error { return start(e, s) }); err != nil {
		t.Errorf("start: %v", err)
	}
	err := <-removed
	if o.Force {
		if err != nil {
			t.Errorf("remove: %v", err)
		}
		b.clean()
		return
	}
	now, findErr := b.dirs().Find("web")
	if !errors.Is(err, engine.ErrRunning) || findErr != nil || !now.Running() || !slices.Contains(b.Left(), "mount "+now.ID) {
		t.Errorf("remove: %v; %+v, %v; %v", err, now, findErr, b.Left())
	}
}

// TestStopBesideStart: a stop waits until the program runs that is to hear of it. Before, the process is the runtime's, which hears nothing.
func TestStopBesideStart(t *testing.T) {
	b := newBench(t)
	stopped := make(chan error, 1)
	b.Meanwhile = func(now enginetest.Moment) {
		if now != (enginetest.Moment{Step: "runtime.Start"}) {
			return
		}
		e := b.Engine(b.run)
		s, err := e.Dirs.Find("web")
		if err != nil {
			t.Error(err)
		}
		go func() { stopped <- e.Stop(context.Background(), s, force) }()
		for len(stopped) == 0 && waiting(t) == 0 {
			runtime.Gosched()
		}
		if !s.Running() {
			t.Error("it was stopped before its program ran")
		}
	}
	s, err := b.start(web())
	if err := errors.Join(err, <-stopped); err != nil || s.Running() {
		t.Errorf("%v; it runs: %v", err, s.Running())
	}
}

func countOf(list []string, word string) (n int) {
	for _, s := range list {
		if s == word {
			n++
		}
	}
	return n
}

// TestRemoveAtRestKilled: the record of a container that does not run goes with its layer, and so after all that only the record knows of.
func TestRemoveAtRestKilled(t *testing.T) {
	for _, m := range moments("store.Remove") {
		b := newBench(t)
		b.atRest(keptWithData())
		if left := b.Left(); !slices.Contains(left, "anonymous volume") {
			t.Fatal(left)
		}
		o := force
		o.Volumes = true
		b.KillAt = m
		if err := b.remove("web", o); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		b.KillAt = enginetest.Moment{}
		if err := b.remove("web", o); err != nil {
			t.Error(err)
		}
		if left := b.Left(); len(left) > 0 {
			t.Errorf("%s: left %v", m, left)
		}
	}
}

// TestAnonymousAfterKilledStart: a container finds its anonymous volumes again after a start that was killed, and they go with it.
func TestAnonymousAfterKilledStart(t *testing.T) {
	for _, m := range moments("network.Plan", "store.Mount", "runtime.Create") {
		b := newBench(t)
		s := b.atRest(keptWithData())
		for range 2 {
			found, err := b.dirs().Find("web")
			if err != nil {
				t.Fatal(err)
			}
			b.KillAt = m
			if err := b.on(func(e *engine.Engine) error { _, err := e.Start(t.Context(), found); return err }); !errors.Is(err, errKilled) {
				t.Fatal(m, err)
			}
			b.KillAt = enginetest.Moment{}
			b.End()
			if users, err := b.dirs().VolumeUsers(s.Mounts[0].Name); err != nil || !slices.Equal(users, []string{"web"}) {
				t.Errorf("%s: it is used by %v, %v", m, users, err)
			}
		}
		now, err := b.dirs().Find("web")
		if err != nil {
			t.Fatal(err)
		}
		b.must(func(e *engine.Engine) error { return e.Cleanup(t.Context(), now, engine.Exit{Code: 137}) })
		if now, err = b.dirs().Find("web"); err != nil || len(now.Mounts) != 1 || now.Mounts[0].Name != s.Mounts[0].Name {
			t.Errorf("%s: %+v, %v; want %+v", m, now.Mounts, err, s.Mounts)
		}
	}
}

// TestAnonymousAfterPowerCut: a container whose end nobody has seen, for the machine lost its power, has its anonymous volumes.
func TestAnonymousAfterPowerCut(t *testing.T) {
	b := newBench(t)
	s, err := b.start(keptWithData())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		b.End()
		if err := os.RemoveAll(b.run); err != nil {
			t.Fatal(err)
		}
		now, err := b.dirs().Find("web")
		if err != nil || len(now.Mounts) != 1 || now.Mounts[0].Name != s.Mounts[0].Name {
			t.Errorf("%+v, %v; want %+v", now.Mounts, err, s.Mounts)
		}
		b.must(func(e *engine.Engine) error { _, err := e.Start(t.Context(), now); return err })
	}
}

// TestVolumesFromIsWrittenDown: before a container uses another one's volume it is known to have it, in this boot and after a power cut.
func TestVolumesFromIsWrittenDown(t *testing.T) {
	b := newBench(t)
	s, err := b.start(keptWithData())
	if err != nil {
		t.Fatal(err)
	}
	asked := false
	b.Meanwhile = func(m enginetest.Moment) {
		if m != (enginetest.Moment{Step: "volumes.Ensure"}) {
			return
		}
		asked = true
		for _, run := range []string{b.run, t.TempDir()} {
			users, err := engine.Dirs{Run: run, Keep: b.Kept()}.VolumeUsers(s.Mounts[0].Name)
			if err != nil || !slices.Contains(users, "other") {
				t.Errorf("it is used by %v, %v", users, err)
			}
		}
	}
	other := keptWeb()
	other.Name, other.VolumesFrom = "other", []string{"web"}
	if _, err := b.start(other); err != nil || !asked {
		t.Error(asked, err)
	}
}

// TestVolumesFromCreated: the volumes of a container that was made and has never run are known, and it has them itself when it does.
func TestVolumesFromCreated(t *testing.T) {
	b := newBench(t)
	host := t.TempDir()
	c := keptWeb()
	c.Volumes = []string{"/data", "named:/n", host + ":/h"}
	b.must(func(e *engine.Engine) error { _, err := e.Create(t.Context(), c); return err })
	other := keptWeb()
	other.Name, other.VolumesFrom = "other", []string{"web"}
	s, err := b.start(other)
	if err != nil || len(s.Mounts) != 3 {
		t.Fatal(s.Mounts, err)
	}
	web, err := b.dirs().Find("web")
	if err != nil {
		t.Fatal(err)
	}
	b.must(func(e *engine.Engine) error { web, err = e.Start(t.Context(), web); return err })
	for i, m := range web.Mounts {
		if o := s.Mounts[i]; m.Source == "" || o.Source != m.Source || o.Name != m.Name || o.Anonymous || m.Anonymous != (i == 0) {
			t.Errorf("%+v, and the other one has %+v", m, o)
		}
	}
}

// TestVolumesFromOneThatIsGone: a container keeps the volumes that it has by another one when that one is removed.
func TestVolumesFromOneThatIsGone(t *testing.T) {
	b := newBench(t)
	b.must(func(e *engine.Engine) error { _, err := e.Create(t.Context(), keptWithData()); return err })
	other := keptWeb()
	other.Name, other.VolumesFrom = "other", []string{"web:ro"}
	s, err := b.start(other)
	if err != nil || len(s.Mounts) != 1 {
		t.Fatal(s.Mounts, err)
	}
	b.End()
	b.must(func(e *engine.Engine) error { return e.Cleanup(t.Context(), s, engine.Exit{}) })
	o := force
	o.Volumes = true
	if err := b.remove("web", o); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		now, err := b.dirs().Find("other")
		if err != nil {
			t.Fatal(err)
		}
		b.must(func(e *engine.Engine) error { now, err = e.Start(t.Context(), now); return err })
		if fmt.Sprint(now.Mounts) != fmt.Sprint(s.Mounts) {
			t.Errorf("%+v, had %+v", now.Mounts, s.Mounts)
		}
		b.End()
		b.must(func(e *engine.Engine) error { return e.Cleanup(t.Context(), now, engine.Exit{}) })
	}
	if _, err := b.start(func() spec.Container { other.Name = "third"; return other }()); !errors.Is(err, engine.ErrNoContainer) {
		t.Errorf("one that has had nothing: %v", err)
	}
}

// TestVolumesFromOneThatStarts: who wants the volumes of a container that is being made waits until it is known which those are.
func TestVolumesFromOneThatStarts(t *testing.T) {
	b := newBench(t)
	c := web()
	c.Volumes = []string{"/data"}
	var s engine.State
	started := make(chan error, 1)
	b.Meanwhile = func(m enginetest.Moment) {
		if m != (enginetest.Moment{Step: "network.Plan"}) {
			return
		}
		b.Meanwhile = nil
		other := keptWeb()
		other.Name, other.VolumesFrom, other.Networks = "other", []string{"web"}, []string{"none"}
		e := b.Engine(b.run)
		go func() {
			runtime.LockOSThread() // never unlocked: the thread ends with its mount namespace
			var err error
			s, err = e.Run(t.Context(), other)
			started <- err
		}()
		web, err := b.dirs().Find("web")
		if err != nil {
			t.Error(err)
		}
		for len(started) == 0 && opened(b.dirs().Container(web.ID)) < 2 { // by its maker, and by who waits
			runtime.Gosched()
		}
	}
	if _, err := b.start(c); err != nil {
		t.Fatal(err)
	}
	if err := <-started; err != nil || len(s.Mounts) != 1 {
		t.Error(s.Mounts, err)
	}
	own := keptWeb()
	own.Name, own.VolumesFrom = "own", []string{"own"}
	if _, err := b.start(own); err != nil {
		t.Error(err)
	}
}

// TestVolumesFromOneThatGoes: who wants the volumes of a container whose removal has seen that nobody else has them waits for that, and is
// refused: it would have new ones, with nothing in them.
func TestVolumesFromOneThatGoes(t *testing.T) {
	for _, verb := range []string{"run", "create"} {
		b := newBench(t)
		s := b.atRest(keptWithData())
		other := keptWeb()
		other.Name, other.VolumesFrom = "other", []string{"web"}
		e := b.Engine(b.run)
		done := make(chan error, 1)
		b.Meanwhile = func(m enginetest.Moment) {
			if m != (enginetest.Moment{Step: "volumes.Remove"}) {
				return
			}
			b.Meanwhile = nil
			go func() {
				runtime.LockOSThread() // never unlocked: the thread ends with its mount namespace
				var err error
				if verb == "run" {
					_, err = e.Run(t.Context(), other)
				} else {
					_, err = e.Create(t.Context(), other)
				}
				done <- err
			}()
			for len(done) == 0 && opened(filepath.Join(b.Kept(), s.ID, "userdata")) < 2 { // by the removal, and by who waits
				runtime.Gosched()
			}
		}
		o := force
		o.Volumes = true
		if err := b.remove("web", o); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, engine.ErrNoContainer) {
			t.Errorf("%s: %v", verb, err)
		}
		if left := b.Left(); len(left) > 0 {
			t.Errorf("%s: %v", verb, left)
		}
	}
}

// opened is how often a file is open in this process.
func opened(path string) (n int) {
	files, _ := filepath.Glob("/proc/self/fd/*")
	for _, f := range files {
		if target, _ := os.Readlink(f); target == path {
			n++
		}
	}
	return n
}

// TestLogAfterPowerCut: the log of a container whose end nobody has seen is found.
func TestLogAfterPowerCut(t *testing.T) {
	b := newBench(t)
	b.Keeps = true
	logs := t.TempDir()
	c := keptWeb()
	c.LogDriver = "json-file"
	b.must(func(e *engine.Engine) error {
		e.Logs = func(id string) string { return filepath.Join(logs, id) }
		_, err := e.Run(t.Context(), c)
		return err
	})
	b.End()
	if err := os.RemoveAll(b.run); err != nil {
		t.Fatal(err)
	}
	if s, err := b.dirs().Find("web"); err != nil || s.Log.Driver != spec.LogK8sFile || s.Log.Path != filepath.Join(logs, s.ID, "ctr.log") {
		t.Errorf("%+v, %v", s.Log, err)
	}
}

// TestRemoveDamaged: a container whose record is damaged has its name still, and is removed with what is found by its ID.
func TestRemoveDamaged(t *testing.T) {
	for _, word := range []string{"web", "ID"} {
		b := newBench(t)
		s := b.kept()
		store := fmt.Sprintf(`[{"id":%q,"names":["web"]}]`, s.ID)
		err := errors.Join(os.WriteFile(filepath.Join(b.Kept(), "containers.json"), []byte(store), 0o600), os.WriteFile(filepath.Join(b.Kept(), s.ID, "userdata/berth.json"), []byte("{"), 0o600))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.on(func(e *engine.Engine) error { _, err := e.Create(t.Context(), keptWeb()); return err }); !errors.Is(err, engine.ErrNameInUse) {
			t.Errorf("the name a second time: %v", err)
		}
		if word == "ID" {
			word = s.ID
		}
		var told strings.Builder
		e := b.Engine(b.run)
		e.Warn = &told
		if err := e.Remove(t.Context(), word, force); err != nil || !strings.Contains(told.String(), "berth.json is damaged") || !strings.Contains(told.String(), "volumes without a name") {
			t.Errorf("%s: %v, %q", word, err, told.String())
		}
		if err := os.Remove(filepath.Join(b.Kept(), "containers.json")); err != nil {
			t.Fatal(err)
		}
		b.clean()
	}
}

// TestCleanupKilled: how a container has ended is known from then on, however often what cleans up after it is killed.
func TestCleanupKilled(t *testing.T) {
	for _, again := range []string{"cleanup", "start", "remove"} {
		b := newBench(t)
		var told []string
		event := func(event events.Event) {
			if slices.Contains(event.What, "died") {
				told = append(told, fmt.Sprint(*event.ExitCode))
			}
		}
		s := b.kept()
		b.must(func(e *engine.Engine) (err error) { s, err = e.Start(t.Context(), s); return err })
		b.End()
		b.KillAt = enginetest.Moment{Step: "network.Teardown"}
		err := b.on(func(e *engine.Engine) error {
			e.Event = event
			return e.Cleanup(t.Context(), s, engine.Exit{Code: 7})
		})
		if !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		b.KillAt = enginetest.Moment{}
		if now, err := b.dirs().Find("web"); err != nil || now.Exit == nil || now.Exit.Code != 7 || now.Finished.IsZero() {
			t.Errorf("%+v, %v", now.Exit, err)
		}
		b.must(func(e *engine.Engine) error {
			e.Event = event
			switch again {
			case "cleanup":
				return e.Cleanup(t.Context(), s, engine.Exit{Code: 255})
			case "start":
				_, err := e.Start(t.Context(), s)
				return err
			}
			return nil
		})
		now, err := b.dirs().Find("web")
		if err != nil || (now.Exit == nil) != (again == "start") || now.Exit != nil && now.Exit.Code != 7 {
			t.Errorf("%s: %+v, %v", again, now.Exit, err)
		}
		b.must(func(e *engine.Engine) error {
			e.Event = nil
			return e.Remove(t.Context(), "web", force)
		})
		if !slices.Equal(told, []string{"7"}) {
			t.Errorf("%s: told %v", again, told)
		}
		b.clean()
	}
}

// TestCleanupOfAnEarlierRun: who has seen an earlier run end, and comes late, touches nothing of the one that runs by now.
func TestCleanupOfAnEarlierRun(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	first := b.kept()
	b.must(func(e *engine.Engine) (err error) { first, err = e.Start(ctx, first); return err })
	b.End()
	b.must(func(e *engine.Engine) error { return e.Cleanup(ctx, first, engine.Exit{Code: 7}) })
	second, err := b.dirs().Find("web")
	if err != nil {
		t.Fatal(err)
	}
	b.must(func(e *engine.Engine) error { _, err := e.Start(ctx, second); return err })
	b.Forget()
	for _, old := range []engine.State{first, second} { // second is how it was at rest
		b.must(func(e *engine.Engine) error { return e.Cleanup(ctx, old, engine.Exit{Code: 8}) })
	}
	now, err := b.dirs().Find("web")
	if steps := b.Steps(); err != nil || !now.Running() || len(steps) > 0 {
		t.Errorf("%+v, %v, %v", now, err, steps)
	}
}

// TestUndoOfAnEarlierRun: a start that has waited in vain until its container is healthy takes nothing from who has started it again by then.
func TestUndoOfAnEarlierRun(t *testing.T) {
	b := newBench(t)
	b.Socket, b.Keeps = "/run/systemd/notify", true
	c := keptWeb()
	c.SDNotify, c.HealthCmd = "healthy", "true"
	unhealthy := enginetest.Moment{Step: "keeper.AwaitHealthy"}
	b.Meanwhile = func(m enginetest.Moment) {
		if m != unhealthy {
			return
		}
		b.Meanwhile = nil
		b.End()
		first, err := b.dirs().Find("web")
		if err != nil {
			t.Error(err)
		}
		b.must(func(e *engine.Engine) error { _, err := e.Start(t.Context(), first); return err })
		b.FailAt = unhealthy
	}
	if _, err := b.start(c); !errors.Is(err, enginetest.ErrInjected) {
		t.Fatal(err)
	}
	now, err := b.dirs().Find("web")
	if err != nil || !now.Running() || !slices.Contains(b.Left(), "mount "+now.ID) {
		t.Errorf("%+v, %v; %v", now, err, b.Left())
	}
}

// TestCleanupBesideRun: a container that is being made is not taken for one whose maker was killed.
func TestCleanupBesideRun(t *testing.T) {
	for _, m := range moments("store.Image", "network.Plan", "store.Mount", "runtime.Create") {
		b := newBench(t)
		cleaned := make(chan error, 1)
		b.Meanwhile = func(now enginetest.Moment) {
			if now != m {
				return
			}
			b.Meanwhile = nil
			s, err := b.dirs().Find("web")
			if err != nil {
				t.Error(err)
			}
			e := b.Engine(b.run)
			go func() { cleaned <- e.Cleanup(context.Background(), s, engine.Exit{}) }()
			for len(cleaned) == 0 && opened(b.dirs().Container(s.ID)) < 2 { // by its maker, and by who waits
				runtime.Gosched()
			}
		}
		_, err := b.start(web())
		if err := errors.Join(err, <-cleaned); err != nil {
			t.Errorf("%s: %v", m, err)
		}
		if now, err := b.dirs().Find("web"); err != nil || !now.Running() || !slices.Contains(b.Left(), "mount "+now.ID) {
			t.Errorf("%s: %+v, %v; %v", m, now, err, b.Left())
		}
	}
}

// must calls f as on does, and fails the test when f fails.
func (b *bench) must(f func(*engine.Engine) error) {
	b.t.Helper()
	if err := b.on(f); err != nil {
		b.t.Fatal(err)
	}
}

// TestRewireAtRest: the networks of a container that does not run are those of its next start.
func TestRewireAtRest(t *testing.T) {
	b := newBench(t)
	s := b.kept()
	ctx := context.Background()
	e := b.Engine(b.run)
	for _, step := range []struct {
		change func() error
		want   string // networks afterwards, or the error
	}{
		{func() error { return e.Connect(ctx, "web", spec.Attachment{Network: "a", IPs: []string{"10.1.0.5"}}) }, "podman a:ip=10.1.0.5"},
		{func() error { return e.Connect(ctx, "web", spec.Attachment{Network: "a", Aliases: []string{"x", "y"}}) }, "podman a:alias=x,alias=y"},
		{func() error { return e.Disconnect(ctx, "web", "podman") }, "a:alias=x,alias=y"},
		{func() error { return e.Disconnect(ctx, "web", "podman") }, `networks of container "web": it is not on network "podman"`},
		{func() error { return e.Disconnect(ctx, "web", "a") }, "none"},
		{func() error { return e.Connect(ctx, "web", spec.Attachment{Network: "b"}) }, "b"},
	} {
		err := step.change()
		now, _ := b.dirs().Find("web")
		got := strings.Join(now.Container.Networks, " ")
		if err != nil {
			got = err.Error()
		}
		if got != step.want {
			t.Errorf("got %q, want %q", got, step.want)
		}
		if mode := now.Network.Mode; (mode == "none") != (got == "none") {
			t.Errorf("%s: mode %q", got, mode)
		}
	}
	s, err := b.dirs().Find("web")
	if err != nil {
		t.Fatal(err)
	}
	b.must(func(e *engine.Engine) (err error) { s, err = e.Start(ctx, s); return err })
	if got := strings.Join(s.Network.Networks, " "); got != "b" {
		t.Errorf("started on %q", got)
	}
}

// TestRewireOnFullDisk: where the change cannot be written down the networks stay as they are.
func TestRewireOnFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: it mounts a small file system")
	}
	b := newBench(t)
	if err := errors.Join(os.MkdirAll(b.run, 0o700), unix.Mount("tmpfs", b.run, "tmpfs", 0, "size=128k")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(b.run, unix.MNT_DETACH) })
	if _, err := b.start(web()); err != nil {
		t.Fatal(err)
	}
	full := filepath.Join(b.run, "full")
	if err := os.WriteFile(full, make([]byte, 128<<10), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	asked := false
	b.Meanwhile = func(m enginetest.Moment) { asked = asked || strings.HasPrefix(m.Step, "network.") }
	err := b.Engine(b.run).Disconnect(t.Context(), "web", "podman")
	if !errors.Is(err, unix.ENOSPC) || strings.Contains(err.Error(), "\n") || asked {
		t.Errorf("%v; the network was changed: %t", err, asked)
	}
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	if err := b.Engine(b.run).Disconnect(t.Context(), "web", "podman"); err != nil || !asked {
		t.Errorf("with room: %v; the network was changed: %t", err, asked)
	}
}

// TestChangesAtOnce: of what several change of one container nothing is lost, and nobody writes back what was read earlier.
func TestChangesAtOnce(t *testing.T) {
	b := newBench(t)
	s := b.kept()
	b.must(func(e *engine.Engine) (err error) { s, err = e.Start(context.Background(), s); return err })
	const n = 8
	results := make(chan error)
	for i := range n {
		e := b.Engine(b.run)
		go func() {
			results <- e.Connect(context.Background(), "web", spec.Attachment{Network: fmt.Sprint("net", i)})
		}()
		go func() {
			results <- b.dirs().Change(s.ID, func(now *engine.State) error {
				now.Container.Labels = append(now.Container.Labels, fmt.Sprint(i))
				return nil
			})
		}()
	}
	for range 2 * n {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	now, err := b.dirs().Find("web")
	if err != nil || len(now.Network.Networks) != n+1 || len(now.Container.Networks) != n+1 || len(now.Container.Labels) != n || !now.Running() {
		t.Errorf("%v, %v, %v", now.Network.Networks, now.Container.Labels, err)
	}
	// s is of an earlier run.
	b.End()
	b.must(func(e *engine.Engine) error { return e.Cleanup(context.Background(), now, engine.Exit{}) })
	if err := b.dirs().SetStopTime(s, time.Hour); err != nil {
		t.Errorf("of one that has ended: %v", err)
	}
	if now, err = b.dirs().Find("web"); err != nil || len(now.Container.Labels) != n {
		t.Errorf("at rest: %v, %v", now.Container.Labels, err)
	}
	b.must(func(e *engine.Engine) (err error) { now, err = e.Start(context.Background(), now); return err })
	for _, tt := range []struct {
		of   engine.State
		want time.Duration
	}{{s, now.StopTime}, {now, time.Minute}} {
		if err := b.dirs().SetStopTime(tt.of, time.Minute); err != nil {
			t.Error(err)
		}
		if found, err := b.dirs().Find("web"); err != nil || !found.Running() || found.StopTime != tt.want {
			t.Errorf("%s, %v, %v; want %s", found.StopTime, found.Init, err, tt.want)
		}
	}
}

// TestCleanupWithoutSight: a container whose record cannot be looked for, for the disk gives errors, say, is not taken for one that was
// never whole: nothing of it is removed.
func TestCleanupWithoutSight(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	s := b.kept()
	b.must(func(e *engine.Engine) (err error) { s, err = e.Start(ctx, s); return err })
	b.End()
	b.Forget()
	files := filepath.Join(b.Kept(), s.ID, "userdata")
	if err := os.Chmod(files, 0o600); err != nil { // it can be opened, not searched
		t.Fatal(err)
	}
	err := b.on(func(e *engine.Engine) error {
		if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &make([]unix.CapUserData, 2)[0]); err != nil { // this thread's
			t.Error(err)
		}
		return e.Cleanup(ctx, s, engine.Exit{Code: 7})
	})
	if steps := b.Steps(); !errors.Is(err, fs.ErrPermission) || len(steps) > 0 {
		t.Errorf("%v; %v", err, steps)
	}
	if err := os.Chmod(files, 0o700); err != nil {
		t.Fatal(err)
	}
	b.must(func(e *engine.Engine) error { return e.Cleanup(ctx, s, engine.Exit{Code: 7}) })
	if now, err := b.dirs().Find("web"); err != nil || now.Exit == nil || now.Exit.Code != 7 {
		t.Errorf("%+v, %v", now.Exit, err)
	}
}

// reserved makes what who makes a container has when it has the name and no more, and returns the container's ID and lock.
func (b *bench) reserved(name string) (id string, lock *os.File) {
	b.t.Helper()
	id = strings.Repeat("e", 64)
	dir := b.dirs().Container(id)
	err := errors.Join(os.MkdirAll(filepath.Join(b.run, "names"), 0o700), os.Symlink("../"+id, filepath.Join(b.run, "names", name)), os.Mkdir(dir, 0o700))
	lock, lockErr := atomicfile.LockDir(dir)
	if err := errors.Join(err, lockErr); err != nil {
		b.t.Fatal(err)
	}
	return id, lock
}

// TestRemoveSpares: whose a container is that is just being made is known when it was waited for. It is not stopped then, whether it runs
// by now or not.
func TestRemoveSpares(t *testing.T) {
	for _, runs := range []bool{true, false} {
		b := newBench(t)
		id, lock := b.reserved("web")
		other := exec.Command("/bin/sleep", "1000")
		if err := other.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { other.Process.Kill(); other.Wait() }()
		init, err := proc.Identify(other.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		text := `{"version":1,"id":"` + id + `","name":"web","unit":"other.service"`
		if runs {
			text += fmt.Sprintf(`,"init":{"pid":%d,"start":%d}`, init.PID, init.Start)
		}
		o, asked := force, make(chan engine.State, 9)
		o.Spare = func(s engine.State) bool { asked <- s; return s.Unit == "other.service" }
		removed := make(chan error)
		go func() { removed <- b.Engine(b.run).Remove(context.Background(), "web", o) }()
		if s := <-asked; s.Unit != "" {
			t.Errorf("it is known already: %+v", s)
		}
		writeState(t, b.dirs(), id, text+"}")
		lock.Close()
		if err := <-removed; err != nil {
			t.Error(err)
		}
		if now, err := b.dirs().Find("web"); err != nil || now.Unit != "other.service" || now.Running() != runs || !init.Running() {
			t.Errorf("runs %t: %+v, %v", runs, now, err)
		}
	}
}

// TestRemoveBesideCleanup: who sees the end of a container that is being removed may remove it first.
func TestRemoveBesideCleanup(t *testing.T) {
	b := newBench(t)
	b.must(func(e *engine.Engine) error { _, err := e.Run(context.Background(), web()); return err })
	s, err := b.dirs().Find("web")
	if err != nil {
		t.Fatal(err)
	}
	running, cleaning := make(chan bool, 9), make(chan bool)
	o := engine.RemoveOptions{Force: true, Spare: func(s engine.State) bool {
		running <- s.Running()
		<-cleaning
		return false
	}}
	removed := make(chan error)
	e := b.Engine(b.run)
	go func() { removed <- e.Remove(context.Background(), "web", o) }()
	if !<-running {
		t.Fatal("it has ended already")
	}
	b.End()
	b.Meanwhile = func(m enginetest.Moment) {
		if m == (enginetest.Moment{Step: "store.Remove"}) {
			close(cleaning)
		}
	}
	b.must(func(e *engine.Engine) error { return e.Cleanup(context.Background(), s, engine.Exit{}) })
	if err := <-removed; err != nil {
		t.Error(err)
	}
	if err := e.Remove(context.Background(), "web", engine.RemoveOptions{Force: true}); !errors.Is(err, engine.ErrNoContainer) {
		t.Errorf("a second time: %v", err)
	}
	b.clean()
}

// TestRemoveInterrupted: a removal that was interrupted does not wait to the end for who is at the files of a container that it has stopped.
func TestRemoveInterrupted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.kept()
	b.must(func(e *engine.Engine) (err error) { s, err = e.Start(context.Background(), s); return err })
	lock, err := atomicfile.LockDir(filepath.Join(b.Kept(), s.ID, "userdata"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	ctx, interrupt := context.WithCancel(context.Background())
	interrupt()
	removed := make(chan error, 1)
	go func() { removed <- b.Engine(b.run).Remove(ctx, "web", force) }()
	select {
	case err := <-removed:
		if !errors.Is(err, context.Canceled) || s.Running() {
			t.Errorf("%v; runs: %t", err, s.Running())
		}
	case <-time.After(time.Minute):
		t.Error("it waits on")
	}
}

// TestRemoveBetweenRounds: of a container that goes with its end and whose unit runs it again the state stays, and nothing else; the next round
// takes its place, and a removal takes it away.
func TestRemoveBetweenRounds(t *testing.T) {
	b := newBench(t)
	c := web()
	c.Remove, c.Rootfs, c.Image, c.Command = false, true, b.Root, []string{"/bin/true"}
	for range 2 {
		b.must(func(e *engine.Engine) error {
			e.Host.Environment[engine.IDVariable] = strings.Repeat("ab", 32)
			_, err := e.Run(t.Context(), c)
			return err
		})
		b.End()
		for range 2 { // ExecStop= and ExecStopPost=
			if err := b.remove("web", engine.RemoveOptions{Force: true, Returns: true, Exit: &engine.Exit{Code: 3, Restarts: 1}}); err != nil {
				t.Fatal(err)
			}
		}
		s, err := b.dirs().Find("web")
		if err != nil || s.Running() || s.OnItsWay() || s.Exit == nil || *s.Exit != (engine.Exit{Code: 3, Restarts: 1}) || s.Finished.IsZero() {
			t.Fatalf("%+v, %v", s, err)
		}
		if left := b.Left(); len(left) > 0 {
			t.Errorf("beside its state there are %v", left)
		}
	}
	if err := b.remove("web", engine.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.dirs().Find("web"); !errors.Is(err, engine.ErrNoContainer) || len(b.files()) > 0 {
		t.Errorf("%v, %v", err, b.files())
	}
}

// TestNextRoundBesideRemove: the next round of a container that goes with its end waits for who removes what the last one has left, under its ID.
func TestNextRoundBesideRemove(t *testing.T) {
	b := newBench(t)
	c := web()
	c.Remove, c.Rootfs, c.Image, c.Command = false, true, b.Root, []string{"/bin/true"}
	round := func(e *engine.Engine) error {
		e.Host.Environment[engine.IDVariable] = strings.Repeat("ab", 32)
		_, err := e.Run(t.Context(), c)
		return err
	}
	b.must(round)
	b.End()
	if err := b.remove("web", engine.RemoveOptions{Returns: true, Exit: &engine.Exit{Code: 3}}); err != nil {
		t.Fatal(err)
	}
	next := make(chan error, 1)
	b.Meanwhile = func(m enginetest.Moment) {
		if m.Step != "cgroups.Remove" {
			return
		}
		b.Meanwhile = nil
		go func() { next <- b.on(round) }()
		for len(next) == 0 && waiting(t) == 0 {
			runtime.Gosched()
		}
	}
	if err := b.remove("web", engine.RemoveOptions{}); err != nil {
		t.Error(err)
	}
	if err := <-next; err != nil {
		t.Error(err)
	}
	if s, err := b.dirs().Find("web"); err != nil || !s.Running() {
		t.Errorf("the next round is gone: %v", err)
	}
	if err := b.remove("web", force); err != nil {
		t.Error(err)
	}
}

// crowded is a network on which others have what is asked for, as long as they are there.
type crowded struct {
	engine.Network
	holder string
	there  func() bool
}

func (c crowded) Plan(ctx context.Context, r engine.NetworkRequest) (engine.NetworkStatus, error) {
	status, err := c.Network.Plan(ctx, r)
	if c.there() {
		err = &engine.HeldError{Holder: c.holder, Reason: "port 8080 is taken"}
	}
	return status, err
}

// TestHeldByOneThatHasEnded: a port is free when who has it has ended and does not outlive that, though no unit has taken it away; the ports of
// all others are theirs.
func TestHeldByOneThatHasEnded(t *testing.T) {
	for name, tt := range map[string]struct {
		holder spec.Container
		ends   bool
		free   bool
	}{
		"ended": {web(), true, true}, "runs": {web(), false, false}, "outlives its end": {keptWeb(), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			holder, err := b.start(tt.holder)
			if err != nil {
				t.Fatal(err)
			}
			if tt.ends {
				b.End()
			}
			next := web()
			next.Name = "next"
			err = b.on(func(e *engine.Engine) error {
				e.Network = crowded{e.Network, holder.ID, func() bool { return b.dirs().Known(holder.ID) }}
				_, err := e.Run(t.Context(), next)
				return err
			})
			if tt.free != (err == nil) || err != nil && !strings.Contains(err.Error(), "port 8080 is taken") {
				t.Errorf("%v", err)
			}
			if b.dirs().Known(holder.ID) == tt.free {
				t.Errorf("the one that has it is there: %t", tt.free)
			}
			for _, name := range []string{"next", "web"} {
				if err := b.remove(name, force); err != nil {
					t.Error(err)
				}
			}
			b.clean()
		})
	}
}
