package usernet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/enginetest"
	"github.com/berth-pods/berth/engine/proc"
)

func TestDestination(t *testing.T) {
	both := Forward{
		To:   []netip.Addr{netip.MustParseAddr("10.89.0.7"), netip.MustParseAddr("fd00::7")},
		Near: []string{"10.89.0.0/24", "fd00::/64"},
	}
	one := Forward{To: both.To[:1], Near: both.Near}
	for _, tt := range []struct {
		forward          Forward
		client, to, from string
	}{
		{both, "192.0.2.1", "10.89.0.7", "192.0.2.1"},
		{both, "::ffff:192.0.2.1", "10.89.0.7", "192.0.2.1"},
		{both, "2001:db8::1", "fd00::7", "2001:db8::1"},
		{both, "127.0.0.1", "10.89.0.7", "invalid IP"},
		{both, "::1", "fd00::7", "invalid IP"},
		{both, "fe80::1%eth0", "fd00::7", "invalid IP"},
		{both, "10.89.0.9", "10.89.0.7", "invalid IP"}, // the container would answer its neighbour itself
		{one, "2001:db8::1", "10.89.0.7", "invalid IP"},
	} {
		to, from, ok := tt.forward.destination(netip.MustParseAddr(tt.client))
		if !ok || to.String() != tt.to || from.String() != tt.from {
			t.Errorf("%s: to %s from %s (%v), want to %s from %s", tt.client, to, from, ok, tt.to, tt.from)
		}
	}
	if _, _, ok := (Forward{}).destination(netip.MustParseAddr("192.0.2.1")); ok {
		t.Error("a container without an address can be reached")
	}
}

// TestMarks: netavark gives its address to all that has this bit.
func TestMarks(t *testing.T) {
	if (outMark|answerMark)&0x2000 != 0 {
		t.Error("a mark is netavark's")
	}
}

func TestLoad(t *testing.T) {
	n := Net{Dir: t.TempDir()}
	if _, err := n.Holder(); !errors.Is(err, ErrNone) || n.Ready() {
		t.Errorf("of nothing: %v", err)
	}
	if id, err := n.ID(t.Context()); !errors.Is(err, ErrNone) {
		t.Errorf("of nothing: %q, %v", id, err)
	}
	self, err := proc.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := n.save(holder{Process: self, NetFD: 7, Inode: 42, ID: "one"}); err != nil {
		t.Fatal(err)
	}
	if id, err := n.Holder(); err != nil || id != self || n.Ready() {
		t.Errorf("%v, %v", id, err)
	}
	if id, err := n.ID(t.Context()); err != nil || id != "one" {
		t.Errorf("%q, %v", id, err)
	}
	for text, want := range map[string]string{"{": "is damaged", `{"version":99}`: "has version 99"} {
		if err := os.WriteFile(n.file("holder.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Holder(); err == nil || !bytes.Contains([]byte(err.Error()), []byte(want)) {
			t.Errorf("%s: %v", text, err)
		}
	}
	self.Start++
	if err := n.save(holder{Process: self}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Holder(); !errors.Is(err, ErrNone) {
		t.Errorf("of a process that has ended: %v", err)
	}
	over, cancel := context.WithCancel(t.Context()) // who waits ends at once, and says so
	cancel()
	manager, err := proc.Identify(os.Getppid())
	if err != nil {
		t.Fatal(err)
	}
	ended := manager
	ended.Start++
	for by, want := range map[proc.ID]error{manager: context.Canceled, ended: ErrNone, {}: context.Canceled} {
		if err := n.save(holder{Process: self, Manager: by}); err != nil {
			t.Fatal(err)
		}
		if _, err := n.ID(over); !errors.Is(err, want) {
			t.Errorf("started by %v: %v, want %v", by, err, want)
		}
	}
}

// TestAwaited: who is at the network while its program is started again goes on with the next one, and hears of it when none comes.
func TestAwaited(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("entering a network namespace needs root")
	}
	self, err := proc.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	ns, err := os.Open("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(ns.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	for what, f := range map[string]func(context.Context, Net) error{
		"do":      func(ctx context.Context, n Net) error { return n.Do(ctx, func() error { return nil }) },
		"publish": func(ctx context.Context, n Net) error { return n.Publish(ctx, "c1", []Forward{{Protocol: "tcp"}}) },
	} {
		n := Net{Dir: t.TempDir()}
		h := holder{Process: proc.ID{PID: self.PID, Start: self.Start + 1}, Inode: st.Ino, ID: "one"}
		if err := n.save(h); err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			if err := f(t.Context(), n); !errors.Is(err, ErrReturns) {
				t.Errorf("%s: nobody comes: %v", what, err)
			}
		})
		killed, err := net.Listen("unix", n.socket())
		if err != nil {
			t.Fatal(err)
		}
		go func() { // it ends when it has been asked
			if conn, err := killed.Accept(); err == nil {
				conn.Read(make([]byte, 1))
				conn.Close()
			}
		}()
		next := func() {
			killed.Close()
			control, err := net.Listen("unix", n.socket())
			if err != nil {
				return // it is the next one's already
			}
			t.Cleanup(func() { control.Close() })
			w := &forwarder{net: n, ns: ns, open: map[string][]io.Closer{}, warn: t.Errorf}
			go w.serve(control)
			h.Process, h.NetFD = self, int(ns.Fd())
			if err := n.save(h); err != nil {
				t.Error(err)
			}
		}
		if err := f(enginetest.WaitedFor{Context: t.Context(), Call: next}, n); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if err := n.Withdraw(t.Context(), "c1"); err != nil {
			t.Error(err)
		}
	}
}

