package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// holdVerb is the hidden verb of the processes that the self-test starts:
// they hold what they are told until their standard input ends, which it
// does when the self-test dies, however it dies.
const holdVerb = "hold-for-selftest"

func runHold(args []string, out, _ io.Writer) (int, error) {
	if len(args) == 2 {
		var err error
		switch args[0] {
		case "lock":
			err = holdLock(args[1])
		case "root":
			err = holdRoot(args[1])
		}
		if err != nil {
			return exitTrouble, err
		}
	}
	// The name by which the processes collector must find it (15 bytes at most).
	if err := os.WriteFile("/proc/self/comm", []byte("leakcheck-hold"), 0); err != nil && !errors.Is(err, os.ErrNotExist) { //nolint:forbidigo // no state: a name
		return exitTrouble, err // a process with a root of its own has no /proc
	}
	fmt.Fprintln(out, "ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return exitSame, err
}

func holdLock(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	// Not closed: the descriptor carries the lock, as long as this process lives.
	return unix.Flock(int(f.Fd()), unix.LOCK_EX)
}

// holdRoot turns the process, which has a mount namespace of its own
// already, into the simplest container: a root of its own.
func holdRoot(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount(mark, dir, "tmpfs", 0, ""); err != nil {
		return err
	}
	return unix.Chroot(dir)
}

// hold starts such a process and returns when it holds.
func (g *garden) hold(flags uintptr, args ...string) error {
	cmd := exec.Command("/proc/self/exe", append([]string{holdVerb}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	g.onUndo(func() error {
		in.Close()
		return cmd.Wait()
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return fmt.Errorf("the holding process did not start: %w", err)
	}
	return nil
}

// tempDir makes a directory and forgets it at the end.
func (g *garden) tempDir() (string, error) { return g.tempDirIn("") }

func (g *garden) tempDirIn(parent string) (string, error) {
	dir, err := os.MkdirTemp(parent, mark)
	if err != nil {
		return "", err
	}
	g.onUndo(func() error { return os.RemoveAll(dir) })
	return dir, nil
}

// makeDirs makes a directory, and removes at the end those that it made.
func (g *garden) makeDirs(dir string) error {
	if exists(dir) {
		return nil
	}
	if err := g.makeDirs(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	g.onUndo(func() error { return os.Remove(dir) })
	return nil
}

func (g *garden) makeFile(path, content string) error {
	if err := g.makeDirs(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(content), 0o640); err != nil { //nolint:forbidigo // no state: a leak on purpose
		return err
	}
	g.onUndo(func() error { return os.Remove(path) })
	return nil
}

func plantContainer(g *garden) error {
	dir, err := g.tempDir()
	if err != nil {
		return err
	}
	return g.hold(unix.CLONE_NEWNS, "root", dir)
}

func plantMount(g *garden) error {
	dir, err := g.tempDir()
	if err != nil {
		return err
	}
	if err := unix.Mount(mark, dir, "tmpfs", 0, "size=4k"); err != nil {
		return err
	}
	g.onUndo(func() error { return unix.Unmount(dir, unix.MNT_DETACH) })
	return nil
}

// plantNamespace leaves a network namespace that only a mount keeps alive.
func plantNamespace(g *garden) error {
	dir, err := g.tempDir()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "net")
	if err := g.makeFile(path, ""); err != nil {
		return err
	}
	err = onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		return unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
	})
	if err != nil {
		return err
	}
	g.onUndo(func() error { return unix.Unmount(path, unix.MNT_DETACH) })
	return nil
}

// plantAddress adds an address to the loopback interface, which has number 1
// in every network namespace.
func plantAddress(g *garden) error {
	g.expect = "127.77.77.77/32"
	request := []byte{unix.AF_INET, 32, 0, unix.RT_SCOPE_HOST}
	request = binary.NativeEndian.AppendUint32(request, 1)
	for _, kind := range []uint16{unix.IFA_LOCAL, unix.IFA_ADDRESS} {
		request = binary.NativeEndian.AppendUint16(request, 8)
		request = binary.NativeEndian.AppendUint16(request, kind)
		request = append(request, 127, 77, 77, 77)
	}
	const ask = unix.NLM_F_REQUEST | unix.NLM_F_ACK
	if _, err := talk(unix.NETLINK_ROUTE, unix.RTM_NEWADDR, ask|unix.NLM_F_CREATE|unix.NLM_F_EXCL, request); err != nil {
		return err
	}
	g.onUndo(func() error {
		_, err := talk(unix.NETLINK_ROUTE, unix.RTM_DELADDR, ask, request)
		return err
	})
	return nil
}

func plantTable(g *garden) error {
	if _, err := exec.LookPath("nft"); err != nil {
		return skipf("no nft program (package nftables)")
	}
	return g.commands([]string{"nft", "add", "table", "inet", mark}, []string{"nft", "delete", "table", "inet", mark})
}

// commands runs one program now and another at the end.
func (g *garden) commands(now, later []string) error {
	run := func(argv []string) error {
		out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(string(out)))
		}
		return nil
	}
	if err := run(now); err != nil {
		return err
	}
	g.onUndo(func() error { return run(later) })
	return nil
}

