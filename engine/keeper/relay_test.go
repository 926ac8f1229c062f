package keeper

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/enginetest/nofiles"
)

// relayBench has a container that tells its state.
type relayBench struct {
	*bench
	path string // of its socket
	main *exec.Cmd
	told []string // what the manager has been told in the name of its PID 1
}

func newRelayBench(t *testing.T) *relayBench { return newRelayBenchAt(t, "") }

// newRelayBenchAt has one whose unit's manager listens there, in the bench's directory.
func newRelayBenchAt(t *testing.T, manager string) *relayBench {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root may speak in the name of others")
	}
	b := &relayBench{bench: newBench(t), main: exec.Command("sleep", "1000")}
	b.path = filepath.Join(b.dir, "container")
	conn := b.listen(b.path)
	if err := b.main.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.main.Process.Kill(); b.main.Wait() })
	raw, err := b.manager.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) })
	if err != nil {
		t.Fatal(err)
	}
	f, err := conn.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := record()
	r.PID, r.Start, r.Driver, r.Streams = b.main.Process.Pid, startOf(b.main.Process.Pid), "passthrough", []Stream{{Name: streamNotify}}
	if manager != "" {
		r.Notify = filepath.Join(b.dir, manager)
	}
	if err := b.keep(r, []*os.File{f}); err != nil {
		t.Fatal(err)
	}
	return b
}

// say sends a message as the container does, with files.
func (b *relayBench) say(text string, files ...int) error {
	b.t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	defer unix.Close(fd)
	return unix.Sendmsg(fd, []byte(text), unix.UnixRights(files...), &unix.SockaddrUnix{Name: b.path}, unix.MSG_DONTWAIT)
}

// hear lets the keeper work and reads what the manager is told in the name of the container.
func (b *relayBench) hear() {
	b.t.Helper()
	b.steps()
	b.listening()
}

func (b *relayBench) listening() {
	b.t.Helper()
	text, control := make([]byte, 8192), make([]byte, 1024)
	raw, err := b.manager.SyscallConn()
	if err != nil {
		b.t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		for {
			n, m, _, _, err := unix.Recvmsg(int(fd), text, control, unix.MSG_DONTWAIT)
			if err != nil {
				return
			}
			list, _ := unix.ParseSocketControlMessage(control[:m])
			for i := range list {
				if who, err := unix.ParseUnixCredentials(&list[i]); err == nil && int(who.Pid) == b.main.Process.Pid {
					b.told = append(b.told, string(text[:n]))
				}
				files, _ := unix.ParseUnixRights(&list[i])
				closeAll(files)
			}
		}
	})
}

// TestRelay: what a container says of its service reaches the manager in its name, and nothing else does.
func TestRelay(t *testing.T) {
	b := newRelayBench(t)
	long := strings.Repeat("a", relaySize)
	for said, want := range map[string]string{
		"READY=1": "READY=1", "WATCHDOG=1\n": "WATCHDOG=1", "WATCHDOG=trigger": "WATCHDOG=trigger", "STOPPING=1": "STOPPING=1", "STATUS=zwölf %n": "STATUS=zwölf %n",
		"RELOADING=1\nMONOTONIC_USEC=12": "RELOADING=1\nMONOTONIC_USEC=12", "EXTEND_TIMEOUT_USEC=5\nERRNO=2": "EXTEND_TIMEOUT_USEC=5\nERRNO=2", "WATCHDOG_USEC=5": "WATCHDOG_USEC=5",
		"STATUS=a\nMAINPID=1\nREADY=1": "STATUS=a\nREADY=1", "FDSTORE=1\nFDNAME=x": "", "MAINPIDFDID=1": "", "BARRIER=1": "", "BUSERROR=x": "", "NOTIFYACCESS=all": "", "FDSTOREREMOVE=1": "",
		"": "", "\n\n": "", "READY=0": "", "XREADY=1": "", "READY=1 ": "", "READY": "", "EXTEND_TIMEOUT_USEC=-1": "", "ERRNO=x": "", "WATCHDOG=0": "",
		"STATUS=\x1b]0;x\x07": "", "STATUS=\xff": "", "STATUS=\u009bx": "", "STATUS=a\x00\nREADY=1": "READY=1", "READY=1\n" + long: "", long: "",
	} {
		if err := b.say(said); err != nil {
			t.Fatal(err)
		}
		b.told = nil
		b.hear()
		if got := strings.Join(b.told, "|"); got != want {
			t.Errorf("%.40q: the manager is told %q, want %q", said, got, want)
		}
	}
	b.main.Process.Kill()
	b.main.Wait()
	b.say("READY=1")
	b.told = nil
	b.hear()
	if len(b.told) != 0 || len(b.k.containers) != 0 || len(b.k.watched) != 1 {
		t.Errorf("after its end: told %q, %d containers, %d watched", b.told, len(b.k.containers), len(b.k.watched))
	}
}

