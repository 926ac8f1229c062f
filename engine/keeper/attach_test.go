package keeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal opens a new terminal: the side of people, and that of programs.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	m, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	master = os.NewFile(uintptr(m), "master")
	if err := unix.IoctlSetPointerInt(m, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	s, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(m), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		t.Fatal(errno)
	}
	slave = os.NewFile(s, "slave")
	t.Cleanup(func() { master.Close(); slave.Close() })
	return master, slave
}

func terminalRecord() Record {
	r := record()
	r.Streams = []Stream{{Name: streamTerminal}}
	return r
}

// attach connects with the container and lets the keeper work.
func (b *bench) attach(a Attach) *Conn {
	b.t.Helper()
	conn, err := Dial(b.socket())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	a.Version = attachVersion
	if err := conn.send(request{Attach: &a}); err != nil {
		b.t.Fatal(err)
	}
	b.steps()
	if err := conn.Wait(context.Background()); err != nil {
		b.t.Fatal(err)
	}
	unix.SetNonblock(conn.fd, true)
	return conn
}

// told lists what one who is attached has been told.
func told(t *testing.T, conn *Conn) (list []string) {
	t.Helper()
	for {
		e, err := conn.Next()
		switch {
		case errors.Is(err, unix.EAGAIN):
			return list
		case err != nil:
			return append(list, err.Error())
		case e.Begun != nil:
			list = append(list, fmt.Sprintf("begun %v %v", e.Begun.Terminal, e.Begun.Input))
		case e.Ended != nil:
			list = append(list, fmt.Sprintf("ended %d %s", e.Ended.Code, e.Ended.Error))
		case e.Finished:
			list = append(list, "finished")
		case e.Lost > 0:
			list = append(list, "lost")
		case e.Stderr != nil:
			list = append(list, "err "+string(e.Stderr))
		default:
			list = append(list, "out "+string(e.Stdout))
		}
	}
}

// until lets the keeper work until the condition holds; the kernel hands a terminal's text over in a thread of its own.
func (b *bench) until(what string, ok func() bool) {
	b.t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(end) {
			b.t.Fatalf("has not come true: %s", what)
		}
		if err := b.k.Step(1); err != nil {
			b.t.Fatal(err)
		}
	}
	b.steps()
}

func TestTerminal(t *testing.T) {
	b := newBench(t)
	master, slave := openTerminal(t)
	early := b.attach(Attach{ID: testID, Wait: true, Rows: 7, Columns: 77})
	if err := b.keep(terminalRecord(), []*os.File{master}); err != nil {
		t.Fatal(err)
	}
	master.Close()
	if size, err := unix.IoctlGetWinsize(int(slave.Fd()), unix.TIOCGWINSZ); err != nil || size.Row != 7 || size.Col != 77 {
		t.Errorf("size %+v, %v", size, err)
	}
	fmt.Fprint(slave, "one\npro")
	var got []string
	b.until("output", func() bool {
		got = append(got, told(t, early)...)
		return strings.HasSuffix(strings.Join(got, ""), "pro")
	})
	if all := strings.ReplaceAll(strings.Join(got, "|"), "|out ", ""); all != "begun true trueone\r\npro" {
		t.Errorf("told %q", all)
	}
	if err := errors.Join(early.Type([]byte("typed\n")), early.Resize(9, 99)); err != nil {
		t.Fatal(err)
	}
	b.steps()
	buf := make([]byte, 64)
	if n, err := slave.Read(buf); err != nil || string(buf[:n]) != "typed\n" {
		t.Errorf("read %q, %v", buf[:n], err)
	}
	if size, _ := unix.IoctlGetWinsize(int(slave.Fd()), unix.TIOCGWINSZ); size.Row != 9 {
		t.Errorf("size %+v", size)
	}
	slave.Close()
	b.until("end", func() bool { return len(b.k.containers) == 0 })
	if got := messages(b.entries()); !slices.Equal(got, []string{"one", "protyped"}) {
		t.Errorf("journal: %q", got)
	}
	b.tellEnd(Ended{Unit: "web.service", Code: 9})
	got = told(t, early)
	if !slices.Equal(got[max(len(got)-2, 0):], []string{"finished", "ended 9 "}) {
		t.Errorf("told at the end: %q", got)
	}
	early.Close()
	b.steps()
	if len(b.k.attached) != 0 || len(b.k.watched) != 1 {
		t.Errorf("left: %d attached, %d watched", len(b.k.attached), len(b.k.watched))
	}
}

