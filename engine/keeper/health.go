package keeper

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/events"
	"github.com/berth-pods/berth/engine/userns"
)

// Health says how a container is probed.
type Health struct {
	Runtime []string `json:"runtime"` // the program and its words up to the one before the container's ID
	Cgroup  string   `json:"cgroup,omitempty"`
	Dir     string   `json:"dir"` // the container's state directory: processes to run, and the result
	LogDir  string   `json:"logDir,omitempty"`

	Interval    time.Duration `json:"interval"` // 0: only when asked
	Timeout     time.Duration `json:"timeout"`
	StartPeriod time.Duration `json:"startPeriod"`
	Retries     int           `json:"retries"`
	OnFailure   string        `json:"onFailure"`
	LogCount    int           `json:"logCount"`
	LogSize     int           `json:"logSize"`
	Fast        bool          `json:"fast,omitempty"` // somebody waits for the first success
	Startup     *Startup      `json:"startup,omitempty"`
}

// Startup is the probe of a container that is starting.
type Startup struct {
	Interval time.Duration `json:"interval"`
	Timeout  time.Duration `json:"timeout"`
	Retries  int           `json:"retries"`
	Success  int           `json:"success"`
}

// The files in a container's state directory that health has to do with.
const (
	HealthProcess  = "health-process.json"
	StartupProcess = "startup-process.json"
	HealthFile     = "health.json"
)

// Verdict is what is known of a container's health: the file health.json, and with Podman's names.
type Verdict struct {
	Version       int `json:"version"`
	Status        string
	FailingStreak int
	Log           []Probe
}

// The states of health.
const (
	Starting  = "starting"
	Healthy   = "healthy"
	Unhealthy = "unhealthy"
)

// Probe is one look at a container's health.
type Probe struct {
	Start, End time.Time
	ExitCode   int
	Output     string
}

const verdictVersion = 1

// savedVerdict is what the file says: also of which run it is. A keeper may still write that of one that has ended when the next
// one has begun.
type savedVerdict struct {
	Verdict
	Process
}

// ReadVerdict reads the verdict on the run with this PID 1 from a container's state directory. It is an error if there is none.
func ReadVerdict(dir string, run Process) (Verdict, error) {
	var v savedVerdict
	data, err := os.ReadFile(filepath.Join(dir, HealthFile))
	if err == nil {
		err = json.Unmarshal(data, &v)
	}
	if err == nil && v.Process != run {
		err = errors.New("what is known of the container's health is of another run")
	}
	if err != nil {
		return Verdict{}, err
	}
	return v.Verdict, nil
}

// health is the probing of one container.
type health struct {
	c        *container
	h        *Health
	verdict  Verdict
	started  time.Time
	counted  time.Time // when a failure was counted last
	due      time.Time // zero: never
	fast     time.Duration
	waiting  []waiter
	startup  bool
	success  int // of the startup probe
	failures int

	pid    int // of the probe that runs; 0 for none
	pidfd  int
	output int    // what it writes; -1 when that has ended
	text   []byte // of it
	begin  time.Time
	limit  time.Time
	late   bool
	saves  turns
	tells  turns
	warned bool // that a verdict cannot be written
	unable bool // to start a probe, and has said so
	events int  // cgroup.events of the container while a probe runs; -1 for none
	frozen bool // the container was while the probe ran
}

// waiter is somebody who wants to know.
type waiter struct {
	caller *caller
	first  bool // of the first success; else of the next result
}

const (
	firstLook  = 50 * time.Millisecond
	slowLook   = 2 * time.Second
	outputRead = 64 << 10
)

// watchHealth begins to probe a container.
func (k *Keeper) watchHealth(c *container) {
	h := c.record.Health
	if h == nil || c.pidfd < 0 {
		return
	}
	c.health = &health{c: c, h: h, started: time.Now(), counted: time.Now(), fast: firstLook, startup: h.Startup != nil, pidfd: -1, output: -1, events: -1}
	v, err := Verdict{}, error(nil)
	if !c.record.guest() { // whose file is his
		v, err = ReadVerdict(h.Dir, c.record.process())
	}
	if err == nil && v.Version == verdictVersion {
		c.health.verdict = v // an earlier keeper has seen it
		c.health.startup = c.health.startup && v.Status == Starting
	} else {
		c.health.verdict = Verdict{Version: verdictVersion, Status: Starting}
		k.saveVerdict(c.health)
	}
	c.health.next(firstLook)
	k.probed[c] = true
}

