package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

// Run sets the container up and starts it. When it returns nil the container's own program runs, systemd has been told
// its PID 1, and nothing of ours needs to stay. When it fails, what it had made is gone again.
//
// The calling goroutine must be locked to its thread: Run moves that thread into a mount namespace of its own, so that
// the container's mounts end with its last process and the kernel, not we, takes them away.
func (e *Engine) Run(ctx context.Context, c spec.Container) (State, error) {
	s, err := e.begin(ctx, c)
	if err != nil {
		return s, err
	}
	err = e.launch(ctx, &s, func(ctx context.Context, _ error) error {
		switch {
		case s.locks == nil: // it ran
			return e.afterRun(s, func(s State) error { return e.remove(ctx, s, true) })
		case s.ImageID == "" && !c.Rootfs: // there is nothing but its name; the store may be what failed
			return e.Dirs.release(s)
		}
		return e.remove(ctx, s, true)
	})
	return s, err
}

// launch starts a container whose name is taken. When it fails, undo takes away what it had made.
func (e *Engine) launch(ctx context.Context, s *State, undo func(context.Context, error) error) error {
	defer s.unlock()
	err := e.start(ctx, s)
	for _, f := range s.handles {
		f.Close()
	}
	defer s.netns.Close() // after undo, which works on it; nil is no error
	defer s.userns.Close()
	defer s.output.close()
	defer s.notify.Close()
	if err == nil {
		s.unlock() // it runs: who wants to stop or change it need not wait until it is ready
		err = e.awaitHealthy(ctx, *s)
	}
	if err = breakOff(ctx, err); err != nil {
		s.terminal.Close()
		// The caller's context may be what failed; taking away must not depend on it.
		return errors.Join(err, undo(context.WithoutCancel(ctx), err), s.Written())
	}
	return nil
}

// begin checks what can be checked without touching anything, and takes the container's name.
func (e *Engine) begin(ctx context.Context, c spec.Container) (State, error) {
	id, err := e.newID()
	if err != nil {
		return State{}, err
	}
	if c, err = e.complete(id, c); err != nil {
		return State{}, err
	}
	var pod Pod
	if c.Pod != "" || c.PodIDFile != "" {
		if pod, c, err = e.joinPod(c); err != nil {
			return State{}, err
		}
	}
	net, note, err := networkRequest(id, c)
	if err != nil {
		return State{}, err
	}
	if pod.ID != "" && pod.Spec.Shares("net") {
		net.Mode = podMode
		if pod.Network.host() {
			net.Mode = "host"
		}
	}
	if note != "" {
		fmt.Fprintln(e.Warn, note)
	}
	stop, err := stopSignal(c.StopSignal)
	if err != nil {
		return State{}, err
	}
	net.Dir = e.Dirs.Container(id)
	s := State{
		ID: id, Name: c.Name, Image: c.Image, Created: time.Now().UTC(), Unit: UnitOf(e.Host.Cgroup),
		Pod: pod.ID, Network: net, Container: c, StopTime: c.StopTimeout, StopSig: stop,
		Runtime: e.RuntimeProgram,
	}
	if c.Replace {
		if err := e.Remove(ctx, c.Name, RemoveOptions{Force: true, Ignore: true}); err != nil {
			return s, fmt.Errorf("replace container %q: %w", c.Name, err)
		}
	}
	if err := e.Dirs.releaseLast(id); err != nil {
		return s, err
	}
	if !c.Remove || c.Rootfs { // the store itself would refuse the name, but late, and knows nothing of a directory
		if _, err := e.Dirs.findKept(c.Name, 65, nil); err == nil || errors.Is(err, ErrDamaged) {
			return s, nameInUse(c.Name)
		}
	}
	lock, err := e.Dirs.reserve(s)
	s.locks = []*os.File{lock}
	return s, err
}

// complete gives the container what it was left without, and refuses what cannot be.
func (e *Engine) complete(id string, c spec.Container) (spec.Container, error) {
	if c.Name == "" {
		c.Name = "berth-" + id[:12]
	}
	if err := spec.CheckName(c.Name); err != nil {
		return c, fmt.Errorf("container: %w", err)
	}
	var err error
	if c.Labels, err = labels(c); err != nil {
		return c, err
	}
	if err := errors.Join(e.Runtime.Check(c), spec.CheckNamespaces(c)); err != nil {
		return c, err
	}
	if c.HostName == "" {
		c.HostName = e.sharedHostName(c)
	}
	return c, nil
}

