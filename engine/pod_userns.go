package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

// A pod with a user namespace of its own has all the others that it shares made in that one, which so owns them: root of its
// containers is root there too (user_namespaces(7)). A process is needed to make them. Then files hold them as those of any
// pod, and the process ends; where files cannot, it stays, as the pod's holder.

// podIDs decides the maps of the pod's user namespace. A range of its own is the pod's until it is removed: what its containers
// write belongs to it. The caller has locked the pod.
func (e *Engine) podIDs(ctx context.Context, p *Pod) error {
	s := State{ID: p.ID, Container: p.Spec.Common, IDLease: p.IDLease}
	if err := e.decideIDs(ctx, &s, Image{}); err != nil {
		return err
	}
	s.userns.Close() // nil is no error
	p.IDs, p.IDLease, p.KeepUser = s.IDs, s.IDLease, s.keepUser
	return errors.Join(e.Dirs.savePod(*p), e.Dirs.keepPod(*p))
}

// releasePodIDs gives the range of the pod back, also when its pod was killed before it could note it.
func (e *Engine) releasePodIDs(p Pod) error {
	if !p.Spec.Shares("user") {
		return nil
	}
	_, own, err := e.leasedIDs(p.ID)
	if err != nil || own == "" {
		return err
	}
	return e.leases().Release(filepath.Join(ids, own), p.ID)
}

// memberIDs gives a container that is made, and not started yet, the maps of its pod.
func (e *Engine) memberIDs(ctx context.Context, s *State) error {
	if s.Pod == "" {
		return nil
	}
	p, err := e.Dirs.loadPod(s.Pod)
	if err != nil || !p.Spec.Shares("user") {
		return err
	}
	if err := e.Dirs.wakePod(p); err != nil {
		return err
	}
	unlock, err := lockDir(e.Dirs.Pod(p.ID))
	if err != nil {
		return err
	}
	defer unlock()
	if p, err = e.Dirs.loadPod(p.ID); err == nil && p.IDs.Empty() {
		err = e.podIDs(ctx, &p)
	}
	s.IDs = p.IDs
	return err
}

// joinPodUsers puts the container into the user namespace of its pod.
func (e *Engine) joinPodUsers(s *State, p Pod) (err error) {
	if !p.Spec.Shares("user") {
		return nil
	}
	s.IDs, s.keepUser, s.joinUser = p.IDs, p.KeepUser, true
	s.userns, err = openNamespace(e.Dirs.Namespace(p, "user"), unix.CLONE_NEWUSER)
	return err
}

// makeNamespaces makes what the pod's containers share, unless its holder has been started in it.
func (e *Engine) makeNamespaces(ctx context.Context, p *Pod) error {
	switch {
	case p.Spec.Shares("user"):
		return e.makeOwned(ctx, p)
	case pinnable():
		return pinNamespaces(e.Dirs, *p)
	}
	return nil
}

// makeOwned makes the pod's namespaces in a user namespace of its own.
func (e *Engine) makeOwned(ctx context.Context, p *Pod) error {
	runtime.LockOSThread() // the process ends with the thread
	defer runtime.UnlockOSThread()
	id, end, err := proc.Sleep(e.sleeper(*p))
	if err != nil {
		return err
	}
	if err = furnishBy(*p, id); err == nil && pinnable() {
		err = pinBy(e.Dirs, *p, id)
	}
	if err != nil || !NeedsHolder(*p) {
		end()
		return err
	}
	outer := p.Holder // of a user: it was there for a place to come from
	p.Holder = id
	if err := e.Dirs.savePod(*p); err != nil {
		return err
	}
	return endHolder(ctx, outer)
}

func (e *Engine) sleeper(p Pod) proc.Sleeper {
	program, words := PodSleeper(e.InitProgram)
	s := proc.Sleeper{
		Program: program, Words: words,
		UIDs: sysMaps(p.IDs.UIDs), GIDs: sysMaps(p.IDs.GIDs), Brief: !NeedsHolder(p),
	}
	for _, c := range cloneFlags {
		if slices.Contains(p.kinds(), c.kind) {
			s.Namespaces |= uintptr(c.flag)
		}
	}
	if slices.Contains(p.kinds(), "pid") {
		s.Namespaces |= unix.CLONE_NEWPID
		s.Hollow = true // others of the namespace can look into it
	}
	s.Join, _ = strings.CutPrefix(p.Spec.Common.UserNS, "ns:")
	if s.Join == p.Spec.Common.UserNS {
		s.Join = ""
	}
	return s
}

// PauseWord is what `berth pod hold` is called with to be the program that sleeps.
const PauseWord = "."

// PodSleeper is the program that sleeps in a pod's namespaces, a static one, and its words: catatonit where it is installed, for it is
// small, else berth itself.
func PodSleeper(catatonit string) (program string, words []string) {
	self, err := os.Executable()
	if _, missing := os.Stat(catatonit); missing == nil || err != nil {
		return catatonit, []string{catatonit, "-P"}
	}
	return self, []string{"berth-pod", "pod", "hold", PauseWord}
}

func sysMaps(maps []spec.IDMap) []syscall.SysProcIDMap {
	list := make([]syscall.SysProcIDMap, 0, len(maps))
	for _, m := range maps {
		list = append(list, syscall.SysProcIDMap{ContainerID: int(m.Inside), HostID: int(m.Outside), Size: int(m.Count)})
	}
	return list
}

// pinBy binds the namespaces that the process is in to files.
func pinBy(d Dirs, p Pod, id proc.ID) error {
	for _, c := range cloneFlags {
		if !slices.Contains(p.kinds(), c.kind) {
			continue
		}
		if err := bindNamespace(d.pin(p, c.kind), c.kind, id.PID); err != nil {
			return err
		}
	}
	return p.mountShm(d)
}

// furnishBy furnishes the namespaces that the process is in.
func furnishBy(p Pod, id proc.ID) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: this thread belongs to the namespaces and ends with the goroutine
		done <- furnishThere(p, id)
	}()
	return <-done
}

func furnishThere(p Pod, id proc.ID) error {
	for _, c := range cloneFlags {
		if c.kind == "user" || !slices.Contains(p.kinds(), c.kind) {
			continue
		}
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", id.PID, c.kind))
		if err != nil {
			return err
		}
		err = unix.Setns(int(f.Fd()), c.flag)
		f.Close()
		if err != nil {
			return fmt.Errorf("enter %s namespace: %w", c.kind, err)
		}
	}
	return FurnishPod(p)
}
