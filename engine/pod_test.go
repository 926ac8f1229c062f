package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/enginetest"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

// podWorld is an engine whose pods are taken away when the test ends.
func podWorld(t *testing.T) (*enginetest.World, *engine.Engine) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("binding namespaces to files needs root")
	}
	w := &enginetest.World{Root: filepath.Join(t.TempDir(), "root")}
	e := w.Engine(filepath.Join(t.TempDir(), "run"))
	t.Cleanup(func() {
		pods, _ := e.Dirs.Pods()
		w.FailAt = enginetest.Moment{}
		for _, p := range pods {
			if err := e.RemovePod(context.Background(), p); err != nil {
				t.Error(err)
			}
		}
		w.End()
	})
	return w, e
}

// pins counts the files that namespaces are bound to below the directory.
func pins(t *testing.T, dir string) int {
	t.Helper()
	files, err := filepath.Glob(dir + "/pods/*/*")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, path := range files {
		var st unix.Statfs_t
		if unix.Statfs(path, &st) == nil && st.Type == unix.NSFS_MAGIC {
			n++
		}
	}
	return n
}

func TestPod(t *testing.T) {
	w, e := podWorld(t)
	e.HostAddress = "192.0.2.7"
	ctx := context.Background()
	p, err := e.Dirs.CreatePod(spec.Pod{Name: "stack", Share: spec.DefaultShare})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Dirs.CreatePod(spec.Pod{Name: "stack"}); !errors.Is(err, engine.ErrNameInUse) {
		t.Errorf("twice: %v", err)
	}
	if e.Dirs.Live(p) {
		t.Error("it is live before its start")
	}
	for range 2 { // a pod that is there stays
		if p, err = e.StartPod(ctx, p); err != nil || !e.Dirs.Live(p) {
			t.Fatalf("start: %v, live %v", err, e.Dirs.Live(p))
		}
	}
	if n := pins(t, e.Dirs.Run); n != 3 {
		t.Errorf("%d namespaces are pinned, want 3", n)
	}
	hosts, _ := os.ReadFile(filepath.Join(e.Dirs.Pod(p.ID), "hosts"))
	if !strings.Contains(string(hosts), "10.88.0.9\tstack\n") || !strings.Contains(string(hosts), "192.0.2.7\thost.containers.internal ") {
		t.Errorf("hosts: %s", hosts)
	}
	if err := e.StopPod(ctx, p); err != nil {
		t.Fatal(err)
	}
	if n := pins(t, e.Dirs.Run); n != 0 || len(w.Left()) > 0 {
		t.Errorf("stopped: %d pins, %v", n, w.Left())
	}
	if p, err = e.StartPod(ctx, p); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := e.RemovePod(ctx, p); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(e.Dirs.Run + "/pods"); !os.IsNotExist(err) || pins(t, e.Dirs.Run) > 0 || len(w.Left()) > 0 {
		t.Errorf("removed: %v, %v", err, w.Left())
	}
	if _, err := e.Dirs.FindPod("stack"); !errors.Is(err, engine.ErrNoPod) {
		t.Errorf("found after its removal: %v", err)
	}
}

// TestFirstAndLastPod: pods are made while others, and their directories with them, are removed.
func TestFirstAndLastPod(t *testing.T) {
	_, e := podWorld(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for round := range 100 {
				p, err := e.Dirs.CreatePod(spec.Pod{Name: fmt.Sprint("p", i), Kept: true})
				if err == nil {
					err = e.RemovePod(t.Context(), p)
				}
				if err != nil {
					t.Errorf("round %d: p%d: %v", round, i, err)
					return
				}
			}
		})
	}
	all.Wait()
}

// TestRemovePodBesideCreation: a removal that finds no more than the name of a pod which is being made waits for who makes it.
func TestRemovePodBesideCreation(t *testing.T) {
	_, e := podWorld(t)
	for range 300 {
		made := make(chan error)
		go func() {
			_, err := e.Dirs.CreatePod(spec.Pod{Name: "stack", Kept: true})
			made <- err
		}()
		p, err := e.Dirs.FindPod("stack")
		for ; errors.Is(err, engine.ErrNoPod); p, err = e.Dirs.FindPod("stack") {
			runtime.Gosched()
		}
		if err == nil {
			err = e.RemovePod(t.Context(), p)
		}
		if err := errors.Join(err, <-made); err != nil {
			t.Fatal(err)
		}
		if p, err := e.Dirs.FindPod("stack"); !errors.Is(err, engine.ErrNoPod) {
			t.Fatalf("after its removal: %+v, %v", p, err)
		}
	}
}