// sharedHostName is the host name of whom the container shares it with, "" when it has one of its own.
func (e *Engine) sharedHostName(c spec.Container) string {
	if c.UTS == "host" || c.UTS != "private" && slices.Contains(c.Networks, "host") { // whose addresses have that name
		name, _ := os.Hostname()
		return name
	}
	if peer, ok := strings.CutPrefix(c.UTS, "container:"); ok {
		if other, err := e.Dirs.Find(peer); err == nil {
			return spec.HostName(other.ID, other.Container)
		}
	}
	return ""
}

// start runs the two halves side by side: the network of the container, and all the rest.
func (e *Engine) start(ctx context.Context, s *State) error {
	image, err := e.imageOf(ctx, *s)
	if err != nil {
		return err
	}
	if !s.Existing {
		s.makeOf(image)
	}
	if err := publishAll(s, image); err != nil {
		return err
	}
	s.chooseStop(image)
	if err := e.chooseLog(s); err != nil {
		return err
	}
	if err := e.label(s); err != nil {
		return err
	}
	if s.Pod != "" {
		if err := e.enterPod(ctx, s); err != nil {
			return err
		}
	}
	if err := e.userNS(ctx, s, image); err != nil {
		return err
	}
	status, err := e.planNetwork(ctx, s)
	if err != nil {
		return err
	}
	network := make(chan error, 1)
	if s.Networked && s.netns != nil {
		go func() { network <- breakOff(ctx, e.Network.Setup(ctx, s.Network)) }()
	} else {
		network <- nil
	}
	bundle, err := e.create(ctx, s, image, status)
	if err == nil && s.Networked && s.netns == nil {
		err = e.connect(ctx, s)
	}
	if err := reason(breakOff(ctx, err), <-network); err != nil {
		return err
	}
	s.Started = time.Now().UTC()
	if err := e.Dirs.save(*s); err != nil {
		return err
	}
	if err := writePID(*s); err != nil {
		return err
	}
	if !s.Existing {
		if err := writeID(*s); err != nil {
			return err
		}
	}
	if err := e.handOver(ctx, *s); err != nil {
		return err
	}
	if err := e.Runtime.Start(ctx, bundle); err != nil {
		err = fmt.Errorf("start container %q: %w", s.Name, err)
		return errors.Join(err, e.announce(*s, e.Host.Main))
	}
	s.output.started()
	if s.Existing {
		e.tell(*s, "start")
	} else {
		e.tell(*s, "create", "start")
	}
	return nil
}

var errBrokenOff = errors.New("the start was broken off")

// breakOff says why the start was broken off in the place of an error that says no more than that.
func breakOff(ctx context.Context, err error) error {
	if ctx.Err() == nil || !errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %w", errBrokenOff, context.Cause(ctx))
}

// reason is why a start has failed, whose halves have ended so.
func reason(a, b error) error {
	switch {
	case b != nil && errors.Is(a, errBrokenOff):
		return b
	case a != nil && errors.Is(b, errBrokenOff):
		return a
	}
	return errors.Join(a, b)
}

// chooseStop chooses the stop signal that was not asked for.
func (s *State) chooseStop(image Image) {
	if systemd, err := spec.SystemdMode(s.Container, image.Config); s.StopSig == "" && err == nil && systemd {
		s.StopSig = spec.SystemdStopSignal
	}
	if s.StopSig != "" {
		return
	}
	if sig, err := stopSignal(image.Config.StopSignal); err == nil { // an odd one is no reason not to run it
		s.StopSig = sig
	}
}

// planNetwork decides how the container is connected, and makes its network namespace unless the runtime is to do so.
func (e *Engine) planNetwork(ctx context.Context, s *State) (status NetworkStatus, err error) {
	if err := e.joinNetwork(s); err != nil || !s.Network.connected() {
		return status, err
	}
	if s.IDs.Empty() {
		if s.netns, err = newNetNS(); err != nil {
			return status, err
		}
		s.Network.NetNS = handlePath(s.netns)
	}
	s.Networked = true
	if err := e.Dirs.save(*s); err != nil {
		return status, err
	}
	status, err = e.reserve(ctx, s.Network)
	s.Addresses, s.Attached = status.Addresses, status.Attached
	if len(status.Published) > 0 {
		s.Network.Publish = status.Published
	}
	return status, err
}