func plantLease(g *garden) error {
	return g.makeFile("/run/containers/networks/"+mark, "10.88.0.99")
}

func plantCgroup(g *garden) error {
	err := g.makeDirs(filepath.Join(cgroupRoot, mark))
	if errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES) {
		return skipf("%s is read-only", cgroupRoot)
	}
	return err
}

func plantProcess(g *garden) error {
	g.expect = "leakcheck-hold"
	return g.hold(0)
}

// plantFd opens a connection to systemd and says nothing: one more socket
// that PID 1 holds.
func plantFd(g *garden) error {
	g.expect = "socket"
	conn, err := net.Dial("unix", "/run/systemd/private")
	if err != nil {
		return skipf("no socket of systemd to connect to: %v", err)
	}
	g.onUndo(conn.Close)
	return nil
}

func plantLayer(g *garden) error {
	if err := g.makeDirs(filepath.Join(systemStore, "overlay-layers")); err != nil {
		return err
	}
	return g.makeDirs(filepath.Join(systemStore, "overlay", mark, "diff"))
}

func plantVolume(g *garden) error {
	return g.makeFile(filepath.Join(systemStore, "volumes", mark, "_data/canary"), "alive")
}

func plantLock(g *garden) error {
	dir, err := g.tempDir()
	if err != nil {
		return err
	}
	return g.hold(0, "lock", filepath.Join(dir, "lock"))
}

func plantShm(g *garden) error {
	const key = 0x6c65616b
	g.expect = "key=" + strconv.Itoa(key)
	id, err := unix.SysvShmGet(key, 4096, unix.IPC_CREAT|unix.IPC_EXCL|0o600)
	if err != nil {
		return err
	}
	g.onUndo(func() error {
		_, err := unix.SysvShmCtl(id, unix.IPC_RMID, nil)
		return err
	})
	return nil
}

// plantLoop attaches a file to a free loop device through device nodes of
// its own, because /dev of a container has none; /tmp may forbid devices.
func plantLoop(g *garden) error {
	dir, err := g.tempDirIn("/dev")
	if err != nil {
		return err
	}
	const controlMinor, loopMajor = 237, 7
	control, err := openNode(filepath.Join(dir, "control"), unix.S_IFCHR, unix.Mkdev(10, controlMinor))
	if err != nil {
		return skipf("no loop devices: %v", err)
	}
	defer control.Close()
	free, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return skipf("no free loop device: %v", err)
	}
	loop, err := openNode(filepath.Join(dir, "loop"), unix.S_IFBLK, unix.Mkdev(loopMajor, uint32(free)))
	if err != nil {
		return skipf("no loop devices: %v", err)
	}
	backing, err := os.Create(filepath.Join(dir, mark))
	if err != nil {
		loop.Close()
		return err
	}
	defer backing.Close()
	if err := backing.Truncate(1 << 20); err != nil {
		loop.Close()
		return err
	}
	if err := unix.IoctlSetInt(int(loop.Fd()), unix.LOOP_SET_FD, int(backing.Fd())); err != nil {
		loop.Close()
		return err
	}
	g.onUndo(func() error {
		defer loop.Close()
		return unix.IoctlSetInt(int(loop.Fd()), unix.LOOP_CLR_FD, 0)
	})
	return nil
}

func openNode(path string, kind uint32, device uint64) (*os.File, error) {
	if err := unix.Mknod(path, kind|0o600, int(device)); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR, 0)
}

func plantFile(g *garden) error {
	return g.makeFile("/run/"+mark, "")
}

func plantUnit(g *garden) error {
	return g.commands(
		[]string{"systemd-run", "--quiet", "--unit=" + mark, "--property=RemainAfterExit=yes", "true"},
		[]string{"systemctl", "stop", mark + ".service"})
}

func plantKey(g *garden) error {
	id, err := unix.AddKey("user", mark, []byte("x"), unix.KEY_SPEC_USER_KEYRING)
	if err != nil {
		return skipf("keys cannot be added here: %v", err)
	}
	g.onUndo(func() error {
		_, err := unix.KeyctlInt(unix.KEYCTL_UNLINK, id, unix.KEY_SPEC_USER_KEYRING, 0, 0)
		return err
	})
	return nil
}

// plantSysctl changes a setting of this network namespace that matters only
// to datagram sockets created meanwhile.
func plantSysctl(g *garden) error {
	const name = "unix/max_dgram_qlen"
	path := filepath.Join(sysctlRoot, name)
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	value, err := strconv.Atoi(strings.TrimSpace(string(old)))
	if err != nil {
		return err
	}
	write := func(value int) error {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString(strconv.Itoa(value))
		return errors.Join(err, f.Close())
	}
	if err := write(value + 1); err != nil {
		return skipf("settings cannot be changed here: %v", err)
	}
	g.expect = fmt.Sprintf("%s = %d", name, value+1)
	g.onUndo(func() error { return write(value) })
	return nil
}