// next sets the time of the next probe.
func (c *health) next(after time.Duration) {
	c.due = time.Time{}
	if c.interval() > 0 {
		c.due = time.Now().Add(after)
	}
}

func (c *health) interval() time.Duration {
	if c.startup {
		return c.h.Startup.Interval
	}
	return c.h.Interval
}

func (c *health) timeout() time.Duration {
	if c.startup {
		return c.h.Startup.Timeout
	}
	return c.h.Timeout
}

// healthPause is the time in milliseconds until a probe is due, or too late; -1 when none ever is.
func (k *Keeper) healthPause() int {
	pause := time.Duration(-1)
	for c := range k.probed {
		at := c.health.due
		if c.health.pid > 0 {
			at = c.health.limit
		}
		if at.IsZero() {
			continue
		}
		if left := max(time.Until(at), 0); pause < 0 || left < pause {
			pause = left
		}
	}
	if pause < 0 {
		return -1
	}
	return int((pause + time.Millisecond - 1) / time.Millisecond)
}

// lookAfter starts the probes that are due and ends those that take too long.
func (k *Keeper) lookAfter() {
	now := time.Now()
	for c := range k.probed {
		h := c.health
		switch {
		case h.pid > 0 && !h.limit.IsZero() && now.After(h.limit):
			h.late, h.limit = true, time.Time{}
			h.frozen = h.frozen || k.frozen(c)
			h.kill(k)
		case h.pid == 0 && !h.due.IsZero() && !now.Before(h.due):
			k.probe(h)
		}
	}
}

// group is the control group that a container's PID 1 is in, as the kernel says.
func (k *Keeper) group(c *container) (string, bool) {
	data, err := os.ReadFile(filepath.Join(k.Proc, strconv.Itoa(c.record.PID), "cgroup"))
	if err != nil {
		return "", false
	}
	group, ok := cgroup2(string(data))
	return group, ok && filepath.IsLocal(group)
}

// frozen reports whether a container is (cgroups(7), cgroup.freeze): it is paused, or its unit is frozen. A probe of it could not
// succeed, and says nothing. Freezing takes a moment, so that what has been asked for counts.
func (k *Keeper) frozen(c *container) bool {
	group, ok := k.group(c)
	for ; ok && group != "."; group = filepath.Dir(group) {
		if data, err := os.ReadFile(filepath.Join(k.Cgroups, group, "cgroup.freeze")); err == nil && strings.HasPrefix(string(data), "1") {
			return true
		}
	}
	return false
}

