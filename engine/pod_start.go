package engine

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
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

// cloneFlags are the kernel's names of the namespaces that a pod shares and that files can hold, in the order in which they are made.
var cloneFlags = []struct {
	kind string
	flag int
}{{"user", unix.CLONE_NEWUSER}, {"ipc", unix.CLONE_NEWIPC}, {"net", unix.CLONE_NEWNET}, {"uts", unix.CLONE_NEWUTS}}

// HolderFlags are the namespaces that the process which holds those of the pod is started in. That of a pod with a user
// namespace of its own is started in all of them later on, by who knows the maps.
func HolderFlags(p Pod) uintptr {
	flags := 0
	if p.Spec.Shares("user") {
		return 0
	}
	if slices.Contains(p.kinds(), "pid") {
		flags |= unix.CLONE_NEWPID
	}
	for _, c := range cloneFlags {
		if slices.Contains(p.kinds(), c.kind) && !pinnable() {
			flags |= c.flag
		}
	}
	return uintptr(flags)
}

// HoldPod notes the process that holds the pod's namespaces, before anything is set up in them.
func (d Dirs) HoldPod(p Pod, holder proc.ID) (Pod, error) {
	if err := d.wakePod(p); err != nil {
		return p, err
	}
	lock, err := d.lockPod(p.ID)
	if err != nil {
		return p, err
	}
	defer lock.Close()
	if p, err = d.Refresh(p); err != nil {
		return p, err
	}
	p.Holder, p.Ready = holder, false
	return p, d.savePod(p)
}

// StartPod makes the pod's namespaces, or takes those of its holder, and connects them. One that is there already stays.
func (e *Engine) StartPod(ctx context.Context, p Pod) (Pod, error) {
	unit := ""
	if e.Host.Environment["NOTIFY_SOCKET"] != "" {
		unit = UnitOf(e.Host.Cgroup)
	}
	return e.startPod(ctx, p, unit)
}

// startPod is StartPod for a pod's own unit, or for none: that of a container which starts its pod is not the pod's.
func (e *Engine) startPod(ctx context.Context, p Pod, unit string) (Pod, error) {
	if err := e.Dirs.wakePod(p); err != nil {
		return p, err
	}
	lock, err := e.Dirs.lockPod(p.ID)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w any more: %q", ErrNoPod, p.Name)
	}
	if err != nil {
		return p, err
	}
	defer lock.Close()
	if p, err = e.Dirs.loadPod(p.ID); err != nil || e.Dirs.Live(p) {
		return p, err
	}
	// What a start or a pod that was killed has left, less a holder that was started just now.
	fresh := p.Holder
	if err := e.takeDown(ctx, p, true); err != nil {
		return p, err
	}
	p.Ready, p.Networked, p.Holder = false, false, fresh
	if p.Spec.Shares("user") {
		if err := e.podIDs(ctx, &p); err != nil {
			return p, fmt.Errorf("pod %q: %w", p.Name, err)
		}
	}
	if err := e.setUp(ctx, &p, unit); err != nil {
		return p, errors.Join(fmt.Errorf("pod %q: %w", p.Name, err), e.takeDown(context.WithoutCancel(ctx), p, false))
	}
	e.tellOf(p.event("start"))
	return p, nil
}

func (e *Engine) setUp(ctx context.Context, p *Pod, unit string) (err error) {
	if p.label, err = e.podLabel(*p); err != nil {
		return fmt.Errorf("SELinux: %w", err)
	}
	if err := e.makeNamespaces(ctx, p); err != nil {
		return err
	}
	var status NetworkStatus
	if p.Spec.Shares("net") && p.Network.connected() {
		p.Network.NetNS = e.Dirs.Namespace(*p, "net")
		p.Networked = true
		if err := e.Dirs.savePod(*p); err != nil {
			return err
		}
		if status, err = e.reserve(ctx, p.Network); err != nil {
			return err
		}
		if err := e.Network.Setup(ctx, p.Network); err != nil {
			return err
		}
	}
	p.Addresses, p.Attached = status.Addresses, status.Attached
	common := p.Spec.Common
	common.HostName = p.Spec.HostName()
	dir := e.Dirs.Pod(p.ID)
	if err := e.networkFiles(State{ID: p.ID, Container: common, Label: spec.Label{File: p.label}}, dir, p.Network.host(), status); err != nil {
		return err
	}
	if err := ownedByRoot(p.IDs, filepath.Join(dir, "hosts"), filepath.Join(dir, "resolv.conf")); err != nil {
		return err
	}
	if !p.Started {
		p.Started = true
		if err := e.Dirs.keepPod(*p); err != nil {
			return err
		}
	}
	p.Unit, p.Ready = unit, true
	return e.Dirs.savePod(*p)
}

