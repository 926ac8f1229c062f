package keeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Keeper is the loop. All of it belongs to one goroutine.
type Keeper struct {
	Notify  Notifier
	Journal string // directory of the journals' sockets
	Cgroups string // where the control groups are
	Proc    string // where the processes are
	User    bool   // a user's keeper: it may not speak in the name of other processes
	Warn    io.Writer
	Self    string        // path of this program
	Alive   time.Duration // how often the manager wants to hear of us (WatchdogSec=); 0 is never

	epoll      int
	listener   int
	scratch    [2]int // a pipe to look at others' content in
	scratchCap int
	null       int
	journals   map[string]*journal
	files      map[string]*fileSink  // by their paths
	containers map[string]*container // by their names in the store
	shelved    map[string]bool       // names in the store that are taken, too
	guests     map[uint32]int        // their connections
	foreign    int                   // these, and files of theirs that are being closed
	dropping   int                   // how many close such files
	undropped  []func()              // what is closed when one of those has done it
	watched    map[int32]watched
	handing    bool     // events that have been fetched
	closing    []func() // after that
	probed     map[*container]bool
	attached   map[*attacher]bool
	slow       map[*attacher]bool // do not read what is sent to them
	hungry     map[*attacher]bool // have typed more than the container takes
	wide       [2]int             // scratch for what is in the pipes of terminals
	ready      []*stream          // have more than they were allowed at once
	blocked    []*stream          // wait for the journal
	tried      time.Time          // when they were tried the last time
	held       []*stream          // have a line that has not ended
	pause      int                // between looks at these, in milliseconds
	relays     *relays
	jobs       []*job    // that have not ended at once
	wake       int       // ends the wait for events when one of these has ended
	looked     time.Time // last
	failed     error     // ends Run
	told       time.Time // when the manager has heard of us last
	buf        []byte
	lines      []line
}

// watched is what a descriptor in epoll belongs to.
type watched interface {
	event(k *Keeper, events uint32)
}

// container is one whose output is kept.
type container struct {
	name    string // in the manager's store
	record  *Record
	memory  int // the record's file
	pidfd   int // -1 when PID 1 is gone
	pasta   int // a pidfd; -1 when it is not watched
	streams []*stream
	sink    sink
	health  *health
	errands int // that run for it

	terminal *terminal // nil without one
	input    *input    // nil when there is none, or it has ended
	relay    *relay    // nil when there is none, or PID 1 is gone
	attached []*attacher
	ended    *Ended
}

// sink takes lines. It returns how many it has taken; errBusy when it takes no more for now, errLate when it calls again when it has
// written these.
type sink interface {
	write(lines []line, standard int) (int, error)
}

// stream is the read end of a pipe.
type stream struct {
	c        *container
	fd       int
	standard int // priority
	queued   bool
	blocked  bool
	held     bool
	content  int  // bytes in the pipe when it was held
	ended    bool // no writer is left
	late     int  // bytes in the pipe that are being written
	divided  bool // the last line handed on was a part of one
	shown    int  // bytes in the pipe that those who are attached have been sent
	terminal *terminal
}

const (
	// turn bounds what is read from one pipe before the others have theirs.
	turn = 4
	// window is how much of a pipe is looked at at once.
	window = 64 << 10
)