// TestCleanUntold: the files stay when the manager does not say whether it starts the program again.
func TestCleanUntold(t *testing.T) {
	t.Setenv("SERVICE_RESULT", "signal")
	for _, fails := range []string{"list-jobs", "show"} {
		n := Net{Dir: t.TempDir()}
		if err := n.save(holder{ID: "one"}); err != nil {
			t.Fatal(err)
		}
		run := func(_ context.Context, c proc.Command) ([]byte, error) {
			if slices.Contains(c.Args, fails) {
				return nil, unix.EAGAIN
			}
			return nil, nil
		}
		if err := n.Clean(t.Context(), run); !errors.Is(err, unix.EAGAIN) {
			t.Errorf("%s fails: %v", fails, err)
		}
		if _, err := n.told(); err != nil {
			t.Errorf("%s fails: %v", fails, err)
		}
	}
	for policy, stays := range map[string]bool{"on-failure": true, "no": false} {
		run := func(_ context.Context, c proc.Command) ([]byte, error) {
			if slices.Contains(c.Args, "show") {
				return []byte(policy + "\n"), nil
			}
			return nil, nil
		}
		n := Net{Dir: t.TempDir()}
		err := errors.Join(n.save(holder{ID: "one"}), n.Clean(t.Context(), run))
		if _, none := n.told(); err != nil || (none == nil) != stays {
			t.Errorf("Restart=%s: %v; %v", policy, err, none)
		}
	}
}

// here is a forwarder whose containers are in this very network namespace.
func here(t *testing.T) Net {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("entering a network namespace needs root")
	}
	n := Net{Dir: t.TempDir()}
	ns, err := os.Open("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	w := &forwarder{net: n, ns: ns, open: map[string][]io.Closer{}, warn: t.Errorf}
	control, err := net.Listen("unix", n.socket())
	if err := errors.Join(err, n.save(holder{})); err != nil {
		t.Fatal(err)
	}
	go w.serve(control)
	t.Cleanup(func() {
		control.Close()
		for id := range w.open {
			n.Withdraw(context.WithoutCancel(t.Context()), id)
		}
	})
	return n
}

func TestForward(t *testing.T) {
	n := here(t)
	to := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				all, _ := io.ReadAll(c) // until the client has said all
				fmt.Fprintf(c, "got %d", len(all))
				c.Close()
			}()
		}
	}()
	echo, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		buf := make([]byte, 100)
		for {
			size, from, err := echo.ReadFrom(buf)
			if err != nil {
				return
			}
			echo.WriteTo(append([]byte("got "), buf[:size]...), from)
		}
	}()
	port := freePort(t)
	list := []Forward{
		{Protocol: "tcp", HostIP: "127.0.0.1", HostPort: port, Port: uint16(server.Addr().(*net.TCPAddr).Port), To: to},
		{Protocol: "udp", HostPort: port, Port: uint16(echo.LocalAddr().(*net.UDPAddr).Port), To: to},
	}
	if err := n.Publish(t.Context(), "c1", list); err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprint("127.0.0.1:", port)
	client, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	client.Write(make([]byte, 1<<20))
	client.(*net.TCPConn).CloseWrite()
	if answer, err := io.ReadAll(client); err != nil || string(answer) != "got 1048576" {
		t.Errorf("tcp: %q, %v", answer, err)
	}
	datagrams, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	datagrams.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(datagrams, "hello")
	buf := make([]byte, 100)
	if size, err := datagrams.Read(buf); err != nil || string(buf[:size]) != "got hello" {
		t.Errorf("udp: %q, %v", buf[:size], err)
	}
	if err := n.Publish(t.Context(), "c2", list[:1]); !errors.Is(errors.Unwrap(err), unix.EADDRINUSE) && (err == nil || !bytes.Contains([]byte(err.Error()), []byte("in use"))) {
		t.Errorf("a port twice: %v", err)
	}
	if err := n.Withdraw(t.Context(), "c1"); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("a port that was withdrawn is open")
	}
	if _, err := os.Stat(filepath.Join(n.Dir, "ports", "c1")); err == nil {
		t.Error("its file is there")
	}
}

// busyOnce is a listener that has no file for the first who comes.
type busyOnce struct {
	net.Listener
	called bool
}