// StopPod takes the pod's namespaces down. Its containers must have ended: ErrPodRuns says that one runs.
func (e *Engine) StopPod(ctx context.Context, p Pod) error {
	lock, err := e.Dirs.lockPod(p.ID)
	if _, gone := e.Dirs.loadPod(p.ID); errors.Is(err, fs.ErrNotExist) && gone == nil {
		return nil // kept from an earlier boot, and not started in this one
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	if p, err = e.Dirs.loadPod(p.ID); err != nil {
		return err
	}
	members, err := e.Dirs.MembersSurely(p)
	if err := errors.Join(err, noneRuns(p, members)); err != nil {
		return err
	}
	if err := e.takeDown(ctx, p, false); err != nil {
		return err
	}
	e.tellOf(p.event("stop"))
	p.Ready, p.Networked, p.Holder, p.Addresses, p.Attached = false, false, proc.ID{}, nil, nil
	return e.Dirs.savePod(p)
}

// noneRuns says that a container of the pod runs: it was started after the others had been stopped. The pod is locked, so all that have
// entered it are known to run, and those that are to start yet find the pod as it is then.
func noneRuns(p Pod, members []State) error {
	for _, s := range members {
		if s.Running() {
			return fmt.Errorf("pod %q %w: %q was started meanwhile; try again", p.Name, ErrPodRuns, s.Name)
		}
	}
	return nil
}

// RemovePod forgets a pod whose containers are gone: ErrPodRuns says that one runs. It may be called again and again, also after a kill.
func (e *Engine) RemovePod(ctx context.Context, p Pod) error {
	if err := e.Dirs.wakePod(p); err != nil { // only what is of this boot can be locked, and a container may be about to start it
		return err
	}
	lock, err := e.Dirs.lockPod(p.ID)
	switch {
	case err == nil:
		defer lock.Close()
		if p, err = e.Dirs.Refresh(p); err != nil {
			return err
		}
		members, err := e.Dirs.Members(p)
		if err := errors.Join(err, noneRuns(p, members)); err != nil {
			return err
		}
		if err := e.takeDown(ctx, p, false); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist): // somebody else has removed it, or was killed at it
		return err
	}
	err = errors.Join(e.releaseLevel(p.ID), e.releasePodIDs(p))
	if err == nil {
		err = e.Dirs.releasePod(p)
	}
	if err == nil {
		e.tellOf(p.event("remove"))
	}
	return err
}

// takeDown undoes setUp as far as it got; the holder may stay.
func (e *Engine) takeDown(ctx context.Context, p Pod, keepHolder bool) error {
	var errs []error
	if p.Networked {
		p.Network.NetNS = ""
		if path := e.Dirs.Namespace(p, "net"); pinned(path) {
			p.Network.NetNS = path
		}
		if err := e.Network.Teardown(ctx, p.Network); err != nil {
			return fmt.Errorf("network of pod %q: %w", p.Name, err)
		}
	}
	for _, c := range cloneFlags {
		path := e.Dirs.pin(p, c.kind)
		for pinned(path) {
			if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
				errs = append(errs, fmt.Errorf("unpin %s: %w", path, err))
				break
			}
		}
	}
	for shm := e.Dirs.pin(p, podShm); isMount(shm); {
		if err := unix.Unmount(shm, unix.MNT_DETACH); err != nil {
			errs = append(errs, fmt.Errorf("unmount %s: %w", shm, err))
			break
		}
	}
	if p.Holder.PID > 0 && !keepHolder {
		errs = append(errs, endHolder(ctx, p.Holder))
	}
	return errors.Join(errs...)
}

func endHolder(ctx context.Context, holder proc.ID) error {
	pidfd, err := holder.Open()
	if errors.Is(err, proc.ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer pidfd.Close()
	// To the manager an end by SIGTERM is a clean one. The first process of a PID namespace may be deaf to it (kill(2)).
	return proc.End(ctx, pidfd, holderPatience)
}

// holderPatience is how long a process that only sleeps may take to end.
const holderPatience = time.Second

func lockDir(dir string) (unlock func(), err error) {
	f, err := atomicfile.LockDir(dir)
	return func() { f.Close() }, err
}

// pinNamespaces makes the pod's namespaces and binds each to a file, which keeps it without any process (namespaces(7)).
func pinNamespaces(d Dirs, p Pod) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: this thread belongs to the new namespaces and ends with the goroutine
		done <- pinHere(d, p)
	}()
	return <-done
}

func pinHere(d Dirs, p Pod) error {
	for _, c := range cloneFlags {
		if !slices.Contains(p.kinds(), c.kind) {
			continue
		}
		if err := unix.Unshare(c.flag); err != nil {
			return proc.NoNamespace(c.kind, err)
		}
		if err := bindNamespace(d.pin(p, c.kind), c.kind, unix.Gettid()); err != nil {
			return err
		}
	}
	if err := p.mountShm(d); err != nil {
		return err
	}
	return FurnishPod(p)
}