// New makes a keeper that takes connections from the listening socket.
func New(listener int) (*Keeper, error) {
	k := &Keeper{
		Journal: "/run/systemd", Cgroups: cgroupMount, Proc: "/proc", guests: map[uint32]int{}, Warn: io.Discard, listener: listener,
		journals: map[string]*journal{}, files: map[string]*fileSink{}, containers: map[string]*container{}, watched: map[int32]watched{}, probed: map[*container]bool{},
		attached: map[*attacher]bool{}, slow: map[*attacher]bool{}, hungry: map[*attacher]bool{}, shelved: map[string]bool{},
		buf: make([]byte, window),
	}
	var err error
	if k.relays, err = newRelays(k.warn); err != nil {
		return nil, err
	}
	if k.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	if err := unix.Pipe2(k.scratch[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, err
	}
	if err := unix.Pipe2(k.wide[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, err
	}
	unix.FcntlInt(uintptr(k.wide[0]), unix.F_SETPIPE_SZ, screenSize) // or what the user may have
	if k.scratchCap, err = unix.FcntlInt(uintptr(k.scratch[0]), unix.F_GETPIPE_SZ, 0); err != nil {
		return nil, err
	}
	if k.null, err = unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0); err != nil {
		return nil, err
	}
	if k.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, err
	}
	if err := unix.EpollCtl(k.epoll, unix.EPOLL_CTL_ADD, k.wake, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(k.wake)}); err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(listener, true); err != nil {
		return nil, err
	}
	return k, k.watch(listener, door{fd: listener}, unix.EPOLLIN)
}

func (k *Keeper) watch(fd int, w watched, events uint32) error {
	if err := unix.EpollCtl(k.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}); err != nil {
		return err
	}
	k.watched[int32(fd)] = w
	return nil
}

// unwatch takes a descriptor out of epoll. To close it does that only when no other descriptor of the same file is open.
func (k *Keeper) unwatch(fd int) {
	unix.EpollCtl(k.epoll, unix.EPOLL_CTL_DEL, fd, nil)
	delete(k.watched, int32(fd))
}

// closeWatched closes a descriptor of the keeper's own.
func (k *Keeper) closeWatched(fd int) {
	k.unwatch(fd)
	k.handed(func() { unix.Close(fd) })
}

// handed closes something when no events are being handed on. Till then its number stays taken: an event for it that has been
// fetched already is not for whoever gets the number next.
func (k *Keeper) handed(do func()) {
	if k.handing {
		k.closing = append(k.closing, do)
		return
	}
	do()
}

// Prepare opens what stays open, the default journal and Go's own poller, so that one who looks for what containers have left
// behind finds a keeper that has served some as it was before.
func (k *Keeper) Prepare() {
	j := newJournal(k.Journal, "")
	k.journals[""] = j
	if err := j.connect(); err != nil {
		k.warn("%v; lines wait until it is there", err)
	}
	startTime(1)
}

// Run works until an error that a new process would not have.
func (k *Keeper) Run() error {
	go k.relays.run()
	for {
		if err := k.Step(k.live()); err != nil {
			return err
		}
	}
}

// live lets the manager hear of us when it is time, and tells in how many milliseconds that is again; -1 for never. One that
// hangs is ended by the manager, and the next goes on.
func (k *Keeper) live() int {
	if k.Alive <= 0 {
		return -1
	}
	if time.Since(k.told) >= k.Alive {
		if err := k.Notify.Watchdog(); err != nil {
			k.warn("%v", err)
		}
		k.told = time.Now()
	}
	return int(max(k.Alive-time.Since(k.told), 0)/time.Millisecond) + 1
}

// Step waits for something to do, at most so many milliseconds, and does it.
func (k *Keeper) Step(timeout int) error {
	switch {
	case len(k.ready) > 0:
		timeout = 0
	case len(k.blocked) > 0 && (timeout < 0 || timeout > k.retryPause()):
		timeout = k.retryPause()
	case len(k.held) > 0 && (timeout < 0 || timeout > k.pause):
		timeout = k.pause
	}
	if pause := k.healthPause(); pause >= 0 && (timeout < 0 || pause < timeout) {
		timeout = pause
	}
	if pause := k.attachPause(); pause >= 0 && (timeout < 0 || pause < timeout) {
		timeout = pause
	}
	var events [64]unix.EpollEvent
	n, err := unix.EpollWait(k.epoll, events[:], timeout)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for events: %w", err)
	}
	k.hand(events[:max(n, 0)])
	if len(k.blocked) > 0 && k.retryPause() == 0 {
		k.unblock()
	}
	if len(k.held) > 0 && time.Since(k.looked) >= time.Duration(k.pause)*time.Millisecond {
		k.look()
	}
	if len(k.probed) > 0 {
		k.lookAfter()
	}
	if len(k.slow) > 0 || len(k.hungry) > 0 {
		k.lookAtAttached()
	}
	if len(k.jobs) > 0 {
		k.lookAtJobs()
	}
	list := k.ready
	k.ready = nil
	for _, s := range list {
		s.queued = false
		k.read(s)
	}
	if k.ready == nil {
		k.ready = list[:0]
	}
	return k.failed
}