func (l *busyOnce) Accept() (net.Conn, error) {
	if !l.called {
		l.called = true
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", unix.EMFILE)}
	}
	return l.Listener.Accept()
}

// TestControlWithoutFiles: the program answers again when it has a file for it.
func TestControlWithoutFiles(t *testing.T) {
	n := Net{Dir: t.TempDir()}
	control, err := net.Listen("unix", n.socket())
	if err := errors.Join(err, n.save(holder{})); err != nil {
		t.Fatal(err)
	}
	w := &forwarder{net: n, open: map[string][]io.Closer{}, warn: t.Errorf}
	ended := make(chan bool)
	go func() {
		w.serve(&busyOnce{Listener: control})
		close(ended)
	}()
	if err := n.tell(t.Context(), "c1", time.Second); err != nil {
		t.Error(err)
	}
	control.Close()
	<-ended
}

// FuzzControl: who speaks to the program is answered with one line, and gets it to look at one file of those with published ports, or at none.
func FuzzControl(f *testing.F) {
	for _, said := range []string{"c1\n", "known\n", "known", "\n", "../holder.json\n", ".\n", "..\n", "/\n", "a/known\n", "known\nmore\n", "\x00\n", strings.Repeat("a", 255) + "\n", ".known\n"} {
		f.Add([]byte(said))
	}
	n := Net{Dir: f.TempDir()}
	if err := os.Mkdir(filepath.Dir(n.portsOf("known")), 0o700); err != nil {
		f.Fatal(err)
	}
	for _, path := range []string{n.portsOf("known"), n.file("known"), n.portsOf(".known")} {
		if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
			f.Fatal(err)
		}
	}
	control, err := net.Listen("unix", n.socket())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { control.Close() })
	w := &forwarder{net: n, open: map[string][]io.Closer{}, warn: f.Logf}
	go w.serve(control)
	f.Fuzz(func(t *testing.T, said []byte) {
		if len(said) > 256 {
			return // what is not read resets the connection
		}
		conn, err := net.Dial("unix", n.socket())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.Write(said)
		conn.(*net.UnixConn).CloseWrite()
		answer, err := io.ReadAll(conn)
		id, _, whole := strings.Cut(string(said), "\n")
		good := whole && id != "" && id[0] != '.' && !strings.ContainsAny(id, "/\x00") && len(id) < 256
		want := "ok\n"
		switch {
		case !good:
			want = "error: "
		case id == "known":
			want = "error: " + n.portsOf("known") + " is damaged"
		}
		if err != nil || !strings.HasPrefix(string(answer), want) || bytes.IndexByte(answer, '\n') != len(answer)-1 {
			t.Errorf("%q is answered with %q, %v; want %q", said, answer, err, want)
		}
	})
}

// FuzzPublished: a record of published ports is read or refused by its name, and a client is connected with one of the container's addresses
// in it, as himself or as the bridge.
func FuzzPublished(f *testing.F) {
	for _, record := range []string{
		`{"version":1,"forwards":[{"protocol":"tcp","hostPort":1,"port":2,"to":["10.89.0.7","fd00::7"],"near":["10.89.0.0/24","x"]}]}`, `{"version":99}`, `{"forwards":[{"to":["x"]}]}`, `{"forwards":[{"to":["::ffff:1.2.3.4"]}]}`,
		`{"forwards":[{"to":[""]}]}`, `null`, `[]`, ``, `{"forwards":[{"hostPort":65536}]}`, `{"forwards":[{"to":["fe80::1%eth0"]}]}`,
	} {
		f.Add([]byte(record), "192.0.2.1")
		f.Add([]byte(record), "::ffff:10.89.0.9")
	}
	f.Fuzz(func(t *testing.T, record []byte, who string) {
		file := filepath.Join(t.TempDir(), "c1")
		if err := os.WriteFile(file, record, 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := readPublished(file)
		if err != nil && (!strings.Contains(err.Error(), file) || len(list) > 0) {
			t.Errorf("%q: %v, %v", record, list, err)
		}
		client, err := netip.ParseAddr(who)
		if err != nil {
			return
		}
		for _, p := range list {
			to, from, ok := p.destination(client)
			if ok != to.IsValid() || ok && !slices.Contains(p.To, to) || from.IsValid() && (from != client.Unmap().WithZone("") || from.IsLoopback() || from.Is4() != to.Is4()) {
				t.Errorf("%q, from %s: to %s as %s (%v)", record, client, to, from, ok)
			}
		}
	})
}

func TestWithdrawWithoutProgram(t *testing.T) {
	n := Net{Dir: t.TempDir()}
	if err := n.Withdraw(t.Context(), "c1"); err != nil {
		t.Error(err)
	}
	if err := n.Publish(t.Context(), "c1", []Forward{{Protocol: "tcp"}}); err == nil {
		t.Error("published by nobody")
	}
	if err := n.Withdraw(t.Context(), "c1"); err != nil {
		t.Error(err)
	}
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}
