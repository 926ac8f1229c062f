package tty

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// pair opens a new terminal: its master side, and the side of the programs.
func pair(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, master.Fd(), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		t.Fatal(errno)
	}
	slave = os.NewFile(fd, "slave")
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

func TestIs(t *testing.T) {
	_, slave := pair(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if !Is(slave) || Is(null) {
		t.Errorf("terminal: %v, /dev/null: %v", Is(slave), Is(null))
	}
}

func TestMakeRaw(t *testing.T) {
	master, slave := pair(t)
	restore, err := MakeRaw(slave)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := slave.WriteString("a\n"); err != nil {
		t.Fatal(err)
	}
	raw, restored := make([]byte, len("a\n")), make([]byte, len("a\r\n"))
	if _, err := io.ReadFull(master, raw); err != nil || string(raw) != "a\n" {
		t.Errorf("raw: %q, %v", raw, err)
	}
	if err := errors.Join(restore(), restore()); err != nil {
		t.Fatal(err)
	}
	if _, err := slave.WriteString("a\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(master, restored); err != nil || string(restored) != "a\r\n" {
		t.Errorf("restored: %q, %v", restored, err)
	}
}

func TestSize(t *testing.T) {
	master, slave := pair(t)
	if err := SetSize(master, Size{Rows: 7, Columns: 91}); err != nil {
		t.Fatal(err)
	}
	if got, err := SizeOf(slave); err != nil || got != (Size{7, 91}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestDetachKeys(t *testing.T) {
	for word, want := range map[string]string{"": "", "ctrl-p,ctrl-q": "\x10\x11", "a": "a", "a,,": "a,", ",": ",", "ctrl-@,x": "\x00x", "ctrl-[": "\x1b"} {
		if got, err := ParseDetachKeys(word); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", word, got, err)
		}
	}
	for _, word := range []string{"ctrl-", "ctrl-1", "ab", "a,bc", "Ctrl-p"} {
		if _, err := ParseDetachKeys(word); err == nil {
			t.Errorf("%q was taken", word)
		}
	}
}

func TestDetacher(t *testing.T) {
	tests := []struct {
		keys     string
		in       []string
		out      string
		detached bool
	}{
		{"", []string{"a\x10\x11"}, "a\x10\x11", false},
		{"\x10\x11", []string{"ab\x10\x11c"}, "ab", true},
		{"\x10\x11", []string{"a\x10", "\x11"}, "a", true},
		{"\x10\x11", []string{"\x10", "x\x11"}, "\x10x\x11", false},
		{"\x10\x11", []string{"\x10\x10\x11"}, "\x10", true},
		{"q", []string{"ab", "q"}, "ab", true},
	}
	for _, tt := range tests {
		d := detacher{keys: []byte(tt.keys)}
		var out []byte
		detached := false
		for _, in := range tt.in {
			var some []byte
			some, detached = d.filter([]byte(in))
			out = append(out, some...)
		}
		if string(out) != tt.out || detached != tt.detached {
			t.Errorf("%q of %q: %q, %v; want %q, %v", tt.keys, tt.in, out, detached, tt.out, tt.detached)
		}
	}
}

// send does what a runtime does with the path given as --console-socket.
func send(path string, f *os.File) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return err
	}
	return unix.Sendmsg(fd, []byte("/dev/pts/0"), unix.UnixRights(int(f.Fd())), nil, 0)
}

func TestConsole(t *testing.T) {
	master, slave := pair(t)
	c, err := ListenConsole(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := send(c.Path, master); err != nil {
		t.Fatal(err)
	}
	got, err := c.Receive(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if _, err := got.WriteString("typed\n"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	if n, err := slave.Read(buf); err != nil || string(buf[:n]) != "typed\n" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(c.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

func TestConsoleGivesUp(t *testing.T) {
	c, err := ListenConsole(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Receive(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := ListenConsole("/no/such/directory"); err == nil || !strings.Contains(err.Error(), "/no/such/directory") {
		t.Errorf("got %v", err)
	}
}

// TestSession: what is typed arrives, what is printed comes back, and the output's end ends it.
func TestSession(t *testing.T) {
	master, slave := pair(t)
	in, typed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer typed.Close()
	var out bytes.Buffer
	done := make(chan error, 1)
	go func() { done <- Session{In: in, Out: &out, Master: master}.Run() }()
	if _, err := typed.WriteString("hello\n"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	if n, err := slave.Read(buf); err != nil || string(buf[:n]) != "hello\n" {
		t.Errorf("typed: %q, %v", buf[:n], err)
	}
	if _, err := slave.WriteString("bye\n"); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := out.String(); !strings.HasSuffix(got, "bye\r\n") {
		t.Errorf("printed %q", got)
	}
}

func TestSessionDetaches(t *testing.T) {
	master, _ := pair(t)
	in, typed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer typed.Close()
	done := make(chan error, 1)
	go func() {
		done <- Session{In: in, Out: &bytes.Buffer{}, Master: master, DetachKeys: []byte("\x10\x11")}.Run()
	}()
	if _, err := typed.WriteString("x\x10\x11"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, ErrDetached) {
		t.Errorf("got %v", err)
	}
}