// hand hands events on.
func (k *Keeper) hand(events []unix.EpollEvent) {
	k.handing = true
	for _, e := range events {
		if w := k.watched[e.Fd]; w != nil {
			w.event(k, e.Events)
		}
	}
	k.handing = false
	for _, do := range k.closing {
		do()
	}
	k.closing = k.closing[:0]
}

// retryMS is when a journal that nobody serves is tried again, in milliseconds.
const retryMS = 250

// queue notes that the stream may have something.
func (k *Keeper) queue(s *stream) {
	if !s.queued && !s.blocked && s.fd >= 0 {
		s.queued = true
		k.ready = append(k.ready, s)
	}
}

// retryPause is how many milliseconds are left until the journal is tried again. That time is kept whatever else happens: a
// container that writes all the time, or another one, must not put it off.
func (k *Keeper) retryPause() int {
	left := retryMS*time.Millisecond - time.Since(k.tried)
	return max(0, int((left+time.Millisecond-1)/time.Millisecond))
}

func (k *Keeper) unblock() {
	list := k.blocked
	k.blocked, k.tried = nil, time.Now()
	for _, s := range list {
		s.blocked = false
		k.queue(s)
	}
}

func (k *Keeper) warn(format string, args ...any) {
	fmt.Fprintf(k.Warn, "<4>"+format+"\n", args...)
}

// adopt takes a container's files over. They are the keeper's from then on, also when it fails.
func (k *Keeper) adopt(name string, r *Record, memory int, files []int) (err error) {
	c := &container{name: name, record: r, memory: memory, pidfd: -1, pasta: -1}
	defer func() {
		if err != nil {
			for _, fd := range files {
				unix.Close(fd)
			}
			unix.Close(memory)
		}
	}()
	if k.containers[name] != nil {
		return fmt.Errorf("container %s is kept already", name)
	}
	if err := c.sort(files); err != nil {
		return err
	}
	if c.terminal != nil {
		if err := k.connect(c.terminal); err != nil {
			return err
		}
	}
	if err := k.follow(c); err != nil {
		return err
	}
	c.sink = k.sink(c)
	k.containers[name] = c
	k.watchHealth(c)
	k.watchPasta(c)
	if c.input != nil {
		if err := k.watch(c.input.fd, c.input, unix.EPOLLOUT|unix.EPOLLET); err != nil {
			k.warn("container %s: %v", r.Name, err)
		}
	}
	if c.relay != nil {
		if err := k.relays.add(c.relay, k.manager(r), c.pidfd); err != nil {
			if c.pidfd >= 0 {
				k.warn("container %s: what it says of itself is lost: %v", r.Name, err)
			}
			k.relays.close(c.relay)
		}
	}
	k.bindWaiting(c)
	for _, s := range c.streams {
		if s.terminal != nil { // which wakes us itself
			k.queue(s)
			continue
		}
		// At the edge: a line that has not ended yet is left in the pipe, and would wake us for ever.
		if err := k.watch(s.fd, s, unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLET); err != nil {
			k.warn("container %s: %v", r.Name, err)
		}
		k.queue(s)
	}
	k.settle(c)
	return nil
}