// bindNamespace binds the namespace that a thread is in to a file.
func bindNamespace(pin, kind string, tid int) error {
	f, err := os.OpenFile(pin, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	f.Close()
	if err := unix.Mount(fmt.Sprintf("/proc/%d/ns/%s", tid, kind), pin, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("pin %s namespace: %w", kind, err)
	}
	return nil
}

// podShm is the directory that a pod's containers see as /dev/shm. Those of a user, who has no place for it, have one each.
const podShm = "shm"

func (p Pod) mountShm(d Dirs) error {
	if !p.Spec.Shares("ipc") {
		return nil
	}
	dir, bytes := d.pin(p, podShm), uint64(spec.DefaultShmSize)
	if size := p.Spec.Common.ShmSize; size != "" {
		var err error
		if bytes, err = spec.ParseBytes(size); err != nil {
			return fmt.Errorf("shm size: %w", err)
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
	options := fmt.Sprintf("mode=1777,size=%d", bytes)
	if root, err := (State{IDs: p.IDs}).outside(0, 0); err == nil {
		options += fmt.Sprintf(",uid=%d,gid=%d", root.uid, root.gid)
	}
	if err := unix.Mount("shm", dir, "tmpfs", flags, withContext(options, p.label)); err != nil {
		return fmt.Errorf("mount the pod's /dev/shm: %w", err)
	}
	return nil
}

// isMount reports whether a directory is a tmpfs that is not its parent's.
func isMount(dir string) bool {
	var own, up unix.Stat_t
	return unix.Lstat(dir, &own) == nil && unix.Lstat(dir+"/..", &up) == nil && own.Dev != up.Dev
}

// FurnishPod sets what new namespaces lack, in those of the calling thread: the host name, and a loopback device that is up.
func FurnishPod(p Pod) error {
	if slices.Contains(p.kinds(), "uts") {
		if err := unix.Sethostname([]byte(p.Spec.HostName())); err != nil {
			return fmt.Errorf("set host name: %w", err)
		}
	}
	if !slices.Contains(p.kinds(), "net") {
		return nil
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// NewPod before a pod's name asks for a pod that is made for the container.
const NewPod = "new:"

// podMode is the network of a container whose pod has it.
const podMode = "pod"

// joinPod makes the container one of a pod: the pod's network, host name and volumes are the container's.
func (e *Engine) joinPod(c spec.Container) (Pod, spec.Container, error) {
	name := c.Pod
	if c.PodIDFile != "" {
		text, err := os.ReadFile(c.PodIDFile)
		if err != nil {
			return Pod{}, c, fmt.Errorf("pod ID file: %w", err)
		}
		name = strings.TrimSpace(string(text))
	}
	p, err := e.Dirs.FindPod(strings.TrimPrefix(name, NewPod))
	if err != nil {
		return p, c, err
	}
	c, err = p.Spec.Join(c)
	if mode := p.Spec.Elsewhere("uts"); mode != "" {
		c.HostName = e.sharedHostName(spec.Container{Namespaces: spec.Namespaces{UTS: mode}})
	}
	return p, c, err
}

// holdPod returns the pod of a container, which it starts if need be, and keeps it from being stopped until the container runs: then its
// state tells so.
func (e *Engine) holdPod(ctx context.Context, s *State) (Pod, error) {
	for {
		lock, err := atomicfile.LockDirShared(e.Dirs.Pod(s.Pod))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // kept from an earlier boot, or gone
			return Pod{}, err
		}
		p, err := e.Dirs.loadPod(s.Pod)
		live := err == nil && e.Dirs.Live(p)
		if live && lock != nil {
			s.locks = append(s.locks, lock)
			return p, nil
		}
		lock.Close() // nil is no error; who starts the pod locks it alone
		switch {
		case errors.Is(err, ErrNoPod):
			return p, fmt.Errorf("the pod that container %q was made in is gone; `berth rm %s` removes the container", s.Name, s.Name)
		case err == nil && !live && NeedsHolder(p):
			err = fmt.Errorf("pod %q is not running; `berth pod start %s` starts it", p.Name, p.Name)
		case err == nil:
			_, err = e.startPod(ctx, p, "")
		}
		if err != nil {
			return p, err
		}
	}
}

// enterPod makes sure that the pod is there and names its namespaces.
func (e *Engine) enterPod(ctx context.Context, s *State) error {
	p, err := e.holdPod(ctx, s)
	if err != nil {
		return err
	}
	if err := e.joinPodUsers(s, p); err != nil {
		return err
	}
	s.NetFiles = ""
	for _, kind := range p.Spec.Share {
		path := e.Dirs.Namespace(p, kind)
		mode := "ns:" + path
		if other := p.Spec.Elsewhere(kind); other != "" {
			mode = other
		}
		switch kind {
		case "net":
			s.NetFiles = e.Dirs.Pod(p.ID)
			s.Addresses, s.Attached = p.Addresses, p.Attached
			if !p.Network.host() {
				s.Network.NetNS = path
			}
		case "ipc":
			s.Container.IPC = mode
			if !p.held(kind) {
				s.podShm = e.Dirs.pin(p, podShm)
			}
		case "pid":
			s.Container.PID = mode
		case "uts":
			s.Container.UTS = mode
		}
	}
	return nil
}

// HeldOnly is the pod as its holder sees it: with the namespaces that the holder was started in.
func HeldOnly(p Pod) Pod {
	switch {
	case p.Spec.Shares("user"):
		p.Spec.Share = nil
	case pinnable():
		p.Spec.Share = slices.DeleteFunc(slices.Clone(p.Spec.Share), func(kind string) bool { return kind != "pid" })
	}
	return p
}