// watchFreezer makes the keeper see when a container is frozen while a probe runs.
func (k *Keeper) watchFreezer(h *health) {
	h.frozen = false
	group, ok := k.group(h.c)
	if !ok {
		return
	}
	fd, err := unix.Open(filepath.Join(k.Cgroups, group, "cgroup.events"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	unix.Pread(fd, make([]byte, 256), 0) // from here on it is told of changes
	if k.watch(fd, freezer{h}, unix.EPOLLPRI) != nil {
		unix.Close(fd)
		return
	}
	h.events = fd
}

type freezer struct{ h *health }

func (f freezer) event(k *Keeper, _ uint32) {
	unix.Pread(f.h.events, make([]byte, 256), 0) // else it is told for ever
	f.h.frozen = f.h.frozen || k.frozen(f.h.c)
}

// skip lets a container be of which nothing can be found out just now. It is looked at again soon: it may be thawed at any time.
func (k *Keeper) skip(h *health, why string) {
	h.next(min(h.interval(), slowLook))
	h.tellAll(k, response{Error: why}, func(w waiter) bool { return !w.first })
}

// probe starts one. That it cannot be started says nothing of the container.
func (k *Keeper) probe(h *health) {
	if k.frozen(h.c) {
		k.skip(h, "the container is paused")
		return
	}
	h.due, h.begin, h.late = time.Time{}, time.Now(), false
	h.limit = h.begin.Add(h.timeout())
	err := k.startProbe(h)
	if err != nil {
		err = fmt.Errorf("its health cannot be looked at: %w", err)
		if !h.unable {
			k.warn("container %s: %v", h.c.record.Name, err)
		}
		k.skip(h, err.Error())
	}
	h.unable = err != nil
}

func (k *Keeper) startProbe(h *health) error {
	process := HealthProcess
	if h.startup {
		process = StartupProcess
	}
	args := append([]string{"--probe", h.h.Cgroup}, h.h.Runtime...)
	args = append(args, "exec", "--process", filepath.Join(h.h.Dir, process), "--pid-file", h.pidFile(), h.c.record.ID)
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	if !h.c.record.guest() {
		os.Remove(h.pidFile())
	}
	pid, pidfd, err := k.start(h.c, args, fds[1])
	unix.Close(fds[1])
	if err != nil {
		unix.Close(fds[0])
		return err
	}
	unix.SetNonblock(fds[0], true)
	h.pid, h.pidfd, h.output = pid, pidfd, fds[0]
	h.text = nil
	if err := k.watch(h.output, probeOutput{h}, unix.EPOLLIN); err != nil {
		k.warn("container %s: %v", h.c.record.Name, err)
	}
	k.watchFreezer(h)
	if err := k.watch(pidfd, h, unix.EPOLLIN); err != nil {
		k.warn("container %s: %v", h.c.record.Name, err)
	}
	return nil
}

func (h *health) pidFile() string { return filepath.Join(h.h.Dir, "probe.pid") }

// start starts this program again, in the namespace of the container's user, with its output into a pipe.
func (k *Keeper) start(c *container, args []string, output int) (pid, pidfd int, err error) {
	e := errand{words: append([]string{k.Self}, args...), output: output, guest: c.record}
	if (k.User || c.record.guest()) && c.record.Userns {
		namespace, err := userns.Of(c.record.PID)
		if err != nil {
			return 0, -1, err
		}
		defer namespace.Close()
		e.files = []int{int(namespace.Fd())}
		enter := []string{"/usr/bin/nsenter", "--preserve-credentials", "--user=/proc/self/fd/" + strconv.Itoa(namespaceFile), "--"}
		e.words = append(enter, e.words...)
	}
	return k.fork(e)
}

// The numbers of the files that an errand may be given.
const (
	groupFile     = 3 // a guest's control group
	namespaceFile = 4 // the user namespace in which the container was set up
)

// errand is a program that the keeper starts: as it runs itself, or in the name of a guest, if the record is one's.
type errand struct {
	words         []string
	input, output int   // 0 for none
	files         []int // from namespaceFile on
	guest         *Record
	env           []string // nil for the keeper's
	then          func()   // what is to be done when it has ended, or could not be started
}

// closed stands for a file that is none (syscall.ProcAttr).
const closed = ^uintptr(0)

func (k *Keeper) fork(e errand) (pid, pidfd int, err error) {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, -1, err
	}
	defer unix.Close(null)
	in, out := uintptr(cmp.Or(e.input, null)), uintptr(cmp.Or(e.output, null))
	pidfd = -1
	if e.env == nil {
		e.env = environment()
	}
	attr := &syscall.ProcAttr{Env: e.env, Files: []uintptr{0: in, 1: out, 2: out, groupFile: closed}, Sys: &syscall.SysProcAttr{PidFD: &pidfd}}
	if e.guest != nil && e.guest.guest() {
		group, words, err := k.forGuest(attr, e.guest, e.words)
		if err != nil {
			return 0, -1, err
		}
		defer unix.Close(group)
		e.words = words
	}
	for _, fd := range e.files {
		attr.Files = append(attr.Files, uintptr(fd))
	}
	pid, err = syscall.ForkExec(e.words[0], e.words, attr)
	if err != nil {
		return 0, -1, fmt.Errorf("start %s: %w", e.words[0], err)
	}
	if pidfd < 0 {
		pidfd, err = unix.PidfdOpen(pid, 0)
	}
	return pid, pidfd, err
}

// environment is without what is meant for the keeper alone.
func environment() []string {
	var list []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "NOTIFY_SOCKET=") && !strings.HasPrefix(e, "LISTEN_") && !strings.HasPrefix(e, "WATCHDOG_") && !strings.HasPrefix(e, "FDSTORE=") {
			list = append(list, e)
		}
	}
	return list
}