// connect sets the network of a container with a user namespace of its own up. The network namespace must belong to that
// one, or the container's root could not even bind a low port (network_namespaces(7)); so the runtime has made both.
func (e *Engine) connect(ctx context.Context, s *State) (err error) {
	if s.netns, err = s.Init.OpenNamespace("net"); err != nil {
		return err
	}
	s.Network.NetNS = handlePath(s.netns)
	return e.Network.Setup(ctx, s.Network)
}

// handOver gives the container's PID 1 to systemd and its output to the keeper, side by side. Both must have taken them when
// the container's program begins.
func (e *Engine) handOver(ctx context.Context, s State) error {
	if err := s.output.hand(s, e.Host); err != nil {
		return fmt.Errorf("output of container %q: %w", s.Name, err)
	}
	if err := e.announce(s, s.Init.PID); err != nil {
		return err
	}
	if err := s.output.wait(ctx); err != nil {
		return errors.Join(fmt.Errorf("output of container %q: %w", s.Name, err), e.announce(s, e.Host.Main))
	}
	return nil
}

// imageOf is the image that the container is made of, or is to be made of.
func (e *Engine) imageOf(ctx context.Context, s State) (Image, error) {
	if s.Existing {
		return e.Store.Image(s.ImageID)
	}
	return e.image(ctx, s.Container)
}

// image finds the image, and brings it in first when it is missing or the policy says so.
func (e *Engine) image(ctx context.Context, c spec.Container) (Image, error) {
	if c.Rootfs {
		return Image{Name: c.Image}, nil
	}
	// What platform an image of the store is for, the helper knows.
	platform := c.Platform + c.OS + c.Arch + c.Variant
	if c.Pull == "always" || c.Pull == "newer" || platform != "" {
		if err := e.Pull(ctx, c); err != nil {
			return Image{}, err
		}
	}
	image, err := e.Store.Image(c.Image)
	if !errors.Is(err, ErrNoImage) {
		return image, err
	}
	if c.Pull == "never" {
		return Image{}, fmt.Errorf("image %q is not in the store, and --pull=never forbids to fetch it: `berth pull %s` or `berth load -i FILE` brings it in", c.Image, c.Image)
	}
	if err := e.Pull(ctx, c); err != nil {
		return Image{}, err
	}
	return e.Store.Image(c.Image)
}

// create mounts the root file system, writes config.json and lets the runtime create the container.
func (e *Engine) create(ctx context.Context, s *State, image Image, status NetworkStatus) (Bundle, error) {
	if err := ownMountNamespace(); err != nil {
		return Bundle{}, err
	}
	protect(e.RuntimeProgram)
	if err := e.keepHostCgroups(s); err != nil {
		return Bundle{}, err
	}
	divided, err := e.divideCgroup(s)
	if err != nil {
		return Bundle{}, err
	}
	bundle, config, err := e.prepare(ctx, s, image, status)
	if err := errors.Join(err, divided()); err != nil {
		return Bundle{}, err
	}
	pid, err := e.createIn(ctx, s, bundle)
	if pid > 0 { // also when it failed later: the process is to be taken away
		var gone error
		if s.Init, gone = proc.Identify(pid); gone != nil && err == nil {
			return Bundle{}, fmt.Errorf("container %q: process %d of the runtime: %w", s.Name, pid, gone)
		}
	}
	if err != nil {
		return Bundle{}, fmt.Errorf("create container %q: %w", s.Name, confined(err, config))
	}
	return bundle, nil
}