// sort gives the files their places.
func (c *container) sort(files []int) error {
	var screen *stream
	for i, s := range c.record.Streams {
		if err := unix.SetNonblock(files[i], true); err != nil {
			return err
		}
		switch s.Name {
		case streamTerminal:
			c.terminal = &terminal{c: c, master: files[i]}
		case streamStdin:
			c.input = &input{c: c, fd: files[i]}
		case streamNotify:
			c.relay = &relay{c: c, fd: files[i], pidfd: -1}
		case streamScreen:
			screen = &stream{c: c, fd: files[i], standard: prioInfo}
			c.streams = append(c.streams, screen)
		case streamStderr:
			c.streams = append(c.streams, &stream{c: c, fd: files[i], standard: prioError})
		default:
			c.streams = append(c.streams, &stream{c: c, fd: files[i], standard: prioInfo})
		}
	}
	if (c.terminal == nil) != (screen == nil) {
		return errors.New("a terminal needs its pipe")
	}
	if c.terminal != nil {
		c.terminal.screen = screen
	}
	return nil
}

func (k *Keeper) sink(c *container) sink {
	r := c.record
	if r.Driver == Discard {
		return discard{}
	}
	if r.Driver == K8sFile {
		return k.file(r)
	}
	return k.journalSink(c)
}

// journalSink takes lines for the journal of the container's unit.
func (k *Keeper) journalSink(c *container) *journalSink {
	r := c.record
	j := k.journals[r.Namespace]
	if j == nil {
		j = newJournal(k.Journal, r.Namespace)
		k.journals[r.Namespace] = j
	}
	return &journalSink{j: j, fields: fields(r, k.User), pid: func() int {
		if k.User || c.pidfd < 0 {
			return 0
		}
		return r.PID
	}}
}

// file is the sink of a container's file.
func (k *Keeper) file(r *Record) *fileSink {
	s := k.files[r.Path]
	if s == nil {
		s = &fileSink{path: r.Path, own: strings.Contains(r.Path, "/"+r.ID+"/"), beside: k.beside, warn: k.warn}
		s.later = func() { k.written(s) }
		k.files[r.Path] = s
	}
	s.maxSize = r.MaxSize // as the newest has it
	return s
}

// follow watches the container's PID 1, as long as it is that process and no later one with the same PID.
func (k *Keeper) follow(c *container) error {
	fd, err := c.record.process().open()
	if errors.Is(err, errGone) {
		return nil
	}
	if err != nil {
		return err
	}
	ours, err := k.belongs(c.record)
	if ours {
		err = k.watch(fd, leader{c}, unix.EPOLLIN)
	}
	if !ours || err != nil {
		unix.Close(fd)
		return err
	}
	c.pidfd = fd
	return nil
}

// leader is the container's PID 1.
type leader struct{ c *container }

func (l leader) event(k *Keeper, _ uint32) {
	k.closeWatched(l.c.pidfd)
	l.c.pidfd = -1
	k.leavePasta(l.c)
	k.endHealth(l.c)
	k.relays.close(l.c.relay)
	if t := l.c.terminal; t != nil {
		k.queue(t.screen)
	}
	k.settle(l.c)
}

func (s *stream) event(k *Keeper, events uint32) {
	if events&(unix.EPOLLHUP|unix.EPOLLERR|unix.EPOLLRDHUP) != 0 {
		s.ended = true
	}
	k.queue(s)
}

// read hands a pipe's lines on, as many as it may in its turn.
func (k *Keeper) read(s *stream) {
	if s.fd < 0 || s.late > 0 {
		return
	}
	for range turn {
		if s.c.waits() {
			return // and goes on when they have read
		}
		if s.terminal != nil {
			k.pump(s.terminal)
		}
		ended := s.ended // before the look: what was written before the end is seen then
		data, full, err := k.peek(s)
		switch {
		case errors.Is(err, unix.EAGAIN) && s.terminal != nil && ended:
			k.end(s)
			return
		case errors.Is(err, unix.EAGAIN):
			return // and nothing is lost when it ends meanwhile: that is another edge
		case err != nil:
			k.warn("container %s: read its output: %v", s.c.record.Name, err)
			k.end(s)
			return
		case len(data) == 0:
			k.end(s)
			return
		}
		k.show(s, data)
		var used int
		k.lines, used = cut(k.lines[:0], data, ended, full)
		if used == 0 && s.terminal == nil && k.small(s, len(data)) {
			k.lines, used = cut(k.lines[:0], data, ended, true)
		}
		if used == 0 {
			switch {
			case s.terminal == nil:
				k.hold(s, len(data))
			case s.terminal.more:
				k.queue(s)
			}
			return
		}
		if s.terminal != nil {
			withoutReturn(k.lines)
		}
		s.follows(k.lines)
		taken, err := s.c.sink.write(k.lines, s.standard)
		if taken > 0 {
			s.divided = k.lines[taken-1].partial
		}
		if taken < len(k.lines) {
			used = length(k.lines[:taken], data)
		}
		if errors.Is(err, errLate) {
			s.late = used
			return
		}
		if used > 0 {
			if err := k.consume(s, used); err != nil {
				k.warn("container %s: read its output: %v", s.c.record.Name, err)
				k.end(s)
				return
			}
		}
		if errors.Is(err, errBusy) {
			k.block(s)
			return
		}
		if err != nil && taken < len(k.lines) {
			k.warn("container %s: a line is lost: %v", s.c.record.Name, err)
			if k.consume(s, length(k.lines[taken:taken+1], data[used:])) != nil {
				k.end(s)
				return
			}
		}
	}
	k.queue(s)
}

