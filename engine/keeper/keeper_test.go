package keeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/enginetest/nofiles"
)

// bench is a keeper with a journal and a service manager that are nobody but this test.
type bench struct {
	t       *testing.T
	dir     string
	k       *Keeper
	journal *net.UnixConn
	manager *net.UnixConn
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir()}
	b.journal = b.listen(filepath.Join(b.dir, "journal", "socket"))
	b.manager = b.listen(filepath.Join(b.dir, "notify"))
	b.k = b.keeper()
	return b
}

func (b *bench) listen(path string) *net.UnixConn {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	return conn
}

// socket is where the keeper listens.
func (b *bench) socket() string { return SocketIn(b.dir) }

// keeper makes a keeper, the first or, after a kill, the next one.
func (b *bench) keeper() *Keeper {
	b.t.Helper()
	k, err := New(listenAt(b.t, b.socket()))
	if err != nil {
		b.t.Fatal(err)
	}
	k.Journal, k.User, k.Warn = b.dir, true, b.t.Output()
	k.Notify = Notifier{Socket: filepath.Join(b.dir, "notify")}
	b.t.Cleanup(func() {
		for len(k.jobs) > 0 { // they may write where the test has its files
			runtime.Gosched()
			k.lookAtJobs()
		}
		k.relays.mu.Lock() // what they wait for may end after the test
		for _, r := range k.relays.list {
			r.fd = -1
		}
		k.relays.mu.Unlock()
		closeAll([]int{k.epoll, k.listener, k.scratch[0], k.scratch[1], k.null, k.wake, k.relays.epoll})
	})
	return k
}