// prepare mounts the root file system and writes config.json.
func (e *Engine) prepare(ctx context.Context, s *State, image Image, status NetworkStatus) (bundle Bundle, config *specs.Spec, err error) {
	if s.rootfs, err = e.rootfs(ctx, s, image); err != nil {
		return bundle, nil, err
	}
	if s.notify, err = e.openNotify(*s); err != nil {
		return bundle, nil, err
	}
	in, err := e.input(ctx, s, image, status)
	if err != nil {
		return bundle, nil, err
	}
	if config, err = spec.Build(in); err != nil {
		return bundle, nil, err
	}
	if err := checkPlaces(s.files, config.Mounts); err != nil {
		return bundle, nil, err
	}
	if err := e.addHooks(ctx, &config, len(in.Volumes) > 0); err != nil {
		return bundle, nil, err
	}
	s.setCommand(config.Process.Args, image.Config)
	if err := e.prepareHealth(s, image, config); err != nil {
		return bundle, nil, err
	}
	if s.output, err = e.openOutput(s); err != nil {
		return bundle, nil, err
	}
	if bundle, err = e.bundle(*s); err != nil {
		return bundle, nil, err
	}
	if err := writeConfig(bundle.Dir, config); err != nil {
		return bundle, nil, err
	}
	// The group must be known before a process can be in it: whoever is left there by a killed berth is found by it.
	return bundle, config, e.Dirs.save(*s)
}

// confined adds to an error of the runtime's what AppArmor or SELinux may have to do with it.
func confined(err error, config *specs.Spec) error {
	switch {
	case strings.Contains(err.Error(), "attr/apparmor/exec"):
		return fmt.Errorf("AppArmor profile %q is not loaded (`apparmor_parser -r FILE` loads one), or may not be taken here: %w", config.Process.ApparmorProfile, err)
	case config.Process.SelinuxLabel != "" && strings.Contains(strings.ToLower(err.Error()), "permission denied"):
		return fmt.Errorf("%w; if it was SELinux, `ausearch -m avc -ts recent` shows what it has denied to %s", err, config.Process.SelinuxLabel)
	}
	return err
}

// createIn lets the runtime create the container, with a terminal if it wants one.
func (e *Engine) createIn(ctx context.Context, s *State, b Bundle) (pid int, err error) {
	if !s.Container.TTY {
		return e.Runtime.Create(ctx, b)
	}
	p, err := withConsole(ctx, b, e.Runtime.Create)
	if s.terminal = p.Master; s.Container.Detach && err == nil {
		s.output.addTerminal(p.Master)
		s.terminal = nil
	}
	return p.PID, err
}

// divideCgroup begins to give the container a group of its own below the unit's, where the unit's may be divided, and returns
// what waits until it is there.
func (e *Engine) divideCgroup(s *State) (wait func() error, err error) {
	if s.Container.Cgroups != "split" || e.Host.Cgroup == "" {
		return func() error { return nil }, nil
	}
	s.Cgroup, s.cgroupInside, wait, err = e.Cgroups.Divide(e.Host.Cgroup, s.ID)
	return wait, err
}

// rootfs mounts the container's root file system, or takes the directory that stands in for one.
func (e *Engine) rootfs(ctx context.Context, s *State, image Image) (string, error) {
	if s.Container.Rootfs {
		dir, options, _ := strings.Cut(image.Name, ":")
		if !filepath.IsAbs(dir) {
			return "", fmt.Errorf("root file system %q: the path must be absolute", image.Name)
		}
		switch options {
		case "":
			return e.mapRootfs(s, dir)
		case "O":
			path, err := e.overlayRootfs(s, dir)
			if err != nil {
				return "", err
			}
			return e.mapRootfs(s, path)
		}
		return "", fmt.Errorf("root file system %q: unknown option %q; O is known, which keeps changes out of the directory", image.Name, options)
	}
	ids := s.fileIDs()
	if e.Host.Rootless && !ids.Empty() && !e.Store.HasMapped(image, ids) {
		fmt.Fprintln(e.Warn, "the kernel maps the owners of an image's files for root only: this first start with these IDs copies the image")
	}
	if err := e.ensureLayer(ctx, s, image, ids); err != nil {
		return "", err
	}
	path, err := e.Store.Mount(s.ID)
	s.files = path
	if err != nil || ids.Empty() {
		return path, err
	}
	return e.withinReach(s, path)
}

// fileIDs are the maps of the owners of the container's files; none where each is what it is outside.
func (s State) fileIDs() spec.IDMaps {
	if s.IDs.Identity() {
		return spec.IDMaps{}
	}
	return s.IDs
}