// written goes on when a file has taken what took its time.
func (k *Keeper) written(file *fileSink) {
	for _, c := range k.containers {
		if c.sink != sink(file) {
			continue
		}
		for _, s := range c.streams {
			if s.late > 0 {
				if err := k.consume(s, s.late); err != nil {
					k.warn("container %s: read its output: %v", c.record.Name, err)
					k.end(s)
				}
				s.late = 0
			}
			k.queue(s)
		}
	}
}

// follows marks the first line when it goes on from a part of one that was handed on earlier.
func (s *stream) follows(lines []line) {
	lines[0].rest = s.divided
	for i := range lines[1:] {
		lines[i+1].rest = lines[i].partial
	}
}

// length is how many bytes the lines have in the pipe.
func length(lines []line, data []byte) int {
	n := 0
	for _, l := range lines {
		n += len(l.text) + l.dropped
		if !l.partial && n < len(data) {
			n++
		}
	}
	return n
}

// peek shows what is in a pipe without taking it out; nothing and no error is its end. full says that the writers may not be
// able to go on, because there is no room or because not all can be seen.
func (k *Keeper) peek(s *stream) (data []byte, full bool, err error) {
	scratch := k.scratch
	if s.terminal != nil {
		scratch = k.wide
	}
	n, err := unix.Tee(s.fd, scratch[1], window, unix.SPLICE_F_NONBLOCK)
	if err != nil || n == 0 {
		return nil, false, err
	}
	full = !writable(scratch[1])
	if s.terminal != nil {
		full = s.terminal.full || int(n) == window // nobody but us writes into it
	}
	got := 0
	for got < int(n) {
		m, err := unix.Read(scratch[0], k.buf[got:n])
		if err != nil {
			return nil, false, fmt.Errorf("look into a pipe: %w", err)
		}
		got += m
	}
	return k.buf[:got], full, nil
}

// small reports whether a pipe has fewer pages than the scratch pipe and so may be full earlier. A user with many pipes gets
// such ones (pipe(7), pipe-user-pages-soft).
func (k *Keeper) small(s *stream, content int) bool {
	size, err := unix.FcntlInt(uintptr(s.fd), unix.F_GETPIPE_SZ, 0)
	return err == nil && size < k.scratchCap && content >= size/2
}

// writable reports whether a pipe has room for more.
func writable(fd int) bool {
	state, err := look(fd, unix.POLLOUT, 0)
	return err != nil || state&unix.POLLOUT != 0
}

// look tells which of the events a file has, at the latest after so many milliseconds (poll(2)). A signal is none: the runtime sends
// them to its own threads at any time.
func look(fd int, events int16, timeout int) (state int16, err error) {
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
	for {
		if _, err := unix.Poll(fds, timeout); !errors.Is(err, unix.EINTR) {
			return fds[0].Revents, err
		}
	}
}