func listenAt(t *testing.T, path string) int {
	t.Helper()
	os.Remove(path)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	}
	if err == nil {
		err = unix.Listen(fd, 8)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// steps lets the keeper work until nothing happens any more.
func (b *bench) steps() {
	b.t.Helper()
	for range 50 {
		if err := errors.Join(b.k.Step(0), b.k.relays.step(0)); err != nil {
			b.t.Fatal(err)
		}
	}
}

// pipes makes the pipes of a container.
func pipes(t *testing.T) (read, write []*os.File) {
	t.Helper()
	for range 2 {
		var fds [2]int
		if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		r, w := os.NewFile(uintptr(fds[0]), "r"), os.NewFile(uintptr(fds[1]), "w")
		t.Cleanup(func() { r.Close(); w.Close() })
		read, write = append(read, r), append(write, w)
	}
	return read, write
}

// startOf is when a process has started, 0 for one that has ended.
func startOf(pid int) uint64 {
	start, _ := startTime(pid)
	return start
}

var testID = strings.Repeat("0123456789abcdef", 4)

func record() Record {
	return Record{ID: testID, Name: "web", Image: "img", Unit: "web.service", Identifier: "web", Driver: Journald, Streams: []Stream{{Name: "stdout"}, {Name: "stderr"}}}
}

// keep hands the files over as an engine does.
func (b *bench) keep(r Record, files []*os.File) error {
	b.t.Helper()
	conn, err := Dial(b.socket())
	if err != nil {
		b.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Keep(r, files...); err != nil {
		b.t.Fatal(err)
	}
	b.steps()
	return conn.Wait(context.Background())
}

// entries reads what has come to the journal.
func (b *bench) entries() []string {
	b.t.Helper()
	var list []string
	buf := make([]byte, 1<<20)
	for {
		b.journal.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		n, err := b.journal.Read(buf)
		if err != nil {
			return list
		}
		list = append(list, string(buf[:n]))
	}
}

func messages(entries []string) (list []string) {
	for _, e := range entries {
		_, m, _ := strings.Cut(e, "MESSAGE=")
		m, _, _ = strings.Cut(m, "\n")
		list = append(list, m)
	}
	return list
}

// notes reads what the manager was told, and duplicates of the files that came with it.
func (b *bench) notes() (notes []string, files []int) {
	b.t.Helper()
	text, rights := make([]byte, 4096), make([]byte, 256)
	for {
		b.manager.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		n, m, _, _, err := b.manager.ReadMsgUnix(text, rights)
		if err != nil {
			return notes, files
		}
		notes = append(notes, string(text[:n]))
		list, _ := unix.ParseSocketControlMessage(rights[:m])
		for i := range list {
			fds, _ := unix.ParseUnixRights(&list[i])
			files = append(files, fds...)
		}
	}
}

func TestKeep(t *testing.T) {
	b := newBench(t)
	read, write := pipes(t)
	if err := b.keep(record(), read); err != nil {
		t.Fatal(err)
	}
	notes, stored := b.notes()
	if len(notes) != 1 || notes[0] != "FDSTORE=1\nFDPOLL=0\nFDNAME="+testID || len(stored) != 3 {
		t.Errorf("stored %q with %d files", notes, len(stored))
	}
	closeAll(stored)
	fmt.Fprint(write[0], "one\n<4>two\nthr")
	fmt.Fprint(write[1], "bad\n")
	b.steps()
	got := b.entries()
	want := "PRIORITY=6\nSYSLOG_IDENTIFIER=web\nCONTAINER_ID=0123456789ab\nCONTAINER_ID_FULL=" + testID + "\nCONTAINER_NAME=web\nIMAGE_NAME=img\nUSER_UNIT=web.service\nMESSAGE=one\n"
	if len(got) != 3 || got[0] != want || !strings.HasPrefix(got[1], "PRIORITY=4\n") || !strings.HasPrefix(got[2], "PRIORITY=3\n") {
		t.Fatalf("%q", got)
	}
	fmt.Fprint(write[0], "ee")
	b.steps()
	if got := b.entries(); len(got) != 0 {
		t.Errorf("half a line came: %q", got)
	}
	write[0].Close()
	b.steps()
	if got := messages(b.entries()); !slices.Equal(got, []string{"three"}) {
		t.Errorf("the last line: %q", got)
	}
	if notes, _ := b.notes(); len(notes) != 0 {
		t.Errorf("forgotten too early: %q", notes)
	}
	write[1].Close()
	b.steps()
	if notes, _ := b.notes(); len(notes) != 1 || notes[0] != "FDSTOREREMOVE=1\nFDNAME="+testID {
		t.Errorf("at the end: %q", notes)
	}
	if len(b.k.containers) != 0 || len(b.k.watched) != 1 {
		t.Errorf("left: %d containers, %d watched", len(b.k.containers), len(b.k.watched))
	}
}

// TestManyComeAndGo: of containers that have come and gone nothing stays, in memory or open.
func TestManyComeAndGo(t *testing.T) {
	b := newBench(t)
	live := func() (heap uint64, files int) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return m.HeapAlloc, len(entries)
	}
	drain := make([]byte, 1<<16)
	come := func(n int) {
		var fds [2]int
		if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		r := record()
		r.ID, r.Name, r.Streams = fmt.Sprintf("%064x", n), fmt.Sprint("web", n), r.Streams[:1]
		read := os.NewFile(uintptr(fds[0]), "r")
		if err := b.keep(r, []*os.File{read}); err != nil {
			t.Fatal(err)
		}
		read.Close()
		unix.Write(fds[1], []byte("a line\n"))
		unix.Close(fds[1])
		b.steps()
		for _, conn := range []*net.UnixConn{b.manager, b.journal} { // three messages: store, line, forget
			raw, _ := conn.SyscallConn()
			raw.Control(func(fd uintptr) {
				for {
					if _, err := unix.Read(int(fd), drain); err != nil {
						return
					}
				}
			})
		}
	}
	for n := range 100 {
		come(n)
	}
	heap, files := live()
	for n := range 1000 {
		come(100 + n)
	}
	heap2, files2 := live()
	if files2 != files || heap2 > heap+64<<10 || len(b.k.containers) != 0 || len(b.k.watched) != 1 {
		t.Errorf("after 100 containers %d bytes and %d files, after 1,000 more %d and %d; %d containers, %d watched", heap, files, heap2, files2, len(b.k.containers), len(b.k.watched))
	}
}

// TestPastaEnds: of a container whose pasta ends before it the journal of its unit says so, also with a log elsewhere, and when it ended
// while no keeper ran; not of one that has ended with it.
func TestPastaEnds(t *testing.T) {
	sleep := func() (cmd *exec.Cmd, p Process) {
		cmd = exec.Command("sleep", "1000")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		return cmd, Process{cmd.Process.Pid, startOf(cmd.Process.Pid)}
	}
	kill := func(cmd *exec.Cmd) {
		cmd.Process.Kill()
		cmd.Wait()
	}
	for _, tt := range []struct {
		name, driver           string
		before, together, want bool
	}{
		{"killed", Journald, false, false, true}, {"with a file", K8sFile, false, false, true},
		{"before the keeper knew of it", Journald, true, false, true}, {"with its container", Journald, false, true, false},
	} {
		b := newBench(t)
		init, initID := sleep()
		pasta, pastaID := sleep()
		r := record()
		r.PID, r.Start, r.Pasta, r.Driver, r.Path = initID.PID, initID.Start, &pastaID, tt.driver, filepath.Join(b.dir, "log")
		if tt.before {
			kill(pasta)
		}
		read, write := pipes(t)
		if err := b.keep(r, read); err != nil {
			t.Fatal(err)
		}
		if tt.together {
			kill(init)
		}
		kill(pasta)
		b.steps()
		got := b.entries()
		if tt.want != (len(got) == 1) || tt.want && (!strings.Contains(got[0], "USER_UNIT=web.service\n") || !strings.Contains(got[0], fmt.Sprintf("pasta (process %d)", pastaID.PID))) {
			t.Errorf("%s: %q", tt.name, got)
		}
		kill(init)
		write[0].Close()
		write[1].Close()
		b.steps()
		if len(b.k.containers) != 0 || len(b.k.watched) > 2 { // the listener, and perhaps the journal
			t.Errorf("%s: left: %d containers, %d watched", tt.name, len(b.k.containers), len(b.k.watched))
		}
	}
}

// TestGuard: a container whose engine is killed between the hand-over and the start is killed too; one that has been started
// is not, and neither is another process that has its PID.
func TestGuard(t *testing.T) {
	for _, tt := range []struct {
		name    string
		bare    bool // nothing else is kept
		started bool
		other   bool
		killed  bool
	}{
		{"lost", false, false, false, true}, {"started", false, true, false, false}, {"another process by now", false, false, true, false},
		{"lost, bare", true, false, false, true}, {"started, bare", true, true, false, false}, {"another process by now, bare", true, false, true, false},
	} {
		b := newBench(t)
		cmd := exec.Command("sleep", "1000")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		r := record()
		r.PID, r.Start, r.Guard = cmd.Process.Pid, startOf(cmd.Process.Pid), true
		if tt.other {
			r.Start++
		}
		conn, err := Dial(b.socket())
		if err != nil {
			t.Fatal(err)
		}
		if tt.bare {
			err = conn.Guard(r.PID, r.Start)
		} else {
			read, _ := pipes(t)
			if err = conn.Keep(r, read...); err == nil {
				b.steps()
				err = conn.Wait(context.Background())
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		if tt.started {
			if err := conn.Started(); err != nil {
				t.Fatal(err)
			}
			if !tt.bare { // else the keeper hears all of it when the engine has ended
				b.steps()
			}
		}
		if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("%s: killed too early: %v", tt.name, err)
		}
		conn.Close()
		b.steps()
		if !tt.killed {
			cmd.Process.Signal(syscall.SIGTERM)
		}
		cmd.Wait()
		want := syscall.SIGTERM
		if tt.killed {
			want = syscall.SIGKILL
		}
		if got := cmd.ProcessState.Sys().(syscall.WaitStatus).Signal(); got != want {
			t.Errorf("%s: ended by %v, want %v", tt.name, got, want)
		}
	}
}

// kill ends the keeper as SIGKILL does: its descriptors go, and nothing else happens. The next one gets what was stored.
func (b *bench) kill(stored []int, names ...string) {
	b.t.Helper()
	for fd := range b.k.watched {
		unix.Close(int(fd))
	}
	closeAll([]int{b.k.epoll, b.k.scratch[0], b.k.scratch[1], b.k.null, b.k.wake})
	b.k.epoll, b.k.listener, b.k.scratch, b.k.null, b.k.wake = -1, -1, [2]int{-1, -1}, -1, -1
	b.k = b.keeper()
	var again []int
	for _, fd := range stored {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			b.t.Fatal(err)
		}
		again = append(again, dup)
	}
	slices.Reverse(again) // the store keeps no order
	if len(names) == 0 {
		names = []string{testID}
	}
	by := map[string][]int{}
	for i, fd := range again { // as many for each
		name := names[len(names)-1-i*len(names)/len(again)]
		by[name] = append(by[name], fd)
	}
	b.k.Restore(by)
}

func TestKilled(t *testing.T) {
	b := newBench(t)
	read, write := pipes(t)
	if err := b.keep(record(), read); err != nil {
		t.Fatal(err)
	}
	_, stored := b.notes()
	defer func() { closeAll(stored) }()
	fmt.Fprint(write[0], "one\ntw")
	b.steps()
	b.kill(stored)
	fmt.Fprint(write[0], "o\n")
	fmt.Fprint(write[1], "error\n")
	b.steps()
	got := b.entries()
	if !slices.Equal(messages(got), []string{"one", "two", "error"}) || !strings.HasPrefix(got[2], "PRIORITY=3\n") {
		t.Errorf("%q", got)
	}
	// Asked again for what it has, by an engine that got no answer.
	if err := b.keep(record(), read); err != nil {
		t.Error(err)
	}
	if notes, _ := b.notes(); len(notes) != 0 {
		t.Errorf("stored twice: %q", notes)
	}
	write[0].Close()
	write[1].Close()
	b.kill(stored) // before it sees the end
	b.steps()
	if notes, _ := b.notes(); len(notes) != 1 || len(b.k.containers) != 0 {
		t.Errorf("%q, %d containers", notes, len(b.k.containers))
	}
}

// TestKilledBeforeTaking: what was handed on but not taken out of the pipe comes again, whole.
func TestKilledBeforeTaking(t *testing.T) {
	b := newBench(t)
	read, write := pipes(t)
	if err := b.keep(record(), read); err != nil {
		t.Fatal(err)
	}
	_, stored := b.notes()
	defer func() { closeAll(stored) }()
	fmt.Fprint(write[0], "one\ntwo\n")
	data, _, err := b.k.peek(b.k.containers[testID].streams[0])
	if err != nil || string(data) != "one\ntwo\n" {
		t.Fatalf("%q, %v", data, err)
	}
	b.kill(stored)
	b.steps()
	if got := messages(b.entries()); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("%q", got)
	}
}