// ensureLayer makes the container's writable layer, and the record of one that is kept.
func (e *Engine) ensureLayer(ctx context.Context, s *State, image Image, ids spec.IDMaps) error {
	if s.Existing {
		return e.Dirs.keep(*s)
	}
	if err := e.makeLayer(ctx, s, image, CreateOptions{Volatile: s.Container.Remove, IDs: ids, Label: s.Label}); err != nil {
		return err
	}
	return e.Dirs.keepNew(*s)
}

// makeLayer makes a container's writable layer. An image that somebody has removed since it was found is brought in once more, as
// far as the policy allows that; so much has been decided by it that it must not be another one by now.
func (e *Engine) makeLayer(ctx context.Context, s *State, image Image, o CreateOptions) error {
	err := e.Store.Create(s.ID, s.Name, image, o)
	if !errors.Is(err, ErrNoImage) {
		return err
	}
	again, err := e.image(ctx, s.Container)
	switch {
	case err != nil:
		return err
	case again.ID != image.ID:
		return fmt.Errorf("image %q has become another one, and what it was is removed, while container %q was made of it: start it again", image.Name, s.Name)
	}
	return e.Store.Create(s.ID, s.Name, again, o)
}

// withinReach shows the root file system where the runtime, as a user of the container's namespace, can get at it.
func (e *Engine) withinReach(s *State, path string) (string, error) {
	place, err := e.rootfsPlace(s)
	if err != nil {
		return "", err
	}
	return place, unix.Mount(path, place, "", unix.MS_BIND|unix.MS_REC, "")
}

// rootfsPlace makes a directory that the root file system can be mounted on.
func (e *Engine) rootfsPlace(s *State) (string, error) {
	dir, err := e.staging(s)
	if err != nil {
		return "", err
	}
	place := filepath.Join(dir, "rootfs")
	return place, os.Mkdir(place, 0o755)
}

// overlayRootfs keeps what the container writes out of the directory, in memory.
func (e *Engine) overlayRootfs(s *State, dir string) (string, error) {
	staging, err := e.staging(s)
	if err != nil {
		return "", err
	}
	v := spec.Volume{Upper: filepath.Join(staging, "rootfs-upper"), Work: filepath.Join(staging, "rootfs-work")}
	if err := errors.Join(os.Mkdir(v.Upper, 0o755), os.Mkdir(v.Work, 0o700), sameOwner(dir, v.Upper)); err != nil {
		return "", err
	}
	const number = -1 // beside the volumes, which count from 0
	return e.stageOverlay(s, number, dir, v)
}

// stdio fills in the container's standard files. With a terminal they are only the runtime's, for its complaints.
func (s State) stdio(b *Bundle) error {
	b.Stdin, b.Stdout, b.Stderr = os.Stdin, s.output.stdout, s.output.stderr
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	c := s.Container
	if s.output.stdin != nil {
		b.Stdin = s.output.stdin
		return nil
	}
	if !c.Interactive && c.LogDriver != spec.LogPassthrough || c.TTY || !c.Attached("stdin") {
		b.Stdin = null
	}
	if !c.Attached("stdout") {
		b.Stdout = null
	}
	if !c.Attached("stderr") && !c.TTY {
		b.Stderr = null
	}
	if c.Detach {
		return nil
	}
	for _, f := range []**os.File{&b.Stdout, &b.Stderr} {
		if *f, err = s.output.outlets.forWriting(*f); err != nil {
			return err
		}
	}
	b.Stdin, err = forReading(b.Stdin)
	return err
}

// bundle describes the container to the runtime.
func (e *Engine) bundle(s State) (Bundle, error) {
	b := Bundle{ID: s.ID, Dir: e.Dirs.Container(s.ID), Cgroup: s.Cgroup != "", RuntimeRoot: e.Dirs.runtimeRoot()}
	if err := s.stdio(&b); err != nil {
		return b, err
	}
	files, err := spec.FileNumbers(s.Container.ProcessFlags)
	for i := range e.Host.ListenFDs {
		files = append(files, 3+i)
	}
	for _, n := range files {
		// Our own files are closed at an exec, the caller's are not (fcntl(2), FD_CLOEXEC).
		if flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 {
			return b, fmt.Errorf("file %d is to be handed on to container %q, but berth was not given it", n, s.Name)
		}
		for len(b.Extra) <= n-3 {
			b.Extra = append(b.Extra, nil)
		}
		b.Extra[n-3] = os.NewFile(uintptr(n), fmt.Sprintf("file-%d", n))
	}
	return b, err
}

