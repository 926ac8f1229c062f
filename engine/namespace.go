package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/inroot"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

// handlePath names an open file for other processes, as long as this one has it open.
func handlePath(f *os.File) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()) }

// newNetNS makes a network namespace and returns a handle on it. It has no name: it ends with its last process or handle.
func newNetNS() (*os.File, error) {
	type result struct {
		f   *os.File
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: this thread belongs to the new namespace and ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- result{nil, proc.NoNamespace("net", err)}
			return
		}
		f, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		done <- result{f, err}
	}()
	r := <-done
	return r.f, r.err
}

// keepHostCgroups keeps a view on all control groups for a container that is to have it; dividing the unit's group hides
// them. A new mount of the file system would not do: from the host's cgroup namespace it changes the options of the host's
// own mount (cgroups(7), nsdelegate).
func (e *Engine) keepHostCgroups(s *State) error {
	if s.Container.CgroupNS != "host" || e.Host.Rootless {
		return nil
	}
	staging, err := e.staging(s)
	if err != nil {
		return err
	}
	dir := filepath.Join(staging, "cgroup")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := unix.Mount("/sys/fs/cgroup", dir, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("--cgroupns=host: show the host's control groups: %w", err)
	}
	s.hostCgroups = dir
	return nil
}

// namespaceFiles are the names in /proc/PID/ns, and how the kernel numbers the kinds.
var namespaceFiles = map[specs.LinuxNamespaceType]struct {
	name string
	kind int
}{
	specs.PIDNamespace: {"pid", unix.CLONE_NEWPID}, specs.IPCNamespace: {"ipc", unix.CLONE_NEWIPC},
	specs.UTSNamespace: {"uts", unix.CLONE_NEWUTS}, specs.CgroupNamespace: {"cgroup", unix.CLONE_NEWCGROUP},
}

// joinNamespaces opens the namespaces of others that the container is to be in, and fills what depends on them.
func (e *Engine) joinNamespaces(s *State, in *spec.Input) error {
	list, err := s.Container.Namespaces.List()
	if err != nil {
		return err
	}
	for _, n := range list {
		if n.Mode == "host" && n.Kind == specs.IPCNamespace {
			in.Shm = "/dev/shm"
		}
		if n.Mode != "container" && n.Mode != "ns" {
			continue
		}
		if n.Kind == specs.IPCNamespace {
			in.Shm = s.podShm
		}
		if e.Host.Rootless && s.Pod == "" {
			return fmt.Errorf("%s: a user's containers have a user namespace each, and cannot share what belongs to another one", n.Flag)
		}
		var f *os.File
		if n.Mode == "ns" {
			f, err = openNamespace(n.Peer, namespaceFiles[n.Kind].kind)
		} else {
			f, err = e.joinContainer(s, in, n)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", n.Flag, err)
		}
		s.handles = append(s.handles, f)
		if in.Joined == nil {
			in.Joined = map[specs.LinuxNamespaceType]string{}
		}
		in.Joined[n.Kind] = handlePath(f)
	}
	return nil
}

// joinContainer opens a namespace of another container.
func (e *Engine) joinContainer(s *State, in *spec.Input, n spec.Namespace) (*os.File, error) {
	other, err := e.Dirs.Find(n.Peer)
	if err != nil {
		return nil, err
	}
	if mode := other.Container.IPC; n.Kind == specs.IPCNamespace && (mode == "private" || mode == "none") {
		return nil, fmt.Errorf("that container was started with --ipc=%s, and shares nothing; start it with --ipc=shareable", mode)
	}
	f, err := other.Init.OpenNamespace(namespaceFiles[n.Kind].name)
	if errors.Is(err, proc.ErrGone) {
		return nil, errors.New("that container does not run")
	}
	if err == nil && n.Kind == specs.IPCNamespace {
		in.Shm, err = e.shareShm(s, other.Init.PID)
	}
	return f, err
}

// shareShm shows the /dev/shm of another container's process in this thread's mount namespace.
func (e *Engine) shareShm(s *State, pid int) (string, error) {
	staging, err := e.staging(s)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(staging, "shm")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	tree, err := cloneTree(pid, "dev/shm")
	if err != nil {
		return "", fmt.Errorf("its /dev/shm: %w", err)
	}
	defer unix.Close(tree)
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return "", fmt.Errorf("mount its /dev/shm: %w", err)
	}
	return dir, nil
}

// cloneTree copies what is mounted at a path of a process's file system. Only a thread that is in the mount namespace may
// do that (open_tree(2)). The path belongs to the other container, so that it is resolved inside of its root.
func cloneTree(pid int, path string) (int, error) {
	type result struct {
		fd  int
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		fd, err := cloneTreeThere(pid, path)
		done <- result{fd, err}
	}()
	r := <-done
	return r.fd, r.err
}

func cloneTreeThere(pid int, path string) (int, error) {
	root, err := inroot.Open(fmt.Sprintf("/proc/%d/root", pid))
	if err != nil {
		return -1, err
	}
	defer root.Close()
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	if err != nil {
		return -1, err
	}
	defer ns.Close()
	// setns(2) refuses a thread that shares its root and working directory with others.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return -1, err
	}
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNS); err != nil {
		return -1, err
	}
	place, err := root.OpenDir(path)
	if err != nil {
		return -1, err
	}
	defer place.Close()
	return unix.OpenTree(place.FD(), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
}

// protect shows the runtime's program read-only in the thread's mount namespace, so that no container can overwrite it
// by way of /proc/self/exe (CVE-2019-5736). crun sees that it is safe and need not make such a mount, and start itself
// again from there, at each call. Where it cannot be done the runtime protects itself.
func protect(program string) {
	if program == "" || unix.Mount(program, program, "", unix.MS_BIND, "") != nil {
		return
	}
	// Only adds to the flags, of which a user may take none away (mount_setattr(2)).
	readonly := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if unix.MountSetattr(unix.AT_FDCWD, program, 0, &readonly) != nil {
		unix.Unmount(program, unix.MNT_DETACH)
	}
}

// ownMountNamespace moves the calling thread into a new mount namespace that still sees mounts made on the host later
// on, but not the other way round (mount_namespaces(7), MS_SLAVE).
func ownMountNamespace() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("detach mount namespace: %w", err)
	}
	return nil
}