func (b *bench) tellEnd(e Ended) {
	b.t.Helper()
	conn, err := Dial(b.socket())
	if err != nil {
		b.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.TellEnd(e); err != nil {
		b.t.Fatal(err)
	}
	b.steps()
}

// TestTerminalKilled: keepers are killed while a terminal is written to, and every line arrives, whole and in order.
func TestTerminalKilled(t *testing.T) {
	b := newBench(t)
	master, slave := openTerminal(t)
	if err := b.keep(terminalRecord(), []*os.File{master}); err != nil {
		t.Fatal(err)
	}
	_, stored := b.notes()
	defer func() { closeAll(stored) }()
	master.Close()
	var lines []string
	for round := range 8 {
		for i := range 20 {
			fmt.Fprintf(slave, "line %d %d\n", round, i)
		}
		fmt.Fprint(slave, "part ")
		for range round { // nothing, or a little
			b.k.Step(0)
		}
		b.kill(stored)
		lines = append(lines, messages(b.entries())...)
	}
	fmt.Fprint(slave, "end\n")
	b.until("end", func() bool {
		lines = append(lines, messages(b.entries())...)
		return len(lines) > 0 && strings.HasSuffix(lines[len(lines)-1], "end")
	})
	var want []string
	part := ""
	for round := range 8 {
		for i := range 20 {
			want = append(want, fmt.Sprintf("%sline %d %d", part, round, i))
			part = ""
		}
		part = "part "
	}
	if want = append(want, "part end"); !slices.Equal(slices.Compact(lines), want) {
		t.Errorf("%q", lines)
	}
}

// TestTypedKeyByKey: what comes in many small pieces is one line all the same.
func TestTypedKeyByKey(t *testing.T) {
	b := newBench(t)
	master, slave := openTerminal(t)
	if err := b.keep(terminalRecord(), []*os.File{master}); err != nil {
		t.Fatal(err)
	}
	master.Close()
	line := strings.Repeat("0123456789", 10)
	for _, key := range line {
		fmt.Fprint(slave, string(key))
		b.k.Step(1)
	}
	fmt.Fprint(slave, "\n")
	var got []string
	b.until("the line", func() bool { got = append(got, messages(b.entries())...); return len(got) > 0 })
	if !slices.Equal(got, []string{line}) {
		t.Errorf("%q", got)
	}
}

// TestInput: several are attached to a container with pipes; what they type arrives, and its end, also after a kill.
func TestInput(t *testing.T) {
	b := newBench(t)
	read, write := pipes(t)
	in, err := pipe(t)
	if err != nil {
		t.Fatal(err)
	}
	r := record()
	r.Streams = append(r.Streams, Stream{Name: streamStdin})
	if err := b.keep(r, append(read, in[1])); err != nil {
		t.Fatal(err)
	}
	in[1].Close()
	notes, stored := b.notes()
	if len(notes) != 2 || !strings.HasSuffix(notes[0], testID+inputSuffix) || len(stored) != 4 {
		t.Fatalf("stored %q, %d files", notes, len(stored))
	}
	one, two := b.attach(Attach{ID: testID}), b.attach(Attach{ID: testID})
	fmt.Fprint(write[0], "hello ")
	fmt.Fprint(write[1], "error\n")
	b.steps()
	for _, conn := range []*Conn{one, two} {
		got := told(t, conn)
		slices.Sort(got)
		if !slices.Equal(got, []string{"begun false true", "err error\n", "out hello "}) {
			t.Errorf("told %q", got)
		}
	}
	one.Type([]byte("from one\n"))
	b.steps()
	two.Type([]byte("from two\n"))
	one.Close() // which ends nothing
	b.steps()
	buf := make([]byte, 64)
	if n, _ := in[0].Read(buf); string(buf[:n]) != "from one\nfrom two\n" {
		t.Errorf("typed %q", buf[:n])
	}
	two.CloseInput()
	b.steps()
	if notes, _ := b.notes(); !slices.Equal(notes, []string{"FDSTOREREMOVE=1\nFDNAME=" + testID + inputSuffix}) {
		t.Errorf("notes %q", notes)
	}
	closeAll(stored[:1]) // which the manager does then
	if n, err := in[0].Read(buf); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %q, %v", buf[:n], err)
	}
	closeAll(stored[1:])
}

