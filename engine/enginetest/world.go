// Package enginetest has small stand-ins for what the engine works on. They keep account of what is there, so that a test
// can ask what was left over, and can fail or be killed at any step.
package enginetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/keeper"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

// Moment is a place in the order of the steps: before or after the work of the step with this name.
type Moment struct {
	Step  string
	After bool
}

// String writes the moment for a test's name.
func (m Moment) String() string {
	if m.After {
		return "after " + m.Step
	}
	return "before " + m.Step
}

// ErrInjected is how a step fails that was told to.
var ErrInjected = errors.New("injected failure")

// World is the machine of a test. Its zero value with Root set has one image, "image", and nothing else.
type World struct {
	Root    string // root file system that every container gets
	FailAt  Moment // fails there, every time
	Process []byte // process.json of the last exec
	SELinux engine.SELinux
	Keeps   bool   // there is a keeper
	Socket  string // systemd's notification socket
	User    bool   // the engine is a user's
	KillAt  Moment // ends the calling goroutine there, as a kill of the program would: without any undo
	// Meanwhile is called at each moment: what others do then.
	Meanwhile func(Moment)

	ImageLabels []string // of the image
	ImagePorts  []string // that it exposes

	Handed []int         // the files that the keeper was handed, with the last container
	Record keeper.Record // and what it was told of that

	mu        sync.Mutex
	steps     []string
	things    []string // what is there, as KIND ID
	processes []*exec.Cmd
	killed    chan struct{} // closed when KillAt was in the other goroutine
	connected chan struct{} // closed when the other goroutine is done
}

// Engine returns an engine that works on this world, with its state below run.
func (w *World) Engine(run string) *engine.Engine {
	if w.killed == nil {
		w.killed = make(chan struct{})
	}
	e := &engine.Engine{
		Store: store{w}, Volumes: volumes{w}, Runtime: ociRuntime{w}, Cgroups: cgroups{w}, Network: network{w}, Manager: manager{w}, SELinux: w.SELinux,
		Dirs: engine.Dirs{Run: run, Keep: w.Kept()}, Host: engine.Host{Cgroup: "/system.slice/web.service", Main: 4242, Rootless: w.User, Environment: map[string]string{"NOTIFY_SOCKET": w.Socket}},
		Pull:    func(context.Context, spec.Container) error { return w.step("pull", func() { w.add("image pulled") }) },
		Seccomp: func(string) ([]byte, error) { return nil, nil }, Warn: io.Discard,
	}
	if w.Keeps {
		e.Keeper = func() (engine.Keeping, error) { return keeping{w}, nil }
	}
	return e
}

type keeping struct{ w *World }

// Keep takes the files over, as they are then in another process.
func (k keeping) Keep(r keeper.Record, files ...*os.File) error {
	name := "keeper.Keep " + r.Driver
	for _, s := range r.Streams {
		name += " " + s.Name
	}
	return k.w.step(name, func() {
		k.w.Handed, k.w.Record = nil, r
		for _, f := range files {
			fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				panic(err)
			}
			k.w.Handed = append(k.w.Handed, fd)
		}
	})
}

func (k keeping) Wait(context.Context) error { return k.w.step("keeper.Wait", func() {}) }
func (k keeping) Guard(int, uint64) error    { return k.w.step("keeper.Guard", func() {}) }
func (k keeping) Started() error             { return k.w.step("keeper.Started", func() {}) }
func (k keeping) Close() error               { return nil }
func (k keeping) AwaitHealthy(context.Context, string) error {
	return k.w.step("keeper.AwaitHealthy", func() {})
}

// Steps returns what was done, in order. Setup of the network runs beside the rest and is left out.
func (w *World) Steps() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.steps)
}

// Forget empties the list of steps.
func (w *World) Forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps = nil
}

// Left lists what containers have left: records, mounts, plans, connections, groups and processes that run.
func (w *World) Left() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(w.things), func(s string) bool { return s == "image pulled" })
	for _, p := range w.processes {
		if _, err := proc.Identify(p.Process.Pid); err == nil {
			left = append(left, "process")
		}
	}
	slices.Sort(left)
	return left
}

// End ends all processes that the world has started, and waits for them.
func (w *World) End() {
	for _, p := range w.processes {
		p.Process.Kill()
		p.Wait()
	}
}

func (w *World) has(thing string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.things, thing)
}

func (w *World) add(thing string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.things, thing) {
		w.things = append(w.things, thing)
	}
}

func (w *World) drop(thing string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.things = slices.DeleteFunc(w.things, func(s string) bool { return s == thing })
}

