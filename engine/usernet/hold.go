package usernet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/sd"
)

// The names of the namespaces in the manager's file descriptor store. A program that is started again goes on in them, and
// so do the containers.
const (
	storedUser  = "user"
	storedMount = "mnt"
	storedNet   = "net"
)

// netVariable tells the program the file descriptor of the network namespace that it is to go on in.
const netVariable = "BERTH_NET_FD"

// Hold is the unit's command, called as the user. It starts Serve in a new user namespace, or in the stored ones.
func (n Net) Hold(ctx context.Context, run proc.Runner) error {
	stored := stored()
	if user, mount, net := stored[storedUser], stored[storedMount], stored[storedNet]; user > 0 && mount > 0 && net > 0 {
		return goOn(user, mount, net)
	}
	// What a manager that was killed has left is of namespaces that nobody has kept.
	if err := os.RemoveAll(n.Dir); err != nil {
		return err
	}
	// By way of a process that ends: an orphan is the manager's own child, whose end it sees.
	out, err := run(ctx, proc.Command{Path: "/proc/self/exe", Args: []string{"spawn"}, Stderr: os.Stderr})
	if err != nil {
		return errors.New("the network was not made; what was said before tells why")
	}
	return sd.Manager{}.Notify(fmt.Sprintf("MAINPID=%s\nREADY=1", out))
}

// Spawn starts Serve in a new user namespace and prints its PID.
func Spawn(ctx context.Context, run proc.Runner) error {
	id, err := rootless.Hold(ctx, run, rootless.Holder{Name: "berth-net", Args: []string{"serve"}, Stderr: os.Stderr})
	if err != nil {
		return err
	}
	_, err = fmt.Print(id.PID)
	return err
}

// stored are the files that the manager has kept (sd_listen_fds_with_names(3)).
func stored() map[string]int {
	files := map[string]int{}
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return files
	}
	for i, name := range strings.Split(os.Getenv("LISTEN_FDNAMES"), ":") {
		files[name] = 3 + i
	}
	return files
}

// goOn replaces this process by Serve in the namespaces.
func goOn(user, mount, net int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	path, err := exec.LookPath("nsenter")
	if err != nil {
		return errors.New("nsenter is not there; install the package util-linux")
	}
	for _, fd := range []int{user, mount, net} {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return err
		}
	}
	args := []string{
		"nsenter", "--preserve-credentials", fmt.Sprintf("--user=/proc/self/fd/%d", user), fmt.Sprintf("--mount=/proc/self/fd/%d", mount),
		"--", self, "serve",
	}
	env := append(rootless.Environment(), netVariable+"="+strconv.Itoa(net))
	return fmt.Errorf("nsenter: %w", syscall.Exec(path, args, env))
}

// Serve holds the namespaces and forwards ports, as root of the user's namespace, until it is told to end.
func (n Net) Serve(ctx context.Context, run proc.Runner) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	signal.Ignore(syscall.SIGHUP)
	ready, err := strconv.Atoi(os.Getenv(rootless.ReadyVariable))
	tell := func(error) {}
	if err == nil {
		unix.CloseOnExec(ready)
		pipe := os.NewFile(uintptr(ready), "ready")
		tell = func(err error) {
			if err != nil {
				fmt.Fprintln(pipe, err)
			}
			pipe.Close()
		}
	}
	control, err := n.start(ctx, run)
	if err == nil && ready == 0 {
		err = sd.Manager{}.Notify("READY=1")
	}
	tell(err)
	if err != nil {
		return err
	}
	<-ctx.Done()
	return control.Close()
}

// Clean takes the files away when the unit has ended, unless the manager starts it again: it has kept the namespaces then. They stay,
// too, when it does not say so: Hold removes them if nothing was kept.
func (n Net) Clean(ctx context.Context, run proc.Runner) error {
	if returns, err := sd.Returns(ctx, run, true, HolderUnit); returns || err != nil {
		return err
	}
	return os.RemoveAll(n.Dir)
}

// start makes the network namespace, unless it is there, and begins to forward.
func (n Net) start(ctx context.Context, run proc.Runner) (io.Closer, error) {
	if err := os.MkdirAll(n.State(), 0o700); err != nil {
		return nil, err
	}
	w := &forwarder{net: n, open: map[string][]io.Closer{}, transparent: true}
	w.warn = func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	if fd, err := strconv.Atoi(os.Getenv(netVariable)); err == nil {
		unix.CloseOnExec(fd)
		w.ns = os.NewFile(uintptr(fd), "net")
	} else if err := n.create(w); err != nil {
		return nil, err
	}
	err := within(w.ns, func() error { return routeAnswers(ctx, run) })
	if err != nil {
		w.transparent = false
		w.warn("containers see the address of the bridge, and not those of their clients: %v", err)
		if err := within(w.ns, func() error { _, err := loopback(); return err }); err != nil {
			return nil, err
		}
	}
	os.Remove(n.socket()) // of a program that was killed
	control, err := net.Listen("unix", n.socket())
	if err != nil {
		return nil, err
	}
	w.loadAll()
	go w.serve(control)
	return control, n.announce(w.ns)
}