// TestInputRestored: the next keeper has the standard input too, and without one it has the rest.
func TestInputRestored(t *testing.T) {
	for _, there := range []bool{true, false} {
		b := newBench(t)
		read, _ := pipes(t)
		in, err := pipe(t)
		if err != nil {
			t.Fatal(err)
		}
		r := record()
		r.Streams = append(r.Streams, Stream{Name: streamStdin})
		if err := b.keep(r, append(read, in[1])); err != nil {
			t.Fatal(err)
		}
		_, stored := b.notes()
		b.k = b.keeper()
		again := map[string][]int{testID: stored[1:]}
		if there {
			again[testID+inputSuffix] = stored[:1]
		}
		b.k.Restore(again)
		conn := b.attach(Attach{ID: testID})
		if got := told(t, conn); !slices.Equal(got, []string{fmt.Sprintf("begun false %v", there)}) {
			t.Errorf("%v: %q", there, got)
		}
	}
	b := newBench(t)
	in, err := pipe(t)
	if err != nil {
		t.Fatal(err)
	}
	alone, _ := unix.FcntlInt(in[1].Fd(), unix.F_DUPFD_CLOEXEC, 0)
	b.k.Restore(map[string][]int{testID + inputSuffix: {alone}})
	if notes, _ := b.notes(); !slices.Equal(notes, []string{"FDSTOREREMOVE=1\nFDNAME=" + testID + inputSuffix}) {
		t.Errorf("one without a record: %q", notes)
	}
}

func pipe(t *testing.T) ([2]*os.File, error) {
	r, w, err := os.Pipe()
	t.Cleanup(func() { r.Close(); w.Close() })
	return [2]*os.File{r, w}, err
}

// TestLazyReader: one who is attached and does not read makes the container wait for a moment at most, and the journal has
// every line.
func TestLazyReader(t *testing.T) {
	b := newBench(t)
	read, write := pipes(t)
	if err := b.keep(record(), read); err != nil {
		t.Fatal(err)
	}
	lazy, keen := b.attach(Attach{ID: testID}), b.attach(Attach{ID: testID})
	const count = 40000
	done := make(chan time.Duration)
	go func() {
		begin := time.Now()
		for i := range count {
			fmt.Fprintf(write[0], "line %06d of many\n", i)
		}
		done <- time.Since(begin)
	}()
	var lines []string
	var seen bytes.Buffer
	lost := false
	b.until("all lines", func() bool {
		lines = append(lines, messages(b.entriesNow())...)
		for _, s := range told(t, keen) {
			lost = lost || s == "lost"
			seen.WriteString(strings.TrimPrefix(s, "out "))
		}
		return len(lines) == count
	})
	if took := <-done; took > 9*time.Second {
		t.Errorf("the container has waited: %s", took)
	}
	for i, l := range lines {
		if l != fmt.Sprintf("line %06d of many", i) {
			t.Fatalf("line %d is %q", i, l)
		}
	}
	if n := strings.Count(seen.String(), "\n"); n != count || lost {
		t.Errorf("the one who reads has seen %d lines, lost: %v", n, lost)
	}
	var late []string
	b.until("news for the lazy one", func() bool { late = append(late, told(t, lazy)...); return slices.Contains(late, "lost") })
	fmt.Fprintln(write[0], "at last")
	b.until("the last line", func() bool { late = append(late, told(t, lazy)...); return late[len(late)-1] == "out at last\n" })
}

// entriesNow is entries without waiting.
func (b *bench) entriesNow() (list []string) {
	raw, err := b.journal.SyscallConn()
	if err != nil {
		b.t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	raw.Control(func(fd uintptr) {
		for {
			n, _, err := unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT)
			if err != nil {
				return
			}
			list = append(list, string(buf[:n]))
		}
	})
	return list
}

// TestStartFailed: one who waits for a container is told why there will be none.
func TestStartFailed(t *testing.T) {
	b := newBench(t)
	conn := b.attach(Attach{ID: testID, Wait: true})
	b.tellEnd(Ended{ID: testID, Code: 127, Error: "no such command"})
	if got := told(t, conn); !slices.Equal(got, []string{"ended 127 no such command"}) {
		t.Errorf("%q", got)
	}
}