// FuzzOfService: what is handed on to the manager are whole lines of what the container has said, each of them harmless and one line for the
// manager too, which ends one at \r as well (sd_notify(3)); and that of it again is the same.
func FuzzOfService(f *testing.F) {
	for _, text := range []string{
		"READY=1", "STATUS=a\nMAINPID=1\nREADY=1", "STATUS=a\rMAINPID=1", "STATUS=\x1b]0;x\x07", "STATUS=a\x00\nFDSTORE=1", "RELOADING=1\r\nMONOTONIC_USEC=1", "\nMAINPID=1", "EXTEND_TIMEOUT_USEC=+5", "STATUS",
		"READY=1\n" + strings.Repeat("a", relaySize), "STATUS=\u0085MAINPID=1", "STATUS=\u2028x", "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := ofService(text)
		if got == "" {
			return
		}
		said := strings.Split(text, "\n")
		for _, line := range strings.Split(got, "\n") {
			name, value, ok := strings.Cut(line, "=")
			if !ok || !slices.Contains(said, line) || strings.ContainsFunc(value, unicode.IsControl) || !utf8.ValidString(value) ||
				!slices.Contains([]string{"READY", "RELOADING", "STOPPING", "WATCHDOG", "EXTEND_TIMEOUT_USEC", "MONOTONIC_USEC", "WATCHDOG_USEC", "ERRNO", "STATUS"}, name) {
				t.Errorf("%q: the line %q is handed on", text, line)
			}
		}
		if len(text) > relaySize || len(got) > len(text) || ofService(got) != got {
			t.Errorf("%q: %q is handed on, and of that %q", text, got, ofService(got))
		}
	})
}

// TestRelayRestored: what a container says while no keeper runs is handed on by the next one.
func TestRelayRestored(t *testing.T) {
	b := newRelayBench(t)
	conn := b.k.containers[testID]
	stored := []int{conn.memory, conn.relay.fd}
	for i, fd := range stored { // as the manager has them
		var err error
		if stored[i], err = unix.Dup(fd); err != nil {
			t.Fatal(err)
		}
	}
	b.hear()
	if err := b.say("READY=1"); err != nil {
		t.Fatal(err)
	}
	b.kill(stored)
	b.hear()
	b.say("WATCHDOG=1")
	b.hear()
	if want := []string{"READY=1", "WATCHDOG=1"}; !slices.Equal(b.told, want) {
		t.Errorf("told %q, want %q", b.told, want)
	}
	closeAll(stored)
}

// TestRelayToAnotherManager: a container speaks to the manager that has started its unit, whoever has started the keeper.
func TestRelayToAnotherManager(t *testing.T) {
	b := newRelayBenchAt(t, "other")
	other := b.listen(filepath.Join(b.dir, "other"))
	if err := b.say("READY=1"); err != nil {
		t.Fatal(err)
	}
	b.hear()
	if len(b.told) != 0 {
		t.Errorf("the keeper's manager is told %q", b.told)
	}
	b.manager = other
	if notes, _ := b.notes(); !slices.Equal(notes, []string{"READY=1"}) {
		t.Errorf("the unit's manager is told %q", notes)
	}
}

// TestRelayHasItsOwnLoop: what a container says reaches the manager also while the keeper's loop stands still.
func TestRelayHasItsOwnLoop(t *testing.T) {
	b := newRelayBench(t)
	if err := b.say("WATCHDOG=1"); err != nil {
		t.Fatal(err)
	}
	if err := b.k.relays.step(10_000); err != nil {
		t.Fatal(err)
	}
	if b.listening(); !slices.Equal(b.told, []string{"WATCHDOG=1"}) {
		t.Errorf("told %q", b.told)
	}
}

// TestRelayToNobody: a container whose manager cannot be spoken to does not wait for it, and that is said once.
func TestRelayToNobody(t *testing.T) {
	b := newRelayBenchAt(t, "nobody")
	var said bytes.Buffer
	b.k.Warn = &said
	for range 3 {
		if err := b.say("READY=1"); err != nil {
			t.Fatal(err)
		}
		b.steps()
		if n, err := unix.IoctlGetInt(b.k.containers[testID].relay.fd, unix.TIOCINQ); n != 0 || err != nil {
			t.Errorf("%d bytes wait, %v", n, err)
		}
	}
	if strings.Count(said.String(), "\n") != 1 || !strings.Contains(said.String(), "container web: ") {
		t.Errorf("said %q", said.String())
	}
}