// TestUnfinishedPod: a pod whose maker was killed before its state was written is found by its name, and removed.
func TestUnfinishedPod(t *testing.T) {
	_, e := podWorld(t)
	p, err := e.Dirs.CreatePod(spec.Pod{Name: "stack"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(e.Dirs.Pod(p.ID), "state.json"), filepath.Join(e.Dirs.Pod(p.ID), ".state.json.1")); err != nil {
		t.Fatal(err)
	}
	if p, err = e.Dirs.FindPod("stack"); err != nil {
		t.Fatal(err)
	}
	if p, err = e.Dirs.Refresh(p); err != nil {
		t.Fatal(err)
	}
	if err := e.RemovePod(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(e.Dirs.Run + "/pods"); !os.IsNotExist(err) {
		t.Errorf("removed: %v", err)
	}
}

// TestPodStartFails: a start that fails or is killed at any step leaves nothing that a stop or a start does not take away.
func TestPodStartFails(t *testing.T) {
	for _, step := range []string{"network.Plan", "network.Setup"} {
		for _, after := range []bool{false, true} {
			w, e := podWorld(t)
			p, err := e.Dirs.CreatePod(spec.Pod{Name: "stack", Share: spec.DefaultShare})
			if err != nil {
				t.Fatal(err)
			}
			w.FailAt = enginetest.Moment{Step: step, After: after}
			if _, err := e.StartPod(context.Background(), p); !errors.Is(err, enginetest.ErrInjected) {
				t.Errorf("%v: %v", w.FailAt, err)
			}
			if n := pins(t, e.Dirs.Run); n != 0 || len(w.Left()) > 0 {
				t.Errorf("%v: %d pins, %v", w.FailAt, n, w.Left())
			}
			w.FailAt = enginetest.Moment{}
			if p, err = e.StartPod(context.Background(), p); err != nil || !e.Dirs.Live(p) {
				t.Errorf("the next start: %v", err)
			}
		}
	}
}

// userPod makes a pod with a user namespace of its own.
func userPod(t *testing.T, e *engine.Engine, common spec.Container) engine.Pod {
	t.Helper()
	e.SubIDs = func(string, string) ([]spec.IDRange, error) { return []spec.IDRange{{Start: 200000, Count: 100}}, nil }
	e.InitProgram = filepath.Join(filepath.Dir(e.Dirs.Run), "sleeper") // where another user gets at it
	if err := errors.Join(os.WriteFile(e.InitProgram, []byte("#!/bin/sh\nexec sleep infinity\n"), 0o755), os.Chmod(filepath.Dir(filepath.Dir(e.Dirs.Run)), 0o755)); err != nil {
		t.Fatal(err)
	}
	p, err := e.Dirs.CreatePod(spec.Pod{Name: "stack", Share: spec.DefaultShare, Common: common, Kept: true})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPodUsers: the pod's user namespace has the maps, owns the others, and no process is left; its lease goes with it.
func TestPodUsers(t *testing.T) {
	for want, common := range map[string]spec.Container{
		"0 100000 10": {UIDMaps: []string{"0:100000:10"}}, "0 200090 10": {UserNS: "auto:size=10"}, "5 300000 2": {UIDMaps: []string{"5:300000:2"}},
	} {
		_, e := podWorld(t)
		e.Dirs.KeepPods = filepath.Join(t.TempDir(), "kept")
		p := userPod(t, e, common)
		for range 2 { // the second time as after a boot
			var err error
			if p, err = e.StartPod(t.Context(), p); err != nil || !e.Dirs.Live(p) || p.Holder.PID > 0 || pins(t, e.Dirs.Run) != 4 {
				t.Fatalf("%s: start: %v; holder %v, %d pins", want, err, p.Holder, pins(t, e.Dirs.Run))
			}
			m := p.IDs.UIDs[0]
			if got := fmt.Sprint(m.Inside, m.Outside, m.Count); got != want {
				t.Errorf("maps: %s, want %s", got, want)
			}
			user, err := os.Stat(e.Dirs.Namespace(p, "user"))
			if err != nil {
				t.Fatal(err)
			}
			for _, kind := range []string{"ipc", "net", "uts"} {
				if owner := ownerOf(t, e.Dirs.Namespace(p, kind)); !os.SameFile(owner, user) {
					t.Errorf("%s: the %s namespace belongs to another user namespace", want, kind)
				}
			}
			if list, _ := os.ReadDir(e.Dirs.Run + "/leases/ids"); (len(list) == 1) != (common.UserNS != "") {
				t.Errorf("%s: leases: %v", want, list)
			}
			reboot(t, e, p)
		}
		if p, err := e.StartPod(t.Context(), p); err != nil {
			t.Error(err)
		} else if err := e.RemovePod(t.Context(), p); err != nil {
			t.Error(err)
		}
		if list, _ := os.ReadDir(e.Dirs.Run + "/leases/ids"); len(list) > 0 || pins(t, e.Dirs.Run) > 0 {
			t.Errorf("%s: left: %v", want, list)
		}
	}
}

// ownerOf is the user namespace that owns another namespace.
func ownerOf(t *testing.T, path string) os.FileInfo {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_USERNS)
	if err != nil {
		t.Fatal(err)
	}
	user := os.NewFile(uintptr(fd), "user namespace")
	defer user.Close()
	info, err := user.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// TestPodUsersFail: what cannot be mapped, or joined, leaves nothing.
func TestPodUsersFail(t *testing.T) {
	for want, common := range map[string]spec.Container{
		"no 200 IDs in a row": {UserNS: "auto:size=200"}, "IDs of the container in common": {UIDMaps: []string{"0:1:2", "1:5:1"}},
		"is for users": {UserNS: "nomap"}, "ns/user": {UserNS: "ns:/proc/self/ns/user"},
	} {
		_, e := podWorld(t)
		p := userPod(t, e, common)
		e.Programs = proc.Run
		if _, err := e.StartPod(t.Context(), p); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `pod "stack"`) {
			t.Errorf("got %v, want %s", err, want)
		}
		if _, err := e.Create(t.Context(), spec.Container{Name: "one", Pod: "stack", Image: "image"}); err == nil {
			t.Errorf("%s: a container is made in it", want)
		}
		if list, _ := os.ReadDir(e.Dirs.Run + "/leases/ids"); len(list) > 0 || pins(t, e.Dirs.Run) > 0 {
			t.Errorf("%s: left: %v", want, list)
		}
	}
}

func TestPodRefuses(t *testing.T) {
	d := engine.Dirs{Run: t.TempDir()}
	if _, err := d.CreatePod(spec.Pod{Name: "p", Share: spec.DefaultShare, Common: spec.Container{Networks: []string{"container:x"}}}); err == nil {
		t.Error("a pod in the network of a container")
	}
	if pods, err := d.Pods(); err != nil || len(pods) > 0 {
		t.Errorf("%v, %v", pods, err)
	}
	for _, name := range []string{"", "../x", "none"} {
		if _, err := d.FindPod(name); !errors.Is(err, engine.ErrNoPod) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// reboot takes away what does not outlive a boot.
func reboot(t *testing.T, e *engine.Engine, pods ...engine.Pod) {
	t.Helper()
	for _, p := range pods {
		if err := e.StopPod(context.Background(), p); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(e.Dirs.Run); err != nil {
		t.Fatal(err)
	}
}

// TestKeptPod: a pod that was made by hand is there after a boot, can be started, and leaves nothing when it is removed.
func TestKeptPod(t *testing.T) {
	_, e := podWorld(t)
	ctx := context.Background()
	e.Dirs.KeepPods = filepath.Join(t.TempDir(), "kept")
	p, err := e.Dirs.CreatePod(spec.Pod{Name: "stack", Share: spec.DefaultShare, Kept: true})
	if err != nil {
		t.Fatal(err)
	}
	unit, err := e.Dirs.CreatePod(spec.Pod{Name: "of-unit", Share: spec.DefaultShare})
	if err != nil {
		t.Fatal(err)
	}
	if p, err = e.StartPod(ctx, p); err != nil || !e.Dirs.Live(p) {
		t.Fatalf("start: %v", err)
	}
	reboot(t, e, p, unit)
	if _, err := e.Dirs.FindPod("of-unit"); !errors.Is(err, engine.ErrNoPod) {
		t.Errorf("the pod of a unit is there after a boot: %v", err)
	}
	for _, word := range []string{"stack", p.ID, p.ID[:12]} {
		found, err := e.Dirs.FindPod(word)
		if err != nil || found.ID != p.ID || found.Name != "stack" || found.Ready || found.Addresses != nil || !found.Started || e.Dirs.Live(found) {
			t.Errorf("find %q: %+v, %v", word, found, err)
		}
	}
	if list, err := e.Dirs.Pods(); err != nil || len(list) != 1 {
		t.Errorf("pods: %v, %v", list, err)
	}
	if _, err := e.Dirs.CreatePod(spec.Pod{Name: "stack"}); !errors.Is(err, engine.ErrNameInUse) {
		t.Errorf("its name is free after a boot: %v", err)
	}
	if err := e.StopPod(ctx, p); err != nil {
		t.Errorf("stop before its start: %v", err)
	}
	if p, err = e.StartPod(ctx, p); err != nil || !e.Dirs.Live(p) || pins(t, e.Dirs.Run) != 3 {
		t.Fatalf("start after a boot: %v", err)
	}
	reboot(t, e, p)
	if err := e.RemovePod(ctx, p); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(e.Dirs.KeepPods); !os.IsNotExist(err) {
		t.Errorf("records after the removal: %v", err)
	}
	if _, err := e.Dirs.FindPod("stack"); !errors.Is(err, engine.ErrNoPod) {
		t.Errorf("found after its removal: %v", err)
	}
	if _, err := e.StartPod(ctx, p); err == nil {
		t.Error("a pod that is gone starts")
	}
}

// TestWakePod: of many starts after a boot one sets the pod up, and all find it running.
func TestWakePod(t *testing.T) {
	_, e := podWorld(t)
	ctx := context.Background()
	e.Dirs.KeepPods = filepath.Join(t.TempDir(), "kept")
	p, err := e.Dirs.CreatePod(spec.Pod{Name: "stack", Share: []string{"ipc", "uts"}, Kept: true})
	if err != nil {
		t.Fatal(err)
	}
	reboot(t, e, p)
	results := make(chan error)
	for range 16 {
		go func() {
			now, err := e.StartPod(ctx, p)
			if err == nil && !e.Dirs.Live(now) {
				err = errors.New("it is not live")
			}
			results <- err
		}()
	}
	for range 16 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if n := pins(t, e.Dirs.Run); n != 2 {
		t.Errorf("%d namespaces are pinned, want 2", n)
	}
}

// TestMemberInPod: a container of a pod outlives its end, is one of the pod's then too, and is not taken for one on its way.
func TestMemberInPod(t *testing.T) {
	_, e := podWorld(t)
	p, err := e.Dirs.CreatePod(spec.Pod{Name: "stack", Share: []string{"uts"}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := e.Create(context.Background(), spec.Container{Name: "one", Pod: "stack", Image: "image"})
	if err != nil {
		t.Fatal(err)
	}
	members, err := e.Dirs.Members(p)
	if err != nil || len(members) != 1 || members[0].ID != s.ID || members[0].OnItsWay() || members[0].Container.HostName != "stack" {
		t.Errorf("members: %+v, %v", members, err)
	}
}

// TestMemberIDs: a container that is made before its pod is started has the pod's IDs, which stay when the pod starts.
func TestMemberIDs(t *testing.T) {
	_, e := podWorld(t)
	p := userPod(t, e, spec.Container{UserNS: "auto:size=10"})
	s, err := e.Create(t.Context(), spec.Container{Name: "one", Pod: "stack", Image: "image"})
	if err != nil || s.IDs.Empty() {
		t.Fatalf("made: %v, %v", s.IDs, err)
	}
	if p, err = e.StartPod(t.Context(), p); err != nil || fmt.Sprint(p.IDs) != fmt.Sprint(s.IDs) {
		t.Errorf("the pod has %v, its container %v: %v", p.IDs, s.IDs, err)
	}
}

// TestStopPodBesideMember: from where a container enters its pod until it is known to run the pod is neither stopped nor removed, and then
// only when it has ended.
func TestStopPodBesideMember(t *testing.T) {
	w, e := podWorld(t)
	if err := os.MkdirAll(filepath.Join(w.Root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	p, err := e.Dirs.CreatePod(spec.Pod{Name: "stack", Share: spec.DefaultShare})
	if err == nil {
		_, err = e.Create(t.Context(), spec.Container{Name: "one", Pod: "stack", Image: "image"})
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := e.Dirs.Find("one")
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 2)
	seen := 0
	w.Meanwhile = func(m enginetest.Moment) {
		if m.Step != "store.Mount" && m.Step != "runtime.Create" {
			return
		}
		seen++
		dir, err := os.Open(e.Dirs.Pod(p.ID))
		if err != nil {
			t.Error(err)
			return
		}
		defer dir.Close()
		if err := atomicfile.TryLock(dir); !errors.Is(err, unix.EWOULDBLOCK) {
			t.Errorf("%s: the pod may be stopped: %v", m, err)
		}
		if seen == 1 {
			go func() { results <- e.StopPod(t.Context(), p) }()
			go func() { results <- e.RemovePod(t.Context(), p) }()
		}
	}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its mount namespace
		_, err := e.Start(t.Context(), s)
		started <- err
	}()
	if err := <-started; err != nil || seen != 4 {
		t.Errorf("start: %v, after %d moments", err, seen)
	}
	for range 2 {
		if err := <-results; !errors.Is(err, engine.ErrPodRuns) {
			t.Errorf("the pod was taken from under its container: %v", err)
		}
	}
	if p, err = e.Dirs.FindPod("stack"); err != nil || !e.Dirs.Live(p) {
		t.Errorf("%+v, %v", p, err)
	}
	w.Meanwhile = nil
	w.End()
	if err := e.Remove(t.Context(), s.ID, engine.RemoveOptions{Force: true}); err != nil {
		t.Error(err)
	}
	if err := e.StopPod(t.Context(), p); err != nil {
		t.Error(err)
	}
}

// TestRemoveAsleepPodBesideStart: a pod that is kept from an earlier boot and started while it is removed is not taken from under who starts it.
func TestRemoveAsleepPodBesideStart(t *testing.T) {
	w, e := podWorld(t)
	e.Dirs.KeepPods = filepath.Join(t.TempDir(), "kept")
	p, err := e.Dirs.CreatePod(spec.Pod{Name: "stack", Share: spec.DefaultShare, Kept: true})
	if err != nil {
		t.Fatal(err)
	}
	reboot(t, e, p)
	levels := filepath.Join(e.Dirs.Run, "leases", "levels") // where the removal can be held up
	if err := errors.Join(os.MkdirAll(levels, 0o700), os.Symlink(p.ID, filepath.Join(levels, "c1,c2"))); err != nil {
		t.Fatal(err)
	}
	lock, err := atomicfile.LockDir(levels)
	if err != nil {
		t.Fatal(err)
	}
	removed, started := make(chan error, 1), make(chan error, 1)
	go func() { removed <- e.RemovePod(t.Context(), p) }()
	for waiting(t) < 1 {
		runtime.Gosched()
	}
	go func() {
		_, err := e.StartPod(t.Context(), p)
		started <- err
	}()
	for len(started) == 0 && waiting(t) < 2 {
		runtime.Gosched()
	}
	lock.Close()
	if err := <-removed; err != nil {
		t.Errorf("remove: %v", err)
	}
	if err := <-started; !errors.Is(err, engine.ErrNoPod) {
		t.Errorf("start: %v", err)
	}
	if n := pins(t, e.Dirs.Run); n != 0 || len(w.Left()) > 0 {
		t.Errorf("left: %d pins, %v", n, w.Left())
	}
}

// waiting counts the threads of this process that wait for a lock.
func waiting(t *testing.T) int {
	t.Helper()
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		t.Fatal(err)
	}
	return len(regexp.MustCompile(fmt.Sprintf(`-> FLOCK .* %d `, os.Getpid())).FindAll(locks, -1))
}

// TestRemovePodThatStarted: a pod that was started after the one who removes it has looked leaves nothing.
func TestRemovePodThatStarted(t *testing.T) {
	w, e := podWorld(t)
	p, err := e.Dirs.CreatePod(spec.Pod{Name: "stack", Share: spec.DefaultShare})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.StartPod(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if err := e.RemovePod(t.Context(), p); err != nil { // p is as it was before
		t.Error(err)
	}
	if n := pins(t, e.Dirs.Run); n != 0 || len(w.Left()) > 0 {
		t.Errorf("%d pins, %v", n, w.Left())
	}
}