// TestStartedAgain: a container that is started again, with the ID that it had, while what it wrote last is still in its pipes:
// nothing of either run is lost, however often the keeper is killed.
func TestStartedAgain(t *testing.T) {
	b := newBench(t)
	b.journal.Close()
	os.Remove(filepath.Join(b.dir, "journal", "socket"))
	run := func(start uint64) (Record, []*os.File, []*os.File) {
		r := record()
		r.PID, r.Start = 1<<22+1, start
		read, write := pipes(t)
		if err := b.keep(r, read); err != nil {
			t.Fatal(err)
		}
		return r, read, write
	}
	_, _, write := run(5)
	fmt.Fprint(write[0], "last words\n")
	write[0].Close()
	write[1].Close()
	b.steps()
	again, read, write := run(9)
	fmt.Fprint(write[0], "first words\n")
	b.steps()
	notes, stored := b.notes()
	defer func() { closeAll(stored) }()
	const store = "FDSTORE=1\nFDPOLL=0\nFDNAME="
	if !slices.Equal(notes, []string{store + testID, store + testID + ".9"}) || len(stored) != 6 {
		t.Fatalf("stored %q with %d files", notes, len(stored))
	}
	b.kill(stored, testID, testID+".9")
	if err := b.keep(again, read); err != nil { // once more, by an engine that got no answer
		t.Error(err)
	}
	if notes, _ := b.notes(); len(notes) != 0 || len(b.k.containers) != 2 || b.k.newest(testID, ours).record.Start != 9 {
		t.Errorf("taken twice: %q, %d containers", notes, len(b.k.containers))
	}
	b.journal = b.listen(filepath.Join(b.dir, "journal", "socket"))
	b.k.unblock()
	b.steps()
	got := messages(b.entries())
	if slices.Sort(got); !slices.Equal(got, []string{"first words", "last words"}) {
		t.Errorf("%q", got)
	}
	if notes, _ := b.notes(); !slices.Equal(notes, []string{"FDSTOREREMOVE=1\nFDNAME=" + testID}) || len(b.k.containers) != 1 {
		t.Errorf("forgotten %q, %d containers", notes, len(b.k.containers))
	}
	if _, err := write[0].WriteString("more\n"); err != nil {
		t.Error(err)
	}
	b.steps()
	if got := messages(b.entries()); !slices.Equal(got, []string{"more"}) {
		t.Errorf("%q", got)
	}
}