// TestRelayWithoutFiles: what a container says waits until the keeper has a file for it.
func TestRelayWithoutFiles(t *testing.T) {
	b := newRelayBench(t)
	var said bytes.Buffer
	b.k.Warn = &said
	if err := b.say("READY=1"); err != nil {
		t.Fatal(err)
	}
	nofiles.During(t, func() {
		if err := b.k.relays.step(0); err != nil {
			t.Error(err)
		}
	})
	for end := time.Now().Add(30 * time.Second); len(b.k.relays.resting) > 0 && time.Now().Before(end); {
		if err := b.k.relays.step(1000); err != nil {
			t.Fatal(err)
		}
	}
	if b.hear(); !slices.Contains(b.told, "READY=1") || said.Len() > 0 {
		t.Errorf("told %q; said %q", b.told, said.String())
	}
}

// TestFloodOfNotices: a container that says much waits, and nobody else does; nothing of it is lost.
func TestFloodOfNotices(t *testing.T) {
	b := newRelayBench(t)
	begun := time.Now()
	sent := 0
	for sent < 3*relayLimit {
		if b.say(fmt.Sprint("STATUS=", sent)) == nil {
			sent++
		}
		b.k.relays.step(0)
		b.listening()
	}
	for len(b.told) < sent {
		b.k.relays.step(100)
		b.listening()
	}
	if took := time.Since(begun); took < 2*relayWindow {
		t.Errorf("%d messages were handed on within %s", sent, took)
	}
	for i, text := range b.told {
		if text != fmt.Sprint("STATUS=", i) {
			t.Fatalf("message %d is %q", i, text)
		}
	}
}

// TestBarrier: files that come with messages are closed, and one that takes its time holds nobody else up.
func TestBarrier(t *testing.T) {
	b := newRelayBench(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := b.say("BARRIER=1", int(w.Fd())); err != nil {
		t.Fatal(err)
	}
	w.Close()
	b.steps()
	if n, err := r.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the barrier: %d, %v", n, err)
	}
	slow := lingering(t)
	begun := time.Now()
	if err := b.say("STATUS=a", slow); err != nil {
		t.Fatal(err)
	}
	unix.Close(slow)
	read, write := pipes(t)
	other := record()
	other.ID = strings.Repeat("ab", 32)
	if err := b.keep(other, read); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(write[0], "of another one")
	b.steps()
	if got := messages(b.entries()); !slices.Equal(got, []string{"of another one"}) || time.Since(begun) > 5*time.Second {
		t.Errorf("%q after %s", got, time.Since(begun))
	}
}

// TestLookInterrupted: a signal does not make a process look as if it had ended. The runtime sends them for its own purposes; here
// they come without end.
func TestLookInterrupted(t *testing.T) {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	thread, done := unix.Gettid(), make(chan struct{})
	var interrupted int // the control
	go func() {
		for {
			select {
			case <-done:
				return
			default:
				unix.Tgkill(os.Getpid(), thread, unix.SIGURG)
			}
		}
	}()
	for end := time.Now().Add(30 * time.Second); interrupted < 100 && time.Now().Before(end); {
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0); errors.Is(err, unix.EINTR) {
			interrupted++
		}
		if state, err := look(fd, unix.POLLIN, 0); state != 0 || err != nil {
			t.Errorf("%#x, %v", state, err)
			break
		}
	}
	close(done)
	if interrupted < 100 && !t.Failed() {
		t.Error("no call was interrupted: this shows nothing")
	}
}

// lingering is a connection whose end takes its time: what was sent last has not been read by the other side.
func lingering(t *testing.T) int {
	fd, _ := lingeringUntil(t)
	return fd
}

func lingeringUntil(t *testing.T) (fd int, end func()) {
	t.Helper()
	// A signal ends the wait of close(2), and the collector sends them.
	percent := debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetGCPercent(percent) })
	runtime.GC()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.(*net.TCPConn).SetLinger(30)
	f, err := c.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c.Close() // not the last
	if fd, err = unix.Dup(int(f.Fd())); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 1<<20)
	for full := false; !full; { // until the other side's kernel takes no more
		if _, err := unix.SendmsgN(fd, data, nil, nil, unix.MSG_DONTWAIT); err != nil && !errors.Is(err, unix.EAGAIN) {
			t.Fatal(err)
		}
		state, err := look(fd, unix.POLLOUT, 300)
		unsent, err2 := unix.IoctlGetInt(fd, unix.TIOCOUTQ)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		full = state&unix.POLLOUT == 0 && unsent > 0
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	return fd, func() { peer.Close() }
}