// step notes the step and does its work, unless it is to fail or to be killed.
func (w *World) step(name string, work func()) error {
	if name != "network.Setup" {
		w.mu.Lock()
		w.steps = append(w.steps, name)
		w.mu.Unlock()
	}
	w.interrupt(Moment{name, false})
	if w.FailAt == (Moment{name, false}) {
		return fmt.Errorf("%s: %w", name, ErrInjected)
	}
	work()
	w.interrupt(Moment{name, true})
	if w.FailAt == (Moment{name, true}) {
		return fmt.Errorf("%s: %w", name, ErrInjected)
	}
	return nil
}

// interrupt ends the goroutine when it is its moment. Setup runs in a goroutine of its own: the main one ends with it, at
// its next step.
func (w *World) interrupt(m Moment) {
	if w.Meanwhile != nil {
		w.Meanwhile(m)
	}
	if w.KillAt.Step == "network.Setup" && m.Step == "runtime.Create" {
		<-w.killed
		runtime.Goexit()
	}
	if w.KillAt != m {
		return
	}
	switch {
	case m.Step == "network.Setup":
		close(w.killed)
	case m.Step != "network.Plan" && w.connected != nil:
		<-w.connected // a kill would end the other goroutine too; one that is done does no harm
	}
	runtime.Goexit()
}

type store struct{ w *World }

func (s store) Image(name string) (engine.Image, error) {
	err := s.w.step("store.Image", func() {})
	if err == nil && name != "image" && name != "i1" && !(name == "remote" && s.w.has("image pulled")) {
		err = fmt.Errorf("%w: %q", engine.ErrNoImage, name)
	}
	return engine.Image{ID: "i1", Name: name, Config: spec.ImageConfig{Cmd: []string{"/bin/true"}, StopSignal: "USR1", Exposed: s.w.ImagePorts}, Labels: s.w.ImageLabels}, err
}

// Prune takes away the image that was pulled.
func (w *World) Prune() { w.drop("image pulled") }

func (s store) Create(id, name string, image engine.Image, _ engine.CreateOptions) error {
	if image.Name == "remote" && !s.w.has("image pulled") {
		return fmt.Errorf("%w: %q", engine.ErrNoImage, image.ID)
	}
	return s.w.step("store.Create", func() { s.w.add("record " + id) })
}

// Kept is where the store has the directories of its containers.
func (w *World) Kept() string { return filepath.Join(filepath.Dir(w.Root), "kept") }

func (s store) Mount(id string) (string, error) {
	if !s.w.has("record " + id) {
		return "", errors.New("the store knows no such container")
	}
	return s.w.Root, s.w.step("store.Mount", func() { s.w.add("mount " + id) })
}

func (s store) UsedIDs() ([]spec.IDRange, error) { return nil, nil }

func (s store) HasMapped(engine.Image, spec.IDMaps) bool { return true }

func (s store) UserNS(spec.IDMaps) (*os.File, error) { return os.Open("/proc/self/ns/user") }

func (s store) Dir(id string) (string, error) {
	dir := filepath.Join(filepath.Dir(s.w.Root), "container", id)
	return dir, os.MkdirAll(dir, 0o700)
}

func (s store) Remove(id string) error {
	return s.w.step("store.Remove", func() {
		if !s.w.has("record " + id) {
			return
		}
		if err := os.RemoveAll(filepath.Join(s.w.Kept(), id)); err != nil {
			panic(err)
		}
		s.w.drop("mount " + id)
		s.w.drop("record " + id)
	})
}

type volumes struct{ w *World }

// Ensure keeps volumes beside the root file system.
func (v volumes) Ensure(r engine.VolumeRequest, fill func(string, bool) error) (engine.VolumeSource, error) {
	dir := v.dir(r.Name)
	err := v.w.step("volumes.Ensure", func() {})
	if _, missing := os.Stat(dir); err != nil || missing == nil {
		return engine.VolumeSource{Path: dir}, err
	}
	if err = os.MkdirAll(dir, 0o755); err == nil {
		err = fill(dir, true)
	}
	if err != nil {
		err = errors.Join(err, os.RemoveAll(dir))
	} else if r.Anonymous {
		v.w.add("anonymous volume")
	}
	return engine.VolumeSource{Path: dir}, err
}

// WithLayer knows no layers.
func (v volumes) WithLayer(string, func(engine.Layer) error) error { return engine.ErrNoVolume }

func (v volumes) dir(name string) string {
	return filepath.Join(filepath.Dir(v.w.Root), "volumes", name)
}

