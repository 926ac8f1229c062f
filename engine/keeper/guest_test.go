package keeper

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// guestBench is a keeper for which this process, and its parent, are in units: the parent is a container's PID 1.
type guestBench struct {
	*bench
	peer      peer
	container int
}

func newGuestBench(t *testing.T) *guestBench {
	b := &guestBench{bench: newBench(t), container: os.Getppid()}
	b.k.Proc, b.k.Cgroups = filepath.Join(b.dir, "proc"), filepath.Join(b.dir, "cgroup")
	b.peer = peer{guest: true, uid: uint32(os.Getuid()), gid: uint32(os.Getgid()), pid: os.Getpid()}
	b.place(os.Getpid(), "/system.slice/web.service/berth")
	b.place(b.container, "/system.slice/web.service/container")
	return b
}

// place says where a process is.
func (b *guestBench) place(pid int, group string) {
	b.t.Helper()
	dir := filepath.Join(b.k.Proc, strconv.Itoa(pid))
	text := "9:name=systemd:/\n0::" + group + "\n"
	for _, d := range []string{dir, filepath.Join(b.k.Cgroups, group)} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup"), []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *guestBench) record() *Record {
	return &Record{
		ID: strings.Repeat("a", 64), Name: "web", PID: b.container, Start: startOf(b.container), Unit: "sshd.service", Driver: Journald,
		Streams: []Stream{{Name: streamStdout}},
	}
}

func (b *bench) pipe() int {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { closeAll(fds[:]) })
	return fds[0]
}