// kill ends a probe: what runs in the container, and the runtime that waits for it.
func (h *health) kill(k *Keeper) {
	if h.c.record.guest() {
		k.run(h.c, errand{words: []string{k.Self, "--kill", "", h.pidFile()}, guest: h.c.record})
	} else {
		killByFile(h.pidFile())
	}
	unix.PidfdSendSignal(h.pidfd, unix.SIGKILL, nil, 0)
}

// killByFile kills the process whose number is in a file.
func killByFile(path string) {
	var pid int
	if data, err := os.ReadFile(path); err == nil {
		fmt.Sscan(string(data), &pid)
	}
	if pid > 1 {
		unix.Kill(pid, unix.SIGKILL)
	}
}

// event: the probe has ended.
func (h *health) event(k *Keeper, _ uint32) {
	var status unix.WaitStatus
	unix.Wait4(h.pid, &status, 0, nil)
	k.closeWatched(h.pidfd)
	h.read(k) // whoever has it open still
	h.closeOutput(k)
	text := strings.ToValidUTF8(string(h.text), "\uFFFD")
	h.pid, h.pidfd, h.text = 0, -1, nil
	k.endWatch(h)
	code := status.ExitStatus()
	if status.Signaled() {
		code = 128 + int(status.Signal())
	}
	if h.late {
		code, text = -1, fmt.Sprintf("no answer within %s", h.timeout())
	}
	if code != 0 && (h.frozen || k.frozen(h.c)) {
		k.skip(h, "the container is paused")
		return
	}
	k.result(h, code, text)
}

// endWatch ends watchFreezer.
func (k *Keeper) endWatch(h *health) {
	if h.events >= 0 {
		k.closeWatched(h.events)
		h.events = -1
	}
}

// probeOutput is the pipe of what a probe writes. It is read all the time, or a probe that writes much would never end.
type probeOutput struct{ h *health }

func (o probeOutput) event(k *Keeper, _ uint32) { o.h.read(k) }

// read reads what a probe has written and keeps the beginning, as much as is wanted.
func (h *health) read(k *Keeper) {
	wanted := outputRead
	if h.h.LogSize > 0 {
		wanted = min(wanted, h.h.LogSize)
	}
	for range turn {
		if h.output < 0 {
			return
		}
		n, err := unix.Read(h.output, k.buf)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			return
		case err != nil || n == 0:
			h.closeOutput(k)
			return
		}
		h.text = append(h.text, k.buf[:min(n, wanted-len(h.text))]...)
	}
}

func (h *health) closeOutput(k *Keeper) {
	if h.output >= 0 {
		k.closeWatched(h.output)
		h.output = -1
	}
}

// maxLog bounds what is kept of a container's results, whatever it has asked for: all of it is written anew with each.
const maxLog = 1 << 20

// last are the n newest probes, or all when n is 0, as far as maxLog goes.
func last(log []Probe, n int) []Probe {
	if n > 0 && len(log) > n {
		log = log[len(log)-n:]
	}
	size := 0
	for i := len(log) - 1; i >= 0; i-- {
		const rest = 100 // times and status, as they are written
		if size += rest + len(log[i].Output); size > maxLog {
			return log[i+1:]
		}
	}
	return log
}

// result works a probe's result in, says so when it changes something, and does what is to be done.
func (k *Keeper) result(h *health, code int, text string) {
	now := time.Now()
	h.verdict.Log = last(append(h.verdict.Log, Probe{h.begin, now, code, text}), h.h.LogCount)
	before := h.verdict.Status
	action := ""
	pause := h.interval()
	if h.startup {
		action = h.starting(code)
	} else {
		action = h.judge(code, now)
	}
	if h.h.Fast && h.verdict.Status == Starting && code != 0 {
		h.fast = min(h.fast*3/2, slowLook)
		pause = min(h.fast, pause)
	}
	h.next(pause)
	k.saveVerdict(h)
	if h.verdict.Status != before {
		r := h.c.record
		e := events.Event{Type: "container", What: []string{"health_status"}, ID: r.ID, Name: r.Name, Image: r.Image, Health: h.verdict.Status, Unit: r.Unit, User: k.User}
		if code != 0 {
			e.Why = reason(code, text)
		}
		e.SendTo(k.Journal + "/journal/socket")
		k.tell(h)
	}
	k.answer(h, code)
	if action != "" {
		k.act(h, action)
	}
}