func TestAttachRefused(t *testing.T) {
	b := newBench(t)
	for _, tt := range []struct {
		a    Attach
		want string
	}{
		{Attach{Version: attachVersion, ID: testID}, unknownContainer},
		{Attach{Version: attachVersion + 1, ID: testID, Wait: true}, "restart it"},
		{Attach{Version: attachVersion, ID: "../x", Wait: true}, "not the ID"},
	} {
		conn, err := Dial(b.socket())
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.send(request{Attach: &tt.a}); err != nil {
			t.Fatal(err)
		}
		b.steps()
		if err := conn.Wait(context.Background()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt.a, err, tt.want)
		}
		conn.Close()
	}
	conn := b.attach(Attach{ID: testID, Wait: true})
	unix.Write(conn.fd, []byte("z"))
	b.steps()
	if got := told(t, conn); !slices.Equal(got, []string{ErrLost.Error()}) {
		t.Errorf("after nonsense: %q", got)
	}
}

// TestStranger: another user is not let in, though the socket's mode would let him. Root is.
func TestStranger(t *testing.T) {
	const variable = "KEEPER_TEST_SOCKET"
	if socket := os.Getenv(variable); socket != "" { // the stranger
		conn, err := Dial(socket)
		if err == nil {
			err = conn.Attach(context.Background(), Attach{ID: testID, Wait: true})
		}
		fmt.Printf("stranger: %v\n", err)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("only root can be another user")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		uid  uint32
		want string
	}{{65534, "stranger: .*(broken pipe|the keeper ended)"}, {0, "stranger: <nil>"}} {
		b := newBench(t)
		dir, err := os.MkdirTemp("/tmp", "keeper-test-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		b.dir = dir
		b.k = b.keeper()
		program, err := os.ReadFile(self)
		if err == nil {
			err = errors.Join(os.Chmod(dir, 0o755), os.Chmod(b.socket(), 0o777), os.WriteFile(dir+"/test", program, 0o755))
		}
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(dir+"/test", "-test.run=^TestStranger$")
		cmd.Env = append(os.Environ(), variable+"="+b.socket())
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: tt.uid, Gid: tt.uid}}
		var out bytes.Buffer
		cmd.Stdout = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		b.until("the end of the other", func() bool {
			select {
			case err := <-ended:
				if err != nil {
					t.Error(err)
				}
				return true
			default:
				return false
			}
		})
		if ok, err := regexp.MatchString(tt.want, out.String()); !ok || err != nil {
			t.Errorf("user %d: %q, want %q", tt.uid, out.String(), tt.want)
		}
	}
}

func FuzzFrame(f *testing.F) {
	for _, s := range []string{"", "b{}", "ohello", "i", "c", "w\x00\x07\x00\x50", "l12345678", "f", `x{"code":9}`, "x{", "q"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseFrame(b)
		if err != nil {
			return
		}
		if len(b) > maxFrame+1 || got.kind != b[0] || len(got.data) != len(b)-1 {
			t.Errorf("%q was read as %+v", b, got)
		}
		if got.kind == frameSize && !bytes.Equal(sizeFrame(got.rows, got.columns), b) {
			t.Errorf("%q is not a size", b)
		}
	})
}

// FuzzRequest: whatever one who is let in says, the keeper goes on.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"attach":{"version":1,"id":"`+testID+`","wait":true}}`), []byte("w\x00\x07\x00\x50"))
	f.Add([]byte(`{"ended":{"id":"`+testID+`","code":7}}`), []byte("c"))
	f.Add([]byte(`{"keep":{"version":2,"streams":[{"name":"terminal"}]}}`), []byte("ityped"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		b := newBench(t)
		for _, id := range []string{"", testID} {
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			c := &caller{fd: fds[0]}
			b.k.watch(fds[0], c, unix.EPOLLIN)
			if id != "" {
				b.k.attach(c, &Attach{Version: attachVersion, ID: id, Wait: true})
			}
			unix.Write(fds[1], first)
			b.steps()
			unix.Write(fds[1], second)
			b.steps()
			unix.Close(fds[1])
			b.steps()
		}
		if len(b.k.attached) != 0 || len(b.k.watched) != 1 {
			t.Errorf("left: %d attached, %d watched", len(b.k.attached), len(b.k.watched))
		}
	})
}