// Remove forgets a volume.
func (v volumes) Remove(name string, unused func() error) error {
	if _, err := os.Stat(v.dir(name)); err != nil {
		return engine.ErrNoVolume
	}
	if err := unused(); err != nil {
		return err
	}
	if err := v.w.step("volumes.Remove", func() { v.w.drop("anonymous volume") }); err != nil {
		return err
	}
	return os.RemoveAll(v.dir(name))
}

type ociRuntime struct{ w *World }

// Create starts a real process, in the container's group: a PID that the engine can look at.
func (ociRuntime) Check(spec.Container) error { return nil }

func (r ociRuntime) Create(_ context.Context, b engine.Bundle) (pid int, err error) {
	err = r.w.step("runtime.Create", func() {
		p := exec.Command("/bin/sleep", "1000")
		if err := p.Start(); err != nil {
			panic(err)
		}
		r.w.processes = append(r.w.processes, p)
		pid = p.Process.Pid
		if b.Cgroup {
			r.w.add("group")
		}
	})
	return pid, err
}

func (r ociRuntime) Words(engine.Bundle) []string { return []string{"/bin/true"} }

func (r ociRuntime) Start(_ context.Context, b engine.Bundle) error {
	return r.w.step("runtime.Start", func() {})
}

// Exec starts a process that ends at once.
func (r ociRuntime) Exec(_ context.Context, b engine.Bundle) (pid int, err error) {
	err = r.w.step("runtime.Exec", func() {
		if r.w.Process, err = os.ReadFile(filepath.Join(b.Dir, "process.json")); err != nil {
			panic(err)
		}
		pid = 4711
	})
	return pid, err
}

type cgroups struct{ w *World }

func (c cgroups) Enter(string) error { return c.w.step("cgroups.Enter", func() {}) }

func (c cgroups) Divide(unit, id string) (group, inside string, wait func() error, err error) {
	wait = func() error { return c.w.step("cgroups.Wait", func() {}) }
	return unit + "/container-" + id, "/container-" + id, wait, c.w.step("cgroups.Divide", func() {})
}

func (c cgroups) Thaw(group string) error { return c.w.step("cgroups.Thaw", func() {}) }

func (c cgroups) Remove(context.Context, string) error {
	return c.w.step("cgroups.Remove", func() { c.w.drop("group"); c.w.End() })
}

type network struct{ w *World }

func (n network) Plan(_ context.Context, r engine.NetworkRequest) (engine.NetworkStatus, error) {
	err := n.w.step("network.Plan", func() {
		n.w.add("plan " + r.ID)
		n.w.connected = make(chan struct{})
	})
	return engine.NetworkStatus{Addresses: []string{"10.88.0.9"}, Host: []string{"10.88.0.1"}}, err
}

func (n network) Setup(_ context.Context, r engine.NetworkRequest) error {
	defer close(n.w.connected)
	return n.w.step("network.Setup", func() { n.w.add("connection " + r.ID) })
}

func (n network) Teardown(_ context.Context, r engine.NetworkRequest) error {
	return n.w.step("network.Teardown", func() { n.w.drop("connection " + r.ID); n.w.drop("plan " + r.ID) })
}

func (n network) Connect(_ context.Context, r engine.NetworkRequest, a spec.Attachment) (engine.NetworkStatus, error) {
	status := engine.NetworkStatus{Addresses: []string{"10.88.0.9", "10.99.0.9"}, Host: []string{"10.88.0.1", "10.99.0.1"}}
	return status, n.w.step("network.Connect "+a.Network, func() { n.w.add("connection " + a.Network + " " + r.ID) })
}

func (n network) Disconnect(_ context.Context, r engine.NetworkRequest, name string) (engine.NetworkStatus, error) {
	status := engine.NetworkStatus{Addresses: []string{"10.88.0.9"}, Host: []string{"10.88.0.1"}}
	return status, n.w.step("network.Disconnect "+name, func() { n.w.drop("connection " + name + " " + r.ID) })
}

type manager struct{ w *World }

func (m manager) Notify(state string) error { return m.w.step("notify "+m.short(state), func() {}) }

// short leaves out the PID, which differs from run to run, unless it is berth's own.
func (manager) short(state string) string {
	var pid int
	if n, _ := fmt.Sscanf(state, "MAINPID=%d", &pid); n == 1 && pid != 4242 {
		state = strings.Replace(state, fmt.Sprint(pid), "container", 1)
	}
	return strings.ReplaceAll(state, "\n", " ")
}