// reason is why a probe failed, in one short line: what it said.
func reason(code int, text string) string {
	text = strings.TrimSpace(text)
	return cmp.Or(strings.ToValidUTF8(text[:min(len(text), 200)], ""), "the probe's exit status is "+strconv.Itoa(code))
}

// starting judges the startup probe.
func (h *health) starting(code int) (action string) {
	if code == 0 {
		if h.success++; h.success >= h.h.Startup.Success {
			h.startup = false
			h.verdict.Status, h.verdict.FailingStreak = Healthy, 0
		}
		return ""
	}
	h.success = 0
	if h.failures++; h.h.Startup.Retries > 0 && h.failures >= h.h.Startup.Retries && !h.h.Fast {
		h.failures = 0
		return "restart"
	}
	return ""
}

// judge judges the probe.
func (h *health) judge(code int, now time.Time) (action string) {
	if code == 0 {
		h.verdict.Status, h.verdict.FailingStreak = Healthy, 0
		return ""
	}
	starting := h.verdict.Status == Starting
	if starting && (now.Sub(h.started) < h.h.StartPeriod || h.h.Fast && now.Sub(h.counted) < h.h.Interval) {
		return ""
	}
	h.counted = now
	if h.verdict.FailingStreak++; h.verdict.FailingStreak < h.h.Retries {
		return ""
	}
	h.verdict.Status = Unhealthy
	if h.verdict.FailingStreak == h.h.Retries {
		return h.h.OnFailure
	}
	return ""
}

// saveVerdict writes the verdict beside and renames it; when the container is gone there is no place for it, and no need.
func (k *Keeper) saveVerdict(h *health) {
	data, err := json.Marshal(savedVerdict{h.verdict, h.c.record.process()})
	if err != nil {
		return
	}
	paths := []string{filepath.Join(h.h.Dir, HealthFile)}
	if h.h.LogDir != "" {
		paths = append(paths, filepath.Join(h.h.LogDir, h.c.record.ID+"-healthcheck.log"))
	}
	data = append(data, '\n')
	h.saves.take(func(done func()) {
		switch {
		case h.c.health != h:
			done()
		case h.c.record.guest():
			k.saveForGuest(h.c, data, paths, done)
		default:
			var err error
			k.beside(func() { err = save(data, paths) }, func() {
				if err != nil && !h.warned {
					k.warn("container %s: what was found of its health cannot be written: %v", h.c.record.Name, err)
				}
				h.warned = err != nil
				done()
			})
		}
	})
}