// consume takes bytes out of a pipe that have been handed on.
func (k *Keeper) consume(s *stream, n int) error {
	for n > 0 {
		m, err := unix.Splice(s.fd, nil, k.null, nil, n, unix.SPLICE_F_NONBLOCK)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || m == 0 {
			return fmt.Errorf("take %d bytes out of a pipe: %w", n, errors.Join(err, io.ErrUnexpectedEOF))
		}
		n -= int(m)
		s.shown = max(s.shown-int(m), 0)
	}
	return nil
}

// The pause between looks at pipes with lines that have not ended, in milliseconds: short after something has come.
const (
	shortPause = 1
	longPause  = 1000
)

// hold leaves a line that has not ended in its pipe, and looks at it again by and by: a writer who fills a pipe that is not
// empty, and waits for room in the middle of a write(2), makes no edge.
func (k *Keeper) hold(s *stream, content int) {
	s.content, k.pause = content, shortPause
	if !s.held {
		s.held = true
		k.held = append(k.held, s)
	}
}

// look queues the streams whose pipes have got more since they were held.
func (k *Keeper) look() {
	k.pause, k.looked = min(2*k.pause, longPause), time.Now()
	k.held = slices.DeleteFunc(k.held, func(s *stream) bool {
		if s.fd >= 0 {
			n, err := unix.IoctlGetInt(s.fd, unix.TIOCINQ)
			if err == nil && n == s.content {
				return false
			}
		}
		s.held = false
		k.queue(s)
		return true
	})
}

// block lets a stream wait until its journal takes more.
func (k *Keeper) block(s *stream) {
	if s.blocked = true; len(k.blocked) == 0 {
		k.tried = time.Now()
	}
	k.blocked = append(k.blocked, s)
	sink, ok := s.c.sink.(*journalSink)
	if !ok || sink.j.fd < 0 {
		return
	}
	fd := sink.j.fd
	event := unix.EpollEvent{Events: unix.EPOLLOUT | unix.EPOLLONESHOT, Fd: int32(fd)}
	if unix.EpollCtl(k.epoll, unix.EPOLL_CTL_MOD, fd, &event) != nil {
		unix.EpollCtl(k.epoll, unix.EPOLL_CTL_ADD, fd, &event)
	}
	k.watched[int32(fd)] = sink.j
}

func (j *journal) event(k *Keeper, _ uint32) { k.unblock() }

// end closes a stream, and with the last one of a container all that is kept of it.
func (k *Keeper) end(s *stream) {
	if s.terminal != nil {
		s.terminal.close(k)
		s.terminal = nil
	}
	k.closeWatched(s.fd)
	s.fd = -1
	k.settle(s.c)
}

// settle lets go of a container of which there is nothing more to come.
func (k *Keeper) settle(c *container) {
	for _, s := range c.streams {
		if s.fd >= 0 {
			return
		}
	}
	if c.input != nil && c.pidfd >= 0 {
		return // it may still read
	}
	if c.relay != nil {
		return
	}
	if c.health == nil && k.containers[c.name] == c {
		k.forget(c)
	}
}

// forget lets go of a container.
func (k *Keeper) forget(c *container) {
	if c.pidfd >= 0 {
		k.closeWatched(c.pidfd)
	}
	k.leavePasta(c)
	k.endHealth(c)
	k.relays.close(c.relay)
	if c.input != nil {
		c.input.close(k)
	}
	k.finish(c)
	unix.Close(c.memory)
	delete(k.containers, c.name)
	k.leaveJournal(c.record.Namespace)
	k.leaveFile(c.sink)
	if err := k.Notify.Forget(c.name); err != nil {
		k.warn("container %s: %v", c.record.Name, err)
	}
}

// leaveJournal closes the journal of a namespace with its last container.
func (k *Keeper) leaveJournal(namespace string) {
	j := k.journals[namespace]
	if namespace == "" || j == nil {
		return
	}
	for _, c := range k.containers {
		if s, ok := c.sink.(*journalSink); ok && s.j == j {
			return
		}
	}
	if j.fd >= 0 {
		k.closeWatched(j.fd)
		j.fd = -1
	}
	delete(k.journals, namespace)
}