// TestBusyJournal: a journal that does not read holds the lines up, and nothing is lost.
func TestBusyJournal(t *testing.T) {
	b := newBench(t)
	read, write := pipes(t)
	if err := b.keep(record(), read); err != nil {
		t.Fatal(err)
	}
	const count = 5000
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := range count {
			fmt.Fprintf(write[0], "line %d\n", i)
		}
	})
	for len(b.k.blocked) == 0 {
		if err := b.k.Step(10); err != nil {
			t.Fatal(err)
		}
	}
	all := make(chan []string)
	go func() {
		var got []string
		buf := make([]byte, 4096)
		for len(got) < count {
			n, err := b.journal.Read(buf)
			if err != nil {
				break
			}
			got = append(got, messages([]string{string(buf[:n])})...)
		}
		all <- got
	}()
	for {
		select {
		case got := <-all:
			writer.Wait()
			for i, m := range got {
				if m != fmt.Sprintf("line %d", i) {
					t.Fatalf("line %d is %q", i, m)
				}
			}
			return
		default:
			if err := b.k.Step(10); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestJournalMadeAnew: the journal's socket may be another one later.
func TestJournalMadeAnew(t *testing.T) {
	b := newBench(t)
	read, write := pipes(t)
	if err := b.keep(record(), read); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(write[0], "one\n")
	b.steps()
	b.entries()
	b.journal.Close()
	os.Remove(filepath.Join(b.dir, "journal", "socket"))
	fmt.Fprint(write[0], "two\n")
	b.steps()
	if len(b.k.blocked) != 1 {
		t.Fatalf("%d blocked", len(b.k.blocked))
	}
	b.journal = b.listen(filepath.Join(b.dir, "journal", "socket"))
	b.k.unblock()
	b.steps()
	if got := messages(b.entries()); !slices.Equal(got, []string{"two"}) {
		t.Errorf("%q", got)
	}
}

// TestJournalComesBack: what waits for the journal is sent when it is back, though there is something to do all the time.
func TestJournalComesBack(t *testing.T) {
	b := newBench(t)
	read, write := pipes(t)
	if err := b.keep(record(), read); err != nil {
		t.Fatal(err)
	}
	b.journal.Close()
	os.Remove(filepath.Join(b.dir, "journal", "socket"))
	fmt.Fprint(write[0], "waits\n")
	b.steps()
	if len(b.k.blocked) != 1 {
		t.Fatalf("%d blocked", len(b.k.blocked))
	}
	b.journal = b.listen(filepath.Join(b.dir, "journal", "socket"))
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		fmt.Fprint(write[0], "more\n") // so that the wait for events never ends without one
		if err := b.k.Step(-1); err != nil {
			t.Fatal(err)
		}
		if got := messages(b.entries()); len(got) > 0 {
			if got[0] != "waits" {
				t.Errorf("the first line is %q", got[0])
			}
			return
		}
	}
	t.Error("nothing is sent while the container writes")
}

// TestLongLine: a line longer than a pipe comes in parts, and nothing hangs.
func TestLongLine(t *testing.T) {
	b := newBench(t)
	read, write := pipes(t)
	if err := b.keep(record(), read); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("0123456789", 20000)
	done := make(chan struct{})
	go func() { fmt.Fprint(write[0], long+"\nnext\n"); close(done) }()
	var got []string
	for len(got) == 0 || got[len(got)-1] != "next" {
		if err := b.k.Step(100); err != nil {
			t.Fatal(err)
		}
		entries := b.entries()
		for _, e := range entries {
			if part := strings.Contains(e, "CONTAINER_PARTIAL_MESSAGE=true\n"); part && len(messages([]string{e})[0]) != lineMax {
				t.Errorf("a part of %d bytes", len(messages([]string{e})[0]))
			}
		}
		got = append(got, messages(entries)...)
	}
	<-done
	if joined := strings.Join(got, ""); joined != long+"next" {
		t.Errorf("%d bytes came, want %d", len(joined), len(long)+4)
	}
}

// TestSmallPipe: pipes of few pages, or with pages of few bytes, are full early.
func TestSmallPipe(t *testing.T) {
	b := newBench(t)
	read, write := pipes(t)
	if _, err := unix.FcntlInt(write[0].Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	if err := b.keep(record(), read); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		fmt.Fprint(write[0], strings.Repeat("x", 9000)+"\n")
		for range 20 {
			fmt.Fprint(write[1], strings.Repeat("y", 2500)) // each on a page of its own
		}
		fmt.Fprint(write[1], "\n")
		close(done)
	}()
	end := time.Now().Add(30 * time.Second)
	x, y := 0, 0
	for x+y < 59000 && time.Now().Before(end) {
		if err := b.k.Step(50); err != nil {
			t.Fatal(err)
		}
		for _, m := range messages(b.entries()) {
			x += strings.Count(m, "x")
			y += strings.Count(m, "y")
		}
	}
	if x != 9000 || y != 50000 {
		t.Fatalf("%d and %d bytes came; the writer stands still", x, y)
	}
	<-done
}

// TestLoudNeighbour: one that writes without pause does not keep the others from being heard.
func TestLoudNeighbour(t *testing.T) {
	b := newBench(t)
	read, write := pipes(t)
	if err := b.keep(record(), read); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		block := strings.Repeat("loud\n", 1000)
		for {
			select {
			case <-stop:
				return
			default:
				fmt.Fprint(write[0], block)
			}
		}
	})
	drained := make(chan struct{})
	heard := make(chan struct{})
	go func() { // a journal that is quick
		defer close(drained)
		buf := make([]byte, 1<<16)
		for {
			n, err := b.journal.Read(buf)
			if err != nil {
				return
			}
			if bytes.Contains(buf[:n], []byte("MESSAGE=soft")) {
				close(heard)
			}
		}
	}()
	for range 100 {
		b.k.Step(10)
	}
	fmt.Fprint(write[1], "soft\n")
	limit := time.Now().Add(30 * time.Second)
	for quiet := true; quiet; {
		select {
		case <-heard:
			quiet = false
		default:
			b.k.Step(10)
			if time.Now().After(limit) {
				t.Error("it was not heard")
				quiet = false
			}
		}
	}
	close(stop)
	for done := false; !done; {
		b.k.Step(1)
		writers := make(chan struct{})
		go func() { wg.Wait(); close(writers) }()
		select {
		case <-writers:
			done = true
		default:
		}
	}
	b.journal.Close()
	<-drained
}