// create makes the network namespace and gives it and those of this process to the manager to keep.
func (n Net) create(w *forwarder) error {
	if err := n.nameServer(); err != nil {
		return err
	}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err != nil {
			err = proc.NoNamespace("net", err)
		} else {
			w.ns, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		}
		made <- err
	}()
	if err := <-made; err != nil {
		return fmt.Errorf("make the user's network: %w", err)
	}
	for _, s := range []struct{ name, path string }{{storedUser, "/proc/self/ns/user"}, {storedMount, "/proc/self/ns/mnt"}, {storedNet, fmt.Sprintf("/proc/self/fd/%d", w.ns.Fd())}} {
		f, err := os.Open(s.path)
		if err != nil {
			return err
		}
		err = sd.Manager{}.Store(s.name, f)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// nameServer lets the programs of this mount namespace ask pasta for names, which asks as the host does: the host's own
// servers may not be reached from another network.
func (n Net) nameServer() error {
	text := "nameserver " + DNS + "\n"
	host, _ := os.ReadFile("/etc/resolv.conf")
	for _, line := range strings.Split(string(host), "\n") {
		if word, _, _ := strings.Cut(line, " "); slices.Contains([]string{"search", "options"}, word) {
			text += line + "\n"
		}
	}
	file := n.file("resolv.conf")
	if err := atomicfile.Write(file, []byte(text), 0o644); err != nil {
		return err
	}
	place, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil {
		return nil // there is none, and who looks for one finds none
	}
	if err := unix.Mount(file, place, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("show %s as %s: %w", file, place, err)
	}
	return nil
}

// announce writes down how the network is found.
func (n Net) announce(ns *os.File) error {
	self, err := proc.Identify(os.Getpid())
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(ns.Fd()), &st); err != nil {
		return err
	}
	h := holder{Process: self, NetFD: int(ns.Fd()), Inode: st.Ino, ID: rand.Text()}
	if pid, err := strconv.Atoi(os.Getenv("MANAGERPID")); err == nil { // systemd.exec(5)
		if h.Manager, err = proc.Identify(pid); err != nil {
			return err
		}
	}
	if before, err := n.told(); err == nil && before.Inode == st.Ino { // the same one, stored meanwhile
		h.ID = before.ID
	}
	return n.save(h)
}

// Pasta replaces this process by pasta, which connects the network with the host and goes into the background.
func (n Net) Pasta() error {
	h, err := n.load()
	if err != nil {
		return err
	}
	program, err := exec.LookPath("pasta")
	if err != nil {
		return errors.New("pasta is not there; install the package passt")
	}
	os.Remove(n.PastaPID())
	args := []string{"pasta", "--config-net", "--quiet", "--no-map-gw", "--no-netns-quit", "--dns-forward", DNS}
	if help, _ := exec.Command(program, "--help").CombinedOutput(); strings.Contains(string(help), MapHost+" ") {
		args = append(args, MapHost, Host)
	}
	args = append(args,
		"-t", "none", "-u", "none", "-T", "none", "-U", "none", "--pid", n.PastaPID(),
		"--userns", fmt.Sprintf("/proc/%d/ns/user", h.Process.PID), "--netns", fmt.Sprintf("/proc/%d/fd/%d", h.Process.PID, h.NetFD))
	return fmt.Errorf("%s: %w", program, syscall.Exec(program, args, os.Environ()))
}

// Enter replaces this process by a program in the namespaces.
func (n Net) Enter(words []string) error {
	h, err := n.load()
	if err != nil {
		return err
	}
	path, err := exec.LookPath("nsenter")
	if err != nil {
		return errors.New("nsenter is not there; install the package util-linux")
	}
	dir := fmt.Sprintf("/proc/%d", h.Process.PID)
	args := []string{
		"nsenter", "--preserve-credentials", "--user=" + dir + "/ns/user", fmt.Sprintf("--net=%s/fd/%d", dir, h.NetFD), "--mount=" + dir + "/ns/mnt", "--",
	}
	return fmt.Errorf("nsenter: %w", syscall.Exec(path, append(args, words...), os.Environ()))
}