// given is a pipe that becomes the keeper's.
func (b *bench) given() []int {
	fd, err := unix.FcntlInt(uintptr(b.pipe()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	return []int{fd}
}

func (b *guestBench) file() int {
	f, err := os.Create(filepath.Join(b.t.TempDir(), "file"))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { f.Close() })
	return int(f.Fd())
}

func TestGuestMayHaveHisOutputRead(t *testing.T) {
	b := newGuestBench(t)
	r := b.record()
	r.Fields, r.Namespace = []string{"APP=x"}, "web"
	r.Health = &Health{Runtime: []string{"/usr/bin/crun"}, Dir: "/run/x", Interval: 1, LogCount: 0, LogSize: 1 << 30}
	if err := b.k.vet(b.peer, r, []int{b.pipe()}); err != nil {
		t.Fatal(err)
	}
	if r.Unit != "web.service" || r.Guest == nil || r.Guest.UID != b.peer.uid || r.Guest.Group != "system.slice/web.service/berth" {
		t.Errorf("taken as %q of %+v", r.Unit, r.Guest)
	}
	if h := r.Health; h.Interval != time.Second || h.Timeout != time.Second || h.Retries != 1 || h.LogCount != 32 || h.LogSize != 4096 {
		t.Errorf("probed as %+v", h)
	}
	// One that has ended meanwhile: its last lines are still the unit's.
	r = b.record()
	r.PID, r.Start = 1<<22+1, 5
	if err := b.k.vet(b.peer, r, []int{b.pipe()}); err != nil || r.Unit != "web.service" || r.PID != 0 || r.Start != 0 {
		t.Errorf("one that has ended: %d of %q, %v", r.PID, r.Unit, err)
	}
	// Root may say what it likes, but not that it is a guest.
	r = b.record()
	r.Guest = &Guest{UID: 5}
	if err := b.k.vet(peer{}, r, []int{b.pipe()}); err != nil || r.Guest != nil || r.Unit != "sshd.service" {
		t.Errorf("root: %+v, %v", r, err)
	}
}

func TestGuestIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(b *guestBench, r *Record)
		want  string
	}{
		"a file to be written": {func(_ *guestBench, r *Record) { r.Driver, r.Path = K8sFile, "/etc/passwd" }, "and nowhere else"},
		"a path":               {func(_ *guestBench, r *Record) { r.Path = "/etc/passwd" }, "and nowhere else"},
		"another unit's lines": {func(_ *guestBench, r *Record) { r.Fields = []string{"OBJECT_SYSTEMD_UNIT=sshd.service"} }, "is not for users"},
		"a field in a field":   {func(_ *guestBench, r *Record) { r.Fields = []string{"A\nOBJECT_SYSTEMD_UNIT=sshd.service"} }, "is not for users"},
		"a trusted field":      {func(_ *guestBench, r *Record) { r.Fields = []string{"_UID=0"} }, "is not for users"},
		"a path as namespace":  {func(_ *guestBench, r *Record) { r.Namespace = "../../home/x" }, "no namespace"},
		"a terminal":           {func(_ *guestBench, r *Record) { r.Streams[0].Name = streamTerminal }, "is not for users"},
		"an input":             {func(_ *guestBench, r *Record) { r.Streams[0].Name = streamStdin }, "is not for users"},
		"another's unit":       {func(b *guestBench, _ *Record) { b.peer.uid++ }, "in no unit of the system's"},
		"no unit":              {func(b *guestBench, _ *Record) { b.place(b.peer.pid, "/user.slice/session-1.scope") }, "in no unit of the system's"},
		"his own manager": {func(b *guestBench, _ *Record) {
			b.place(b.peer.pid, "/user.slice/user@5.service/app.slice/web.service")
		}, "in no unit of the system's"},
		"out of the tree":     {func(b *guestBench, _ *Record) { b.place(b.peer.pid, "/../web.service") }, "in no unit of the system's"},
		"a process elsewhere": {func(b *guestBench, _ *Record) { b.place(b.container, "/system.slice/other.service/container") }, "is not in web.service"},
		"a runtime anywhere":  {func(_ *guestBench, r *Record) { r.Health = &Health{Runtime: []string{"crun"}, Dir: "/run/x"} }, "without a runtime"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newGuestBench(t)
			r := b.record()
			tt.spoil(b, r)
			if err := b.k.vet(b.peer, r, []int{b.pipe()}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	b := newGuestBench(t)
	if err := b.k.vet(b.peer, b.record(), []int{b.file()}); err == nil || !strings.Contains(err.Error(), "is no pipe") {
		t.Errorf("a file as output: %v", err)
	}
	fifo := filepath.Join(b.dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	named, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer named.Close()
	if err := b.k.vet(b.peer, b.record(), []int{int(named.Fd())}); err == nil || !strings.Contains(err.Error(), "is no pipe") {
		t.Errorf("a pipe in a file system of his: %v", err)
	}
	for i := range guestContainers {
		id := fmt.Sprintf("%064d", i)
		b.k.containers[id] = &container{record: &Record{ID: id, Guest: &Guest{UID: b.peer.uid}}}
	}
	if err := b.k.vet(b.peer, b.record(), []int{b.pipe()}); err == nil || !strings.Contains(err.Error(), "containers already") {
		t.Errorf("one too many: %v", err)
	}
	for _, c := range b.k.containers { // the unit's group can be another's: he is several users
		c.record.Guest.UID++
		c.record.Unit = "web.service"
	}
	if err := b.k.vet(b.peer, b.record(), []int{b.pipe()}); err == nil || !strings.Contains(err.Error(), "containers already") {
		t.Errorf("one too many of a unit: %v", err)
	}
}

// What only root, or a user's own keeper, does is not done for a guest; the same is done for the others.
func TestGuestMayNotAsk(t *testing.T) {
	b := newGuestBench(t)
	const refused = "users may not ask"
	for _, request := range []string{`{"attach":{"id":"x"}}`, `{"ended":{"id":"x"}}`} {
		_, err := b.k.serve(&caller{fd: -1, peer: b.peer}, []byte(request), nil)
		if err == nil || !strings.Contains(err.Error(), refused) {
			t.Errorf("%s: %v", request, err)
		}
		if _, err = b.k.serve(&caller{fd: -1}, []byte(request), nil); err != nil && strings.Contains(err.Error(), refused) {
			t.Errorf("%s is refused to all", request)
		}
	}
	other := &container{record: &Record{ID: "o", Guest: &Guest{UID: b.peer.uid + 1}}, health: &health{}}
	b.k.containers["o"] = other
	if err := b.k.ask(&caller{fd: -1, peer: b.peer}, "o", true); err == nil {
		t.Error("a guest may ask for another's health")
	}
	if err := b.k.ask(&caller{fd: -1, peer: peer{guest: true, uid: b.peer.uid + 1}}, "o", true); err != nil {
		t.Error(err)
	}
}

func TestGuestConnections(t *testing.T) {
	b := newGuestBench(t)
	for range guestConnections {
		if !b.k.admit(b.peer) {
			t.Fatal("one of those that are allowed is not let in")
		}
	}
	if b.k.admit(b.peer) {
		t.Error("one too many is let in")
	}
	if !b.k.admit(peer{guest: true, uid: b.peer.uid + 1}) || !b.k.admit(peer{}) {
		t.Error("others have to wait for that")
	}
	for range guestConnections {
		b.k.leave(b.peer)
	}
	if b.k.leave(peer{guest: true, uid: b.peer.uid + 1}); len(b.k.guests) != 0 {
		t.Errorf("counted still: %v", b.k.guests)
	}
}

func TestJoin(t *testing.T) {
	b := newGuestBench(t)
	procs := filepath.Join(b.k.Cgroups, "system.slice/web.service/berth/cgroup.procs")
	j := &Process{PID: b.container, Start: startOf(b.container)}
	b.place(b.peer.pid, "/user.slice/session-1.scope")
	if err := os.WriteFile(procs, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := b.k.join(b.peer, j); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(procs); string(data) != strconv.Itoa(b.peer.pid) {
		t.Errorf("moved %q", data)
	}
	if err := os.Truncate(procs, 0); err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func() error{
		"another's container":        func() error { p := b.peer; p.uid++; return b.k.join(p, j) },
		"a container that has ended": func() error { return b.k.join(b.peer, &Process{PID: j.PID, Start: j.Start + 1}) },
		"a process that has ended":   func() error { p := b.peer; p.pid = 1<<22 + 1; return b.k.join(p, j) },
		"one who is no guest":        func() error { return b.k.join(peer{}, j) },
	} {
		if err := try(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	b.place(b.container, "/user.slice/session-2.scope")
	if err := b.k.join(b.peer, j); err == nil {
		t.Error("a container in no unit: no error")
	}
	if data, _ := os.ReadFile(procs); len(data) != 0 {
		t.Errorf("moved %q", data)
	}
}

// TestGuestPledges: the keeper kills nothing for a guest that is not in his unit.
func TestGuestPledges(t *testing.T) {
	b := newGuestBench(t)
	self := os.Getpid()
	b.place(self, "/system.slice/other.service/container")
	c := &caller{peer: b.peer}
	c.peer.pid = b.container // who asks is in web.service
	for _, tt := range []struct {
		p    Process
		took bool
	}{
		{Process{b.container, startOf(b.container)}, true}, {Process{b.container, startOf(b.container) + 1}, false},
		{Process{self, startOf(self)}, false}, {Process{1, startOf(1)}, false}, {Process{}, false},
	} {
		c.owes(Process{})
		if err := b.k.guard(c, &tt.p); (c.pledge != pledge{}) != tt.took {
			t.Errorf("%+v: %+v, %v", tt.p, c.pledge, err)
		}
	}
}

// A process that a guest names before it is there is not killed in his name, nor followed by a later keeper: one that is there,
// and in his unit, is.
func TestGuestNamesAProcess(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(r *Record)
		taken bool
	}{
		"his own":       {func(*Record) {}, true},
		"one to come":   {func(r *Record) { r.Start++ }, false},
		"at any time":   {func(r *Record) { r.Start = 0 }, false},
		"PID 1":         {func(r *Record) { r.PID, r.Start = 1, startOf(1) }, false},
		"a free number": {func(r *Record) { r.PID, r.Start = 1<<22+1, 5 }, false},
	} {
		b := newGuestBench(t)
		r := b.record()
		tt.spoil(r)
		asked := *r
		data, err := json.Marshal(request{Keep: r, Guard: true})
		if err != nil {
			t.Fatal(err)
		}
		c := &caller{fd: -1, peer: b.peer}
		if _, err := b.k.serve(c, data, b.given()); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := Process{}
		if tt.taken {
			want = asked.process()
		}
		kept := b.k.newest(r.ID, b.peer.owner()).record
		if c.pledge.process != want || kept.process() != want {
			t.Errorf("%s: owes %+v, kept as %d of %d, want %+v", name, c.pledge, kept.PID, kept.Start, want)
		}
		root := &caller{fd: -1}
		if _, err := b.k.serve(root, data, b.given()); err != nil || root.pledge.process != want {
			t.Errorf("%s: root is not believed: %+v, %v", name, root.pledge, err)
		}
	}
}

func TestGuestIsFollowedInHisUnit(t *testing.T) {
	b := newGuestBench(t)
	followed := func(r *Record) bool {
		c := &container{record: r, pidfd: -1}
		b.k.follow(c)
		if c.pidfd >= 0 {
			b.k.closeWatched(c.pidfd)
		}
		return c.pidfd >= 0
	}
	r := b.record()
	r.Guest = &Guest{UID: b.peer.uid, Group: "system.slice/web.service/berth"}
	if !followed(r) {
		t.Error("his container is not followed")
	}
	b.place(b.container, "/system.slice/web.service.d/container")
	if followed(r) {
		t.Error("a process in no unit is followed")
	}
	b.place(b.container, "/system.slice/other.service/container")
	if followed(r) {
		t.Error("a process of another unit is followed")
	}
	if r.Guest = nil; !followed(r) {
		t.Error("root is not believed")
	}
}

// TestMain lets this program be the keeper that does an errand.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{"--guest", "--probe", "--last"}, os.Args[1]) {
		fmt.Println(Errand(os.Args[1:]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// cgroup2Dir makes a control group.
func cgroup2Dir(t *testing.T) (root, name string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("making control groups needs root")
	}
	name = fmt.Sprintf("berth-keeper-test-%d", os.Getpid())
	for _, root = range []string{cgroupMount, cgroupMount + "/unified"} {
		if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil {
			continue
		}
		if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil {
			t.Skip("no control group can be made: ", err)
		}
		t.Cleanup(func() { os.Remove(filepath.Join(root, name)) })
		return root, name
	}
	t.Skip("there are no control groups of version 2")
	return "", ""
}

// A guest who freezes his unit stops what is done for him there, and not the keeper.
func TestFrozenGuest(t *testing.T) {
	root, group := cgroup2Dir(t)
	freeze := func(how string) {
		if err := os.WriteFile(filepath.Join(root, group, "cgroup.freeze"), []byte(how), 0); err != nil {
			t.Fatal(err)
		}
	}
	b := newGuestBench(t)
	b.k.Cgroups = root
	var err error
	if b.k.Self, err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	var out [2]int
	if err := unix.Pipe2(out[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	read := os.NewFile(uintptr(out[0]), "output")
	defer read.Close()
	freeze("1")
	type result struct {
		pid, pidfd int
		err        error
	}
	forked := make(chan result, 1)
	r := &Record{Guest: &Guest{UID: 65534, GID: 65533, Group: group}}
	go func() {
		pid, pidfd, err := b.k.fork(errand{words: []string{"/bin/sh", "-c", "id -u; id -G; cat /proc/self/cgroup"}, output: out[1], guest: r})
		forked <- result{pid, pidfd, err}
	}()
	var p result
	select {
	case p = <-forked:
	case <-time.After(20 * time.Second):
		t.Error("the keeper waits for a frozen group")
		freeze("0")
		p = <-forked
	}
	unix.Close(out[1])
	if p.err != nil {
		t.Fatal(p.err)
	}
	defer unix.Close(p.pidfd)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if data, err := os.ReadFile(filepath.Join(root, group, "cgroup.events")); err == nil && strings.Contains(string(data), "populated 1\nfrozen 1") {
			break
		}
		if time.Now().After(end) {
			t.Error("it does not go into the group")
			break
		}
	}
	if state, err := look(out[0], unix.POLLIN, 0); state != 0 || err != nil {
		t.Error("it works in a frozen group")
	}
	freeze("0")
	text, err := io.ReadAll(read)
	unix.Wait4(p.pid, nil, 0, nil)
	if !strings.HasPrefix(string(text), "65534\n65533\n") || !strings.Contains(string(text), "0::/"+group+"\n") || err != nil {
		t.Errorf("it was\n%s, %v", text, err)
	}
}

func TestErrandsOfAGuestAreFew(t *testing.T) {
	for guest, want := range map[bool]int{true: guestErrands, false: guestErrands + 1} {
		b := newGuestBench(t)
		c := &container{record: &Record{}, errands: guestErrands}
		if guest {
			c.record.Guest = &Guest{}
		}
		b.k.run(c, errand{words: []string{"/bin/true"}})
		if c.errands != want {
			t.Errorf("guest %v: %d errands", guest, c.errands)
		}
		for c.errands > guestErrands {
			if err := b.k.Step(100); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A guest has IDs of his own: neither he nor another, nor root, is in the way of who uses the same one.
func TestGuestHasHisOwnIDs(t *testing.T) {
	b := newGuestBench(t)
	keep := func(p peer, files []int) error {
		r := b.record()
		for i, fd := range files {
			var st unix.Stat_t
			if err := unix.Fstat(fd, &st); err != nil {
				t.Fatal(err)
			}
			r.Streams[i].Inode = st.Ino
		}
		return b.k.keep(&caller{fd: -1, peer: p}, r, files)
	}
	his := b.given()
	again, err := unix.FcntlInt(uintptr(his[0]), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, err := range []error{keep(b.peer, his), keep(peer{}, b.given()), keep(b.peer, []int{again})} {
		if err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	root, guest := b.k.newest(b.record().ID, ours), b.k.newest(b.record().ID, b.peer.owner())
	if len(b.k.containers) != 2 || root == nil || guest == nil || root.record.guest() || !guest.record.guest() {
		t.Errorf("kept: %+v", b.k.containers)
	}
	// The same run, whose process has ended meanwhile.
	r := b.record()
	r.PID, r.Start, r.Guest, r.Streams = 0, 0, guest.record.Guest, slices.Clone(guest.record.Streams)
	if !b.k.kept(r) {
		t.Error("a run that has ended is another one")
	}
	if r.Streams[0].Inode++; b.k.kept(r) {
		t.Error("another run is taken for it")
	}
}

// Of one who has gone nothing stays, and one who asks again and again does not make a container be probed all the time: root does.
func TestGuestAsks(t *testing.T) {
	b := newHealthBench(t, "true", Health{Timeout: time.Minute, Retries: 1, OnFailure: "none"})
	h := b.c.health
	connect := func(p peer) *caller {
		var fds [2]int
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fds[1]) })
		c := &caller{fd: fds[0], peer: p}
		if err := b.k.watch(c.fd, c, unix.EPOLLIN); err != nil {
			t.Fatal(err)
		}
		return c
	}
	root, guest := connect(peer{}), connect(peer{guest: true, uid: uint32(os.Getuid())})
	ask := func(c *caller, first bool) {
		t.Helper()
		if err := b.k.ask(c, testID, first); err != nil {
			t.Fatal(err)
		}
	}
	ask(root, true)
	if err := b.k.ask(root, testID, true); err == nil || len(h.waiting) != 1 {
		t.Errorf("asked twice: %d wait, %v", len(h.waiting), err)
	}
	if root.close(b.k); len(h.waiting) != 0 {
		t.Error("one who has gone waits")
	}
	root = connect(peer{})
	ask(root, false)
	b.until("root had an answer", func() bool { return root.asked == nil && h.pid == 0 })
	ask(root, false)
	if h.pid == 0 {
		t.Error("root has to wait")
	}
	b.until("the probe ended", func() bool { return h.pid == 0 })
	// From here on it is his.
	b.c.record.Guest = &Guest{UID: uint32(os.Getuid())}
	b.k.Cgroups = "/nowhere"
	h.begin = time.Now()
	if ask(guest, false); h.pid != 0 || h.due.IsZero() || time.Until(h.due) > guestProbe || len(h.waiting) != 1 {
		t.Errorf("a guest does not have to wait: %d, %v", h.pid, time.Until(h.due))
	}
	h.waiting, guest.asked, h.begin = nil, nil, time.Now().Add(-2*guestProbe)
	if ask(guest, false); !h.unable {
		t.Error("a guest has to wait for no reason")
	}
	for _, c := range []*caller{root, guest} {
		c.close(b.k)
	}
}

// The journals that users name are let go of.
func TestJournalsOfNamespaces(t *testing.T) {
	b := newGuestBench(t)
	b.listen(filepath.Join(b.dir, "journal.mine", "socket"))
	var ends [2][2]int
	for i := range ends {
		if err := unix.Pipe2(ends[i][:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		r := b.record()
		r.ID, r.Namespace = fmt.Sprintf("%064d", i), "mine"
		if err := b.k.keep(&caller{fd: -1}, r, ends[i][:1]); err != nil {
			t.Fatal(err)
		}
		unix.Write(ends[i][1], []byte("a line\n"))
	}
	b.steps()
	for i, want := range []bool{true, false} {
		unix.Close(ends[i][1])
		b.steps()
		if got := b.k.journals["mine"] != nil; got != want {
			t.Errorf("after %d of 2: %v", i+1, got)
		}
	}
}

// TestGuestCountsUntilAllIsClosed: a guest counts as connected until all that he has sent is closed, or those who close it would be
// more and more.
func TestGuestCountsUntilAllIsClosed(t *testing.T) {
	b := newGuestBench(t)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	c := &caller{fd: pair[0], peer: b.peer}
	b.k.admit(c.peer)
	if err := b.k.watch(c.fd, c, unix.EPOLLIN); err != nil {
		t.Fatal(err)
	}
	slow, end := lingeringUntil(t)
	if err := unix.Sendmsg(pair[1], []byte("no request"), unix.UnixRights(slow), nil, 0); err != nil {
		t.Fatal(err)
	}
	unix.Close(slow)
	b.steps()
	if err := unix.Sendmsg(pair[1], []byte("no request"), unix.UnixRights(b.pipe()), nil, 0); err != nil {
		t.Fatal(err)
	}
	b.steps()
	if n, err := unix.IoctlGetInt(pair[0], unix.TIOCINQ); err != nil || n == 0 {
		t.Errorf("read on while it is closed: %d, %v", n, err)
	}
	c.close(b.k)
	b.steps()
	if b.k.guests[b.peer.uid] != 1 {
		t.Errorf("counted: %v", b.k.guests)
	}
	end()
	for len(b.k.guests) > 0 {
		b.k.Step(100)
	}
	if b.k.foreign != 0 || b.k.dropping != 0 {
		t.Errorf("left: %d files, %d that close them", b.k.foreign, b.k.dropping)
	}
}

// TestGuestsTogether: all guests together cannot use up the keeper's threads, or its descriptors.
func TestGuestsTogether(t *testing.T) {
	b := newGuestBench(t)
	guest := func(n uint32, fd int) *caller {
		c := &caller{fd: fd, peer: peer{guest: true, uid: 1000 + n}}
		if !b.k.admit(c.peer) {
			t.Fatal("not let in")
		}
		return c
	}
	slow, end := lingeringUntil(t)
	b.k.dropping = maxDropping - 1
	guest(1, -1).drop(b.k, []int{slow})
	guest(2, -1).drop(b.k, b.given())
	if len(b.k.undropped) != 1 || len(b.k.guests) != 2 || b.k.foreign != 4 {
		t.Errorf("%d wait to be closed, %d guests, %d files", len(b.k.undropped), len(b.k.guests), b.k.foreign)
	}
	end()
	for len(b.k.guests) > 0 {
		b.k.Step(100)
	}
	if len(b.k.undropped) != 0 || b.k.foreign != 0 || b.k.dropping != maxDropping-1 {
		t.Errorf("left: %d wait to be closed, %d files", len(b.k.undropped), b.k.foreign)
	}
	late := guest(3, b.given()[0])
	b.k.foreign = maxForeign
	if b.k.admit(b.peer) {
		t.Error("one too many is let in")
	}
	if late.event(b.k, unix.EPOLLIN); late.fd != -1 {
		t.Error("more is read")
	}
}

// connectAs connects in a user's name, from a thread that ends with that.
func connectAs(t *testing.T, uid int, path string) *Conn {
	t.Helper()
	var c *Conn
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
			done <- errno
			return
		}
		var err error
		c, err = Dial(path)
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestRefusedGuestLingers: one who is not let in, and whose connection takes its time to end, keeps nobody else out.
func TestRefusedGuestLingers(t *testing.T) {
	b := newGuestBench(t)
	if os.Getuid() != 0 {
		t.Skip("being two users needs root")
	}
	var err error
	if b.k.Self, err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	path := "@" + b.dir // others do not get into the directory
	listener := listenAt(t, path)
	if err := b.k.Admit(listener); err != nil {
		t.Fatal(err)
	}
	b.k.guests[65533] = guestConnections
	first := connectAs(t, 65533, path)
	slow := lingering(t)
	if err := unix.Sendmsg(first.fd, []byte("x"), unix.UnixRights(slow), nil, 0); err != nil {
		t.Fatal(err)
	}
	unix.Close(slow)
	first.Close()
	b.steps()
	second := connectAs(t, 65534, path)
	if err := second.send(request{Ended: &Ended{}}); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	for {
		if state, err := look(second.fd, unix.POLLIN, 0); err != nil {
			t.Fatal(err)
		} else if state != 0 {
			break
		}
		if err := b.k.Step(100); err != nil {
			t.Fatal(err)
		}
		if time.Since(begun) > 10*time.Second {
			t.Fatal("a guest has to wait for another one")
		}
	}
	if _, err := second.receive(t.Context(), time.Second); err != nil {
		t.Error(err)
	}
}

// TestDoorThatStaysShut: a keeper that can let in nobody any more makes room for the next one.
func TestDoorThatStaysShut(t *testing.T) {
	b := newGuestBench(t)
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0) // which cannot be watched
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(null)
	door{fd: null, guests: true}.refuse(b.k, b.given())
	for begun := time.Now(); time.Since(begun) < 10*time.Second; {
		if b.k.Step(100) != nil {
			return
		}
	}
	t.Error("it goes on with a shut door")
}