func TestRefused(t *testing.T) {
	b := newBench(t)
	read, _ := pipes(t)
	r := record()
	r.Driver = "paper"
	if err := b.keep(r, read); err == nil || err.Error() != `keeper: unknown log driver "paper"` {
		t.Errorf("got %v", err)
	}
	if notes, _ := b.notes(); len(notes) != 0 || len(b.k.containers) != 0 {
		t.Errorf("%q, %d containers", notes, len(b.k.containers))
	}
	conn, err := Dial(b.socket())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, text := range []string{"{}", "nonsense"} {
		if err := unix.Send(conn.fd, []byte(text), 0); err != nil {
			t.Fatal(err)
		}
		b.steps()
		if err := conn.Wait(context.Background()); err == nil || !strings.HasPrefix(err.Error(), "keeper: ") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := Dial(filepath.Join(b.dir, "none")); !errors.Is(err, ErrNone) {
		t.Errorf("got %v", err)
	}
}

// TestKeeperEndsBeforeTold: one to whom the connection leads no more has ended, and what was to be sent to it is for the next one.
func TestKeeperEndsBeforeTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	listener := listenAt(t, path)
	defer unix.Close(listener)
	read, _ := pipes(t)
	for _, unread := range []bool{false, true} {
		for how, tell := range map[string]func(*Conn) error{
			"keep":  func(c *Conn) error { return c.Keep(record(), read...) },
			"await": func(c *Conn) error { return c.AwaitHealthy(t.Context(), testID) },
			"type":  func(c *Conn) error { return c.Type([]byte("a")) },
		} {
			c, err := Dial(path)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if unread {
				if err := c.Started(); err != nil {
					t.Fatal(err)
				}
			}
			fd, _, err := unix.Accept(listener)
			if err != nil {
				t.Fatal(err)
			}
			unix.Close(fd)
			if err := tell(c); !errors.Is(err, ErrLost) {
				t.Errorf("%s, something unread %t: %v", how, unread, err)
			}
		}
	}
}

