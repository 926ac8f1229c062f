// Package rootless runs berth as root of a user namespace, so that a user's containers are set up by the same steps as
// root's. The namespace has no name and no keeper: it lives as long as a process is in it.
package rootless

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"

	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/rootless/gate"
)

const (
	// The storage library, and Podman, know by these that the IDs are mapped already and whose they are.
	configuredVariable = "_CONTAINERS_USERNS_CONFIGURED"
	uidVariable        = "_CONTAINERS_ROOTLESS_UID"
	gidVariable        = "_CONTAINERS_ROOTLESS_GID"
)

// Inside reports whether this process is root of a user's namespace.
func Inside() bool { return os.Getenv(configuredVariable) != "" }

// UID is the user's own number, also inside the namespace.
func UID() int {
	if uid, err := strconv.Atoi(os.Getenv(uidVariable)); err == nil && Inside() {
		return uid
	}
	return os.Getuid()
}

// GID is the user's own group, also inside the namespace.
func GID() int {
	if gid, err := strconv.Atoi(os.Getenv(gidVariable)); err == nil && Inside() {
		return gid
	}
	return os.Getgid()
}

// Ranges reads the subordinate IDs that a file gives to a name (subuid(5)).
func Ranges(file, name string) ([]SubID, error) {
	return readSubIDs(file, func(s string) bool { return s == name })
}

// Needed reports whether the work must be done in a user namespace that is not there yet.
func Needed() bool { return os.Getuid() != 0 && !Inside() }

// Reexec runs this program again, with the same arguments, as root of a new user namespace and mount namespace, waits
// for it, and returns its exit status. The caller has nothing left to do but to end with it.
func Reexec(ctx context.Context, run proc.Runner) (int, error) {
	maps, err := ownMaps()
	if err != nil {
		return 0, err
	}
	child, release, err := spawn()
	if err != nil {
		return 0, err
	}
	forwarding := make(chan struct{})
	go func() { forward(child.Process); close(forwarding) }() // meanwhile: Go's runtime switches threads several times for each signal
	err = writeMaps(ctx, run, child.Process.Pid, maps)
	<-forwarding
	if err != nil {
		release("") // the child sees that nothing was written, and ends
		return 0, errors.Join(err, ignoreExit(child.Wait()))
	}
	release(gate.Open)
	err = child.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// spawn starts the program again in new namespaces; release lets it go on.
func spawn() (*exec.Cmd, func(word string), error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	listen := listenFDs()
	for i := range listen {
		cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(uintptr(3+i), "listen"))
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, r)
	cmd.Env = append(configured(), fmt.Sprintf("%s=%d", gate.Variable, 3+listen))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS}
	if err := cmd.Start(); err != nil {
		w.Close()
		return nil, nil, noUserNamespace(&Machine{Root: "/"}, err)
	}
	release := func(word string) {
		io.WriteString(w, word)
		w.Close()
	}
	return cmd, release, nil
}

// Environment is that of a process in the namespace of this user, for who enters it by another way than Enter.
func Environment() []string { return configured() }

// configured is the environment of a process in the namespace.
func configured() []string {
	return append(os.Environ(), configuredVariable+"=done",
		fmt.Sprintf("%s=%d", uidVariable, os.Getuid()), fmt.Sprintf("%s=%d", gidVariable, os.Getgid()))
}

// listenFDs counts the sockets that systemd gave to this process, from file descriptor 3 on (sd_listen_fds(3)).
func listenFDs() int {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return 0
	}
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// forward hands the signals that ask for an end on to the child, as long as this process is there.
func forward(p *os.Process) {
	signals := proc.Catch()
	go func() {
		for s := range signals {
			p.Signal(s)
		}
	}()
}

func ignoreExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

// idMap maps Count IDs of the namespace, from Inside on, to those of the host from Outside on.
type idMap struct{ Inside, Outside, Count int64 }

type idMaps struct{ uids, gids []idMap }

// ownMaps are the user's own IDs as root, and the ranges of /etc/subuid and /etc/subgid above.
func ownMaps() (idMaps, error) {
	name := ""
	if u, err := user.LookupId(strconv.Itoa(os.Getuid())); err == nil {
		name = u.Username
	}
	uids, err := ranges("/etc/subuid", name)
	if err != nil {
		return idMaps{}, err
	}
	gids, err := ranges("/etc/subgid", name)
	if err != nil {
		return idMaps{}, err
	}
	return idMaps{mapOf(os.Getuid(), uids), mapOf(os.Getgid(), gids)}, nil
}

// ranges reads the subordinate IDs given to the user by name or number (subuid(5)).
func ranges(file, name string) ([]SubID, error) {
	number := strconv.Itoa(os.Getuid())
	return readSubIDs(file, func(s string) bool { return s == number || name != "" && s == name })
}

func mapOf(own int, subs []SubID) []idMap {
	list := []idMap{{0, int64(own), 1}}
	next := int64(1)
	for _, s := range subs {
		list = append(list, idMap{next, s.Start, s.Count})
		next += s.Count
	}
	return list
}

// writeMaps maps the IDs of the namespace that process pid is in. Ranges need the set-user-ID programs newuidmap and
// newgidmap; the two run side by side. Without ranges the user's own IDs are all there is.
func writeMaps(ctx context.Context, run proc.Runner, pid int, m idMaps) error {
	if len(m.uids) == 1 || len(m.gids) == 1 {
		return writeOwn(pid, m)
	}
	uid, gid := make(chan error, 1), make(chan error, 1)
	go func() { uid <- newIDMap(ctx, run, "newuidmap", "/etc/subuid", pid, m.uids) }()
	go func() { gid <- newIDMap(ctx, run, "newgidmap", "/etc/subgid", pid, m.gids) }()
	return errors.Join(<-uid, <-gid)
}

func newIDMap(ctx context.Context, run proc.Runner, program, file string, pid int, maps []idMap) error {
	path, err := exec.LookPath(program)
	if err != nil {
		return fmt.Errorf("%s is not there; install the package uidmap (shadow-utils)", program)
	}
	args := []string{strconv.Itoa(pid)}
	for _, m := range maps {
		args = append(args, fmt.Sprint(m.Inside), fmt.Sprint(m.Outside), fmt.Sprint(m.Count))
	}
	if _, err := run(ctx, proc.Command{Path: path, Args: args}); err != nil {
		return fmt.Errorf("map the IDs of %s: %w", file, err)
	}
	return nil
}

func writeOwn(pid int, m idMaps) error {
	for _, f := range []struct{ name, text string }{
		{"setgroups", "deny"},
		{"uid_map", fmt.Sprintf("0 %d 1", m.uids[0].Outside)},
		{"gid_map", fmt.Sprintf("0 %d 1", m.gids[0].Outside)},
	} {
		file, err := os.OpenFile(fmt.Sprintf("/proc/%d/%s", pid, f.name), os.O_WRONLY, 0)
		if err == nil {
			_, err = file.WriteString(f.text)
			err = errors.Join(err, file.Close())
		}
		if err != nil {
			return fmt.Errorf("map own IDs: %w", err)
		}
	}
	return nil
}