// leaveFile closes a file with its last container.
func (k *Keeper) leaveFile(s sink) {
	file, ok := s.(*fileSink)
	if !ok {
		return
	}
	for _, c := range k.containers {
		if c.sink == s {
			return
		}
	}
	file.close()
	delete(k.files, file.path)
}

// keep is the request of an engine: the files go into the store before it is answered.
func (k *Keeper) keep(cl *caller, r *Record, files []int) error {
	err := r.check(len(files))
	if err == nil {
		err = k.vet(cl.peer, r, files)
	}
	if err != nil {
		cl.drop(k, files)
		return err
	}
	if k.kept(r) { // an earlier keeper was killed between taking the files and saying so
		cl.drop(k, files)
		return nil
	}
	if r.stream(streamTerminal) >= 0 {
		fd, inode, err := newScreen()
		if err != nil {
			cl.drop(k, files)
			return err
		}
		r.Streams, files = append(r.Streams, Stream{Name: streamScreen, Inode: inode}), append(files, fd)
	}
	name := k.freeName(r)
	memory, err := remember(r)
	if err != nil {
		cl.drop(k, files)
		return err
	}
	if err := k.store(name, r, memory, files); err != nil {
		k.forgetAll([]string{name, name + inputSuffix}) // of which one may be there
		cl.drop(k, append(files, memory))
		return err
	}
	if err := k.adopt(name, r, memory, files); err != nil {
		k.forgetAll([]string{name, name + inputSuffix})
		return err
	}
	return nil
}

// A container that is started again has the ID that it had before, and what it wrote last may still be in its old pipes: each run
// is kept for itself. So is what users call by the same ID: none of them must be in another's way.

// kept reports whether this very run is kept already.
func (k *Keeper) kept(r *Record) bool {
	for _, c := range k.containers {
		if c.record.ID == r.ID && c.record.owner() == r.owner() && c.record.sameRun(r) {
			return true
		}
	}
	return false
}

// sameRun tells whether r asks again for what is kept. Of a guest's that has ended meanwhile only the pipes tell (see vet).
func (kept *Record) sameRun(r *Record) bool {
	same := r.PID == kept.PID && r.Start == kept.Start
	if !same && !(r.guest() && r.PID == 0 && len(kept.Streams) > 0) {
		return false
	}
	for _, s := range kept.Streams {
		if i := r.stream(s.Name); s.Name != streamScreen && (i < 0 || r.Streams[i].Inode != s.Inode) {
			return false
		}
	}
	return true
}

// newest is the newest run of a container of this owner's; nil when none is kept.
func (k *Keeper) newest(id string, owner int64) *container {
	var newest *container
	for _, c := range k.containers {
		if c.record.ID == id && c.record.owner() == owner && (newest == nil || c.record.Start > newest.record.Start) {
			newest = c
		}
	}
	return newest
}

// freeName is the name for a run in the store: the container's ID, and where that is taken also the time of the run's start. (A
// record under the bare ID is what keepers of earlier versions have left, too.)
func (k *Keeper) freeName(r *Record) string {
	name := r.ID
	for start := r.Start; k.containers[name] != nil || k.shelved[name]; start++ {
		name = fmt.Sprintf("%s.%d", r.ID, start)
	}
	return name
}

// store puts the files into the manager's store. A standard input comes first: a record without its files would be half of one.
func (k *Keeper) store(name string, r *Record, memory int, files []int) error {
	rest := []int{memory}
	for i, fd := range files {
		if r.Streams[i].Name != streamStdin {
			rest = append(rest, fd)
			continue
		}
		if err := k.Notify.Store(name+inputSuffix, fd); err != nil {
			return err
		}
	}
	return k.Notify.Store(name, rest...)
}

// remember writes the record into a file in memory.
func remember(r *Record) (int, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return -1, err
	}
	fd, err := unix.MemfdCreate("berth-record", unix.MFD_CLOEXEC)
	if err != nil {
		return -1, err
	}
	if _, err := unix.Pwrite(fd, data, 0); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