// TestFullQueue: whoever comes when too many wait to be let in does not wait for ever.
func TestFullQueue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	defer unix.Close(listenAt(t, path))
	result := make(chan error, 1)
	go func() {
		for {
			c, err := dial(path, 100*time.Millisecond)
			if err != nil {
				result <- err
				return
			}
			defer c.Close()
			if tv, err := unix.GetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO); err != nil || *tv != (unix.Timeval{}) {
				result <- fmt.Errorf("what is sent later is bound: %v, %w", tv, err)
				return
			}
		}
	}()
	select {
	case err := <-result:
		if !strings.Contains(err.Error(), "not let in within 100ms") {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits for ever")
	}
}

func TestStrangeStore(t *testing.T) {
	b := newBench(t)
	read, _ := pipes(t)
	var fds []int
	for _, f := range read { // theirs are closed
		fd, err := unix.Dup(int(f.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
	}
	b.k.Restore(map[string][]int{"what": fds[:1], testID: fds[1:]})
	if len(b.k.containers) != 0 {
		t.Errorf("%d containers", len(b.k.containers))
	}
	if notes, _ := b.notes(); len(notes) != 1 || !strings.HasSuffix(notes[0], "FDNAME=what") {
		t.Errorf("%q", notes)
	}
}

// TestNoFilesLeft: that it cannot be looked at is not the end of a process.
func TestNoFilesLeft(t *testing.T) {
	running := func(t *testing.T) (*exec.Cmd, Record) {
		cmd := exec.Command("sleep", "1000")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		r := record()
		r.PID, r.Start, r.Streams = cmd.Process.Pid, startOf(cmd.Process.Pid), nil
		return cmd, r
	}
	t.Run("handed over", func(t *testing.T) {
		b := newBench(t)
		_, r := running(t)
		memory, err := remember(&r)
		if err != nil {
			t.Fatal(err)
		}
		nofiles.During(t, func() { err = b.k.adopt(testID, &r, memory, nil) })
		if !errors.Is(err, unix.EMFILE) || len(b.k.containers) > 0 {
			t.Errorf("%d containers, %v", len(b.k.containers), err)
		}
	})
	t.Run("restored", func(t *testing.T) {
		b := newBench(t)
		_, r := running(t)
		memory, err := remember(&r)
		if err != nil {
			t.Fatal(err)
		}
		nofiles.During(t, func() { b.k.Restore(map[string][]int{testID: {memory}}) })
		if err := b.k.Step(0); !errors.Is(err, unix.EMFILE) { // the next keeper finds it
			t.Errorf("it goes on: %v", err)
		}
		if notes, _ := b.notes(); len(notes) > 0 {
			t.Errorf("%q", notes)
		}
	})
	t.Run("of a newer version", func(t *testing.T) {
		b := newBench(t)
		_, r := running(t)
		nofiles.During(t, func() { b.k.shelve([]string{testID}, &r, nil) })
		if notes, _ := b.notes(); len(notes) > 0 || !b.k.shelved[testID] {
			t.Errorf("%q", notes)
		}
	})
	t.Run("a pledge", func(t *testing.T) {
		b := newBench(t)
		cmd, r := running(t)
		conn, err := Dial(b.socket())
		if err == nil {
			err = conn.Guard(r.PID, r.Start)
		}
		if err != nil {
			t.Fatal(err)
		}
		b.steps()
		conn.Close()
		nofiles.During(t, b.steps)
		cmd.Process.Signal(unix.SIGTERM)
		if cmd.Wait(); cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
			t.Errorf("it is not kept: %v", cmd.ProcessState)
		}
	})
}

// TestProcess: a number that is another process's now, or a thread's, or nobody's, is a process that has ended.
func TestProcess(t *testing.T) {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	self := Process{os.Getpid(), startOf(os.Getpid())}
	gone := []Process{{}, {self.PID, self.Start + 1}, {1<<22 + 1, 5}}
	for _, thread := range threads {
		if tid, err := strconv.Atoi(thread.Name()); err == nil && tid != self.PID {
			gone = append(gone, Process{tid, 1})
		}
	}
	for _, p := range gone {
		if _, err := p.open(); !errors.Is(err, errGone) {
			t.Errorf("%+v: %v", p, err)
		}
	}
	fd, err := self.open()
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
}

// TestForeignRecord: what the keeper cannot serve stays in the store until those are gone to whom it belongs, and no longer. A run
// of the same container is kept beside it.
func TestForeignRecord(t *testing.T) {
	id := func(digit string) string { return strings.Repeat(digit, 64) }
	newer := func(pid int) string {
		return fmt.Sprintf(`{"version":99,"id":%q,"pid":%d,"start":%d}`, testID, pid, startOf(pid))
	}
	for name, tt := range map[string]struct {
		text  string // of the record; a PID for %d
		pipe  bool
		alive bool
		stays bool
	}{
		"no record":          {"", true, false, true},
		"no record, no pipe": {"", false, false, false},
		"damaged":            {"{", true, false, true},
		"newer":              {newer(os.Getpid()), true, true, true},
		"newer, no pipe":     {newer(os.Getpid()), false, true, true},
		"newer, gone":        {`{"version":99,"pid":1,"start":1}`, false, false, false},
		"half of a terminal": {`{"id":"` + id("a") + `","driver":"journald","streams":[{"name":"terminal"}]}`, false, false, false},
	} {
		b := newBench(t)
		fds, w := []int{}, (*os.File)(nil)
		if tt.text != "" {
			memory, err := unix.MemfdCreate("record", unix.MFD_CLOEXEC)
			if err == nil {
				_, err = unix.Pwrite(memory, []byte(tt.text), 0)
			}
			if err != nil {
				t.Fatal(err)
			}
			fds = append(fds, memory)
		}
		if tt.pipe {
			read, write := pipes(t)
			fd, err := unix.Dup(int(read[0].Fd()))
			if err != nil {
				t.Fatal(err)
			}
			fds, w = append(fds, fd), write[0]
		}
		b.k.Restore(map[string][]int{testID: fds})
		b.steps()
		forget := []string{"FDSTOREREMOVE=1\nFDNAME=" + testID}
		notes, _ := b.notes()
		if stays := len(notes) == 0; stays != tt.stays || !stays && !slices.Equal(notes, forget) {
			t.Errorf("%s: %q", name, notes)
		}
		if got := b.k.freeName(&Record{ID: testID, Start: 7}); (got != testID) != tt.stays {
			t.Errorf("%s: the next run is kept as %s", name, got)
		}
		if w != nil {
			w.Close()
			b.steps()
		}
		notes, _ = b.notes()
		if gone := slices.Equal(notes, forget); gone != (tt.stays && !tt.alive) {
			t.Errorf("%s, at the end: %q", name, notes)
		}
		if !tt.alive && len(b.k.watched) != 1 {
			t.Errorf("%s: %d are watched", name, len(b.k.watched))
		}
	}
}

// TestForeignInput: the standard input of what cannot be served goes from the store with the rest.
func TestForeignInput(t *testing.T) {
	for name, stored := range map[string]string{"newer": testID, "no name of ours": "what"} {
		b := newBench(t)
		memory, err := unix.MemfdCreate("record", unix.MFD_CLOEXEC)
		if err == nil {
			_, err = unix.Pwrite(memory, []byte(`{"version":99}`), 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		b.k.Restore(map[string][]int{stored: {memory}, stored + inputSuffix: b.given()})
		b.steps()
		notes, _ := b.notes()
		if slices.Sort(notes); !slices.Equal(notes, []string{"FDSTOREREMOVE=1\nFDNAME=" + stored, "FDSTOREREMOVE=1\nFDNAME=" + stored + inputSuffix}) {
			t.Errorf("%s: %q", name, notes)
		}
	}
}

// FuzzRestore: whatever lies in the manager's store under the name of a container, the keeper goes on, and what it tells the
// journal and the manager has no more lines than it has fields.
func FuzzRestore(f *testing.F) {
	f.Add(testID, []byte(`{"version":1,"id":"`+testID+`","driver":"journald","identifier":"a\nb","fields":["A=b\nC=d"],"streams":[{"name":"stdout","inode":1}]}`))
	f.Add(testID, []byte(`{"version":2,"id":"`+testID+`","driver":"k8s-file","path":"/dev/null","streams":[{"name":"stdin"},{"name":"terminal"}]}`))
	f.Add("READY=1 MAINPID=1", []byte(`{"version":99}`))
	f.Add(testID, []byte(`{"streams":[{"name":"stdout","inode":18446744073709551615},{}],"health":{"interval":-1}}`))
	f.Fuzz(func(t *testing.T, name string, record []byte) {
		if strings.ContainsFunc(name, unicode.IsControl) {
			return // systemd keeps nothing under such a name
		}
		b := newBench(t)
		memory, err := unix.MemfdCreate("record", unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		defer r.Close()
		pipe, err := unix.FcntlInt(r.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Fstat(pipe, &st); err != nil {
			t.Fatal(err)
		}
		record = bytes.ReplaceAll(record, []byte(`"inode":1}`), fmt.Appendf(nil, `"inode":%d}`, st.Ino))
		if _, err := unix.Write(memory, record); err != nil {
			t.Fatal(err)
		}
		b.k.Restore(map[string][]int{name: {memory, pipe}})
		b.steps()
		w.WriteString("a line\n")
		b.steps()
		notes := make([]byte, 1<<16)
		for b.manager.SetReadDeadline(time.Now().Add(time.Millisecond)) == nil {
			n, err := b.manager.Read(notes)
			if err != nil {
				break
			}
			if lines := strings.Count(string(notes[:n]), "\n"); lines > 2 {
				t.Errorf("told the manager %q", notes[:n])
			}
		}
	})
}

type notice func()

func (n notice) event(*Keeper, uint32) { n() }

// TestEventOfAClosedFile: an event that has been fetched for a file that is closed meanwhile does not reach the one that gets its number.
func TestEventOfAClosedFile(t *testing.T) {
	b := newBench(t)
	var ends [2][2]int
	for i := range ends {
		if err := unix.Pipe2(ends[i][:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(ends[i][1]) })
	}
	late, fresh := 0, -1
	events := []unix.EpollEvent{{Fd: int32(ends[0][0])}, {Fd: int32(ends[1][0])}}
	b.k.watch(ends[1][0], notice(func() { late++ }), unix.EPOLLIN)
	b.k.watch(ends[0][0], notice(func() {
		b.k.closeWatched(ends[1][0])
		if fresh, _ = unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0); fresh == ends[1][0] {
			b.k.watched[int32(fresh)] = notice(func() { late++ })
		}
	}), unix.EPOLLIN)
	if b.k.hand(events); late != 0 || fresh < 0 {
		t.Errorf("%d events of a closed file", late)
	}
	if _, err := unix.FcntlInt(uintptr(ends[1][0]), unix.F_GETFD, 0); err == nil {
		t.Error("it is open still")
	}
	unix.Close(fresh)
	b.k.closeWatched(ends[0][0])
}

func TestWatchdog(t *testing.T) {
	b := newBench(t)
	if pause := b.k.live(); pause != -1 {
		t.Errorf("nobody wants to know: %d", pause)
	}
	b.k.Alive = time.Hour
	for range 2 {
		if pause := time.Duration(b.k.live()) * time.Millisecond; pause < time.Hour-time.Minute || pause > time.Hour+time.Millisecond {
			t.Errorf("again in %v", pause)
		}
	}
	if notes, _ := b.notes(); !slices.Equal(notes, []string{"WATCHDOG=1"}) {
		t.Errorf("told %q", notes)
	}
}

// TestFilesThatTakeTheirTime: the end of a file that somebody has sent may take its time, wherever it is let go of. Nobody else
// is held up by that, and the sender counts as connected as long.
func TestFilesThatTakeTheirTime(t *testing.T) {
	send := func(t *testing.T, c *Conn, text string, files ...int) {
		t.Helper()
		if err := unix.Sendmsg(c.fd, []byte(text), unix.UnixRights(files...), nil, unix.MSG_NOSIGNAL); err != nil {
			t.Fatal(err)
		}
		for _, fd := range files { // the keeper's is the last
			unix.Close(fd)
		}
	}
	attach := fmt.Sprintf(`{"attach":{"id":%q,"wait":true}}`, testID)
	for name, do := range map[string]func(t *testing.T, b *bench, c *Conn){
		"with no request":             func(t *testing.T, _ *bench, c *Conn) { send(t, c, "no request", lingering(t)) },
		"with one that takes none":    func(t *testing.T, _ *bench, c *Conn) { send(t, c, attach, lingering(t)) },
		"with one that is not served": func(t *testing.T, _ *bench, c *Conn) { send(t, c, `{"keep":{"id":"x"}}`, lingering(t)) },
		"from one who is attached": func(t *testing.T, b *bench, c *Conn) {
			send(t, c, attach)
			b.steps()
			send(t, c, "ix", lingering(t))
		},
		"never read": func(t *testing.T, b *bench, c *Conn) {
			send(t, c, attach)
			b.steps()
			send(t, c, "no frame")
			send(t, c, "ix", lingering(t))
		},
		"from one who is not let in": func(t *testing.T, b *bench, _ *Conn) {
			path := filepath.Join(b.dir, "guests")
			if err := b.k.Admit(listenAt(t, path)); err != nil {
				t.Fatal(err)
			}
			b.k.guests[uint32(os.Getuid())] = guestConnections
			c, err := Dial(path)
			if err != nil {
				t.Fatal(err)
			}
			send(t, c, attach, lingering(t))
			c.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			read, write := pipes(t)
			if err := b.keep(record(), read); err != nil {
				t.Fatal(err)
			}
			c, err := Dial(b.socket())
			if err != nil {
				t.Fatal(err)
			}
			b.steps()
			begun := time.Now()
			do(t, b, c)
			c.Close()
			fmt.Fprintln(write[0], "of another one")
			b.steps()
			if got := messages(b.entries()); !slices.Equal(got, []string{"of another one"}) || time.Since(begun) > 5*time.Second {
				t.Errorf("%q after %s", got, time.Since(begun))
			}
		})
	}
}