func save(data []byte, paths []string) error {
	var errs []error
	for _, path := range paths {
		err := os.WriteFile(path+".new", data, 0o600)
		if err == nil {
			err = os.Rename(path+".new", path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			os.Remove(path + ".new")
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// tell shows the state in the unit's status. A user's keeper cannot speak in the name of others: a process in the unit's own cgroup
// says it there.
func (k *Keeper) tell(h *health) {
	status, manager := "STATUS="+h.verdict.Status, k.manager(h.c.record)
	switch {
	case h.h.Cgroup == "" || manager.Socket == "":
	case !k.User:
		h.tells.take(func(done func()) {
			var err error
			k.beside(func() { err = manager.sendAs(h.c.record.PID, status, 0) }, func() {
				if err != nil && !errors.Is(err, unix.ESRCH) {
					k.warn("container %s: %v", h.c.record.Name, err)
				}
				done()
			})
		})
	default:
		h.tells.take(func(done func()) {
			k.run(h.c, errand{words: []string{k.Self, "--status", h.h.Cgroup, manager.Socket, status}, then: done})
		})
	}
}

// act does what is to be done with an unhealthy container.
func (k *Keeper) act(h *health, action string) {
	r := h.c.record
	switch action {
	case "kill":
		if h.c.pidfd >= 0 {
			k.warn("container %s is unhealthy: killing it", r.Name)
			unix.PidfdSendSignal(h.c.pidfd, unix.SIGKILL, nil, 0)
		}
	case "restart", "stop":
		k.warn("container %s is unhealthy: %s of %s", r.Name, action, r.Unit)
		k.run(h.c, k.control(r, action))
	}
}

// control asks the manager of a container's unit to do something with it: see manager.
func (k *Keeper) control(r *Record, action string) errand {
	e := errand{words: []string{"/usr/bin/systemctl", "--no-block", "--no-ask-password", action, r.Unit}, env: environment()}
	dir, found := strings.CutSuffix(r.Notify, "/systemd/notify")
	if found = found && dir != "/run"; found { // a user's: root has one, too
		e.env = append(e.env, "XDG_RUNTIME_DIR="+dir)
	}
	if k.User || found {
		e.words = append(e.words, "--user")
	}
	return e
}

// run starts a program that nobody waits for; it is reaped when it has ended.
func (k *Keeper) run(c *container, e errand) {
	if e.then == nil {
		e.then = func() {}
	}
	if c.record.guest() && c.errands >= guestErrands {
		e.then()
		return
	}
	pid, pidfd, err := k.fork(e)
	if err != nil {
		k.warn("container %s: %v", c.record.Name, err)
		e.then()
		return
	}
	if err := k.watch(pidfd, child{pid, pidfd, func() { c.errands--; e.then() }}, unix.EPOLLIN); err != nil {
		unix.Close(pidfd)
		e.then()
		return
	}
	c.errands++
}

type child struct {
	pid, pidfd int
	then       func()
}

func (c child) event(k *Keeper, _ uint32) {
	unix.Wait4(c.pid, nil, 0, nil)
	k.closeWatched(c.pidfd)
	c.then()
}

// turns lets what takes its time be done once at a time, in order: of what waits for that the newest counts.
type turns struct {
	busy bool
	next func(done func())
}

// take does the work now or later; it calls done at its end.
func (t *turns) take(work func(done func())) {
	if t.busy {
		t.next = work
		return
	}
	t.busy = true
	work(func() {
		t.busy = false
		if next := t.next; next != nil {
			t.next = nil
			t.take(next)
		}
	})
}

// answer tells those who wait: of each result, or of the first success.
func (k *Keeper) answer(h *health, code int) {
	h.tellAll(k, response{Health: h.verdict.Status, Code: code}, func(w waiter) bool { return !w.first || h.verdict.Status == Healthy })
}

// endHealth stops probing.
func (k *Keeper) endHealth(c *container) {
	h := c.health
	if h == nil {
		return
	}
	if h.pid > 0 {
		h.kill(k)
		k.watched[int32(h.pidfd)] = child{h.pid, h.pidfd, func() { c.errands-- }} // it may take its time: a file system may not answer it
		c.errands++
		h.closeOutput(k)
		k.endWatch(h)
	}
	h.tellAll(k, response{Error: "the container has ended"}, func(waiter) bool { return true })
	delete(k.probed, c)
	c.health = nil
}

// ask lets a caller wait for a container's health.
func (k *Keeper) ask(c *caller, id string, first bool) error {
	target := k.newest(id, c.peer.owner())
	if target == nil || target.health == nil {
		return fmt.Errorf("container %.12s has no health check, or has ended", id)
	}
	if c.asked != nil {
		return errors.New("one question at a time")
	}
	h := target.health
	if first && h.verdict.Status == Healthy {
		c.respond(k, response{Health: Healthy})
		return nil
	}
	h.waiting = append(h.waiting, waiter{c, first})
	c.asked = h
	if first || h.pid > 0 {
		return nil
	}
	if wait := guestProbe - time.Since(h.begin); c.peer.guest && wait > 0 {
		if h.due.IsZero() || time.Until(h.due) > wait {
			h.due = time.Now().Add(wait)
		}
		return nil
	}
	k.probe(h)
	return nil
}

// drop forgets one who waited.
func (h *health) drop(c *caller) {
	if h != nil {
		h.waiting = slices.DeleteFunc(h.waiting, func(w waiter) bool { return w.caller == c })
		c.asked = nil
	}
}

// tellAll answers those who wait, if they are meant.
func (h *health) tellAll(k *Keeper, r response, meant func(waiter) bool) {
	list := h.waiting
	h.waiting = nil
	for _, w := range list {
		if meant(w) {
			w.caller.asked = nil
			w.caller.respond(k, r)
		} else {
			h.waiting = append(h.waiting, w)
		}
	}
}