// linuxConfig is config.json without what other systems than Linux have there: making encoders for all the types of that takes longer
// than to encode the rest.
type linuxConfig struct {
	*specs.Spec
	Solaris *struct{} `json:"solaris,omitempty"`
	Windows *struct{} `json:"windows,omitempty"`
	VM      *struct{} `json:"vm,omitempty"`
	ZOS     *struct{} `json:"zos,omitempty"`
	FreeBSD *struct{} `json:"freebsd,omitempty"`
}

func writeConfig(dir string, config *specs.Spec) error {
	data, err := json.Marshal(linuxConfig{Spec: config})
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, "config.json"), data, 0o600)
}

// announce tells systemd which process the service is (sd_notify(3), MAINPID=) and, unless the container does so itself,
// that it is ready. Both must be known before the container's program runs: it may end at once, and systemd takes no
// process that has ended, nor a service that ended before it was ready.
func (e *Engine) announce(s State, pid int) error {
	who := s.Container.SDNotify
	if who == "ignore" {
		return nil
	}
	state := fmt.Sprintf("MAINPID=%d", pid)
	if who != "container" && who != "healthy" {
		state += "\nREADY=1"
	}
	if err := e.Manager.Notify(state); err != nil {
		return fmt.Errorf("tell systemd the main process of %q: %w", s.Name, err)
	}
	return nil
}

// writePID writes the file of --pidfile.
func writePID(s State) error {
	if f := s.Container.PIDFile; f != "" {
		return atomicfile.Write(f, fmt.Appendf(nil, "%d\n", s.Init.PID), 0o644)
	}
	return nil
}

// writeID writes the file of --cidfile, once in the life of a container.
func writeID(s State) error {
	if f := s.Container.CIDFile; f != "" {
		return atomicfile.WriteTo(f, []byte(s.ID), 0o666)
	}
	return nil
}

// removeID removes the file of --cidfile, unless it speaks of another container by now.
func removeID(s State) error {
	f := s.Container.CIDFile
	if !filepath.IsAbs(f) {
		return nil
	}
	if info, err := os.Stat(f); err != nil || !info.Mode().IsRegular() || info.Size() > 2*int64(len(s.ID)) {
		return nil // it has gone, or is not what was written
	}
	text, err := atomicfile.Read(f)
	if err == nil && strings.TrimSpace(string(text)) == s.ID {
		err = os.Remove(f)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// NewName makes a name for a container that was given none.
func NewName() (string, error) {
	id, err := NewID()
	return "berth-" + id[:min(12, len(id))], err
}

// IDVariable tells the berth of a transient unit which ID its container is to have: the one that its maker has printed.
const IDVariable = "BERTH_CONTAINER_ID"

// MakerVariable tells a berth that makes a container the PID of the one which is about to start it.
const MakerVariable = "BERTH_MAKER"

// maker is the process of MakerVariable.
func (e *Engine) maker() proc.ID {
	pid, err := strconv.Atoi(e.Host.Environment[MakerVariable])
	if err != nil {
		return proc.ID{}
	}
	id, _ := proc.Identify(pid) // without it the container is one that was only made
	return id
}

func (e *Engine) newID() (string, error) {
	if id := e.Host.Environment[IDVariable]; len(id) == 64 && strings.Trim(id, "0123456789abcdef") == "" {
		return id, nil
	}
	return NewID()
}

// NewID makes the 64 hexadecimal digits that name a container.
func NewID() (string, error) {
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	return hex.EncodeToString(b), nil
}

// UnitOf is the systemd unit that a cgroup path belongs to: its last element that is a service or scope.
func UnitOf(cgroup string) string {
	for _, part := range slices.Backward(strings.Split(cgroup, "/")) {
		if strings.HasSuffix(part, ".service") || strings.HasSuffix(part, ".scope") {
			return part
		}
	}
	return ""
}

// stopSignal normalises a signal's name or number.
func stopSignal(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	sig, err := proc.ParseSignal(s)
	if err != nil {
		return "", fmt.Errorf("stop signal: %w", err)
	}
	return proc.SignalName(sig), nil
}
