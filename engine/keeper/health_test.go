package keeper

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/enginetest/nofiles"
)

func TestJudge(t *testing.T) {
	begin := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name  string
		h     Health
		codes []int // one each second
		want  string
	}{
		{"well", Health{Retries: 2}, []int{0}, "healthy 0 "},
		{"once", Health{Retries: 2, OnFailure: "kill"}, []int{0, 1}, "healthy 1 "},
		{"twice", Health{Retries: 2, OnFailure: "kill"}, []int{0, 1, 1}, "unhealthy 2 kill"},
		{"the action comes once", Health{Retries: 1, OnFailure: "kill"}, []int{1, 1}, "unhealthy 2 "},
		{"not in a row", Health{Retries: 2, OnFailure: "kill"}, []int{1, 0, 1}, "healthy 1 "},
		{"well again", Health{Retries: 1, OnFailure: "kill"}, []int{1, 0}, "healthy 0 "},
		{"while it starts", Health{Retries: 1, StartPeriod: 3 * time.Second}, []int{1, 1}, "starting 0 "},
		{"when it has had its time", Health{Retries: 1, StartPeriod: 2 * time.Second}, []int{1, 1}, "unhealthy 1 "},
		{"well while it starts, then not", Health{Retries: 1, StartPeriod: time.Minute}, []int{0, 1}, "unhealthy 1 "},
		{"somebody waits: failures count once an interval", Health{Retries: 2, Fast: true, Interval: 3 * time.Second}, []int{1, 1, 1, 1, 1}, "starting 1 "},
	}
	for _, tt := range tests {
		h := &health{h: &tt.h, started: begin, counted: begin, verdict: Verdict{Status: Starting}}
		action := ""
		for i, code := range tt.codes {
			action = h.judge(code, begin.Add(time.Duration(i+1)*time.Second))
		}
		if got := fmt.Sprintf("%s %d %s", h.verdict.Status, h.verdict.FailingStreak, action); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestUnitOfAnotherManager: what is done about an unhealthy container is asked of the manager of its unit, whoever has started the keeper.
func TestUnitOfAnotherManager(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "/x")
	for _, tt := range []struct {
		user         bool
		notify, want string
	}{
		{false, "", "restart web.service in /x"},
		{false, "/run/systemd/notify", "restart web.service in /x"},
		{false, "/run/user/0/systemd/notify", "restart web.service --user in /run/user/0"},
		{true, "", "restart web.service --user in /x"},
		{true, "/run/user/7/systemd/notify", "restart web.service --user in /run/user/7"},
	} {
		e := (&Keeper{User: tt.user}).control(&Record{Unit: "web.service", Notify: tt.notify}, "restart")
		words := strings.TrimPrefix(strings.Join(e.words, " "), "/usr/bin/systemctl --no-block --no-ask-password ")
		at := ""
		for _, v := range e.env { // the last one counts
			if dir, ok := strings.CutPrefix(v, "XDG_RUNTIME_DIR="); ok {
				at = dir
			}
		}
		if got := words + " in " + at; got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}

func TestStartupProbe(t *testing.T) {
	h := &health{h: &Health{Startup: &Startup{Retries: 2, Success: 2}}, startup: true, verdict: Verdict{Status: Starting}}
	for i, step := range []struct {
		code    int
		action  string
		startup bool
	}{{1, "", true}, {0, "", true}, {1, "restart", true}, {0, "", true}, {0, "", false}} {
		if action := h.starting(step.code); action != step.action || h.startup != step.startup {
			t.Errorf("step %d: %q, %v", i, action, h.startup)
		}
	}
	if h.verdict.Status != Healthy {
		t.Error(h.verdict.Status)
	}
}

func TestReadOutput(t *testing.T) {
	for limit, want := range map[int]string{0: "abc\xff", 2: "ab", 9: "abc\xff"} {
		b := newBench(t)
		var fds [2]int
		if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
			t.Fatal(err)
		}
		h := &health{h: &Health{LogSize: limit}, output: fds[0]}
		for _, text := range []string{"abc", "\xff"} {
			if _, err := unix.Write(fds[1], []byte(text)); err != nil {
				t.Fatal(err)
			}
			h.read(b.k) // the writer need not have ended
		}
		if string(h.text) != want || h.output < 0 {
			t.Errorf("%d: %q", limit, h.text)
		}
		unix.Close(fds[1])
		if h.read(b.k); h.output != -1 {
			t.Error("the end is not seen")
		}
	}
}

// A probe that writes more than a pipe takes ends as any other.
func TestLoudProbe(t *testing.T) {
	b := newHealthBench(t, "head -c 300000 /dev/zero | tr '\\0' x; echo end >&2; exit 3", Health{Timeout: 20 * time.Second, Retries: 1, OnFailure: "none"})
	b.probe()
	if log := b.c.health.verdict.Log; len(log) != 1 || log[0].ExitCode != 3 || len(log[0].Output) != outputRead {
		t.Errorf("%d results: %+.200v", len(log), log)
	}
}

// Why a container is unhealthy stands in the log of its unit.
func TestUnhealthyIsTold(t *testing.T) {
	for command, want := range map[string]string{"echo refused; exit 3": "refused", "exit 3": "the probe's exit status is 3"} {
		b := newHealthBench(t, command, Health{Timeout: 20 * time.Second, Retries: 1, OnFailure: "none"})
		b.probe()
		got := strings.Join(b.entries(), "")
		if !strings.Contains(got, "MESSAGE=container web is unhealthy: "+want+"\n") || !strings.Contains(got, "\nUSER_UNIT=web.service\n") {
			t.Errorf("%s: %q", command, got)
		}
	}
}

// awaitEnd waits until a process has ended.
func awaitEnd(t *testing.T, pidfd int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if n, _ := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 1000); n == 1 {
			return
		}
	}
	t.Error("it lives")
}

// A probe that does not end when it is killed holds nobody up.
func TestProbeThatDoesNotEnd(t *testing.T) {
	b := newHealthBench(t, "true", Health{})
	sleep := func() (*exec.Cmd, int) {
		cmd := exec.Command("sleep", "1000")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		fd, err := unix.PidfdOpen(cmd.Process.Pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		return cmd, fd
	}
	probe, its := sleep()
	defer unix.Close(its)
	other, fd := sleep() // is killed in its place
	h := b.c.health
	h.pid, h.pidfd = probe.Process.Pid, fd
	if err := b.k.watch(fd, h, unix.EPOLLIN); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { b.k.endHealth(b.c); close(ended) }()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("the keeper waits for it")
	}
	probe.Process.Kill()
	<-ended
	awaitEnd(t, its)
	for end := time.Now().Add(20 * time.Second); b.c.errands > 0 && time.Now().Before(end); {
		b.k.Step(100)
	}
	if err := unix.Kill(probe.Process.Pid, 0); b.c.errands != 0 || err != unix.ESRCH {
		t.Errorf("it is not reaped: %d, %v", b.c.errands, err)
	}
	other.Wait()
}

func TestHealthLogIsBounded(t *testing.T) {
	var log []Probe
	for code := range 5 {
		log = last(append(log, Probe{ExitCode: code}), 3)
	}
	if len(log) != 3 || log[0].ExitCode != 2 || log[2].ExitCode != 4 {
		t.Errorf("%+v", log)
	}
	if got := last(log, 0); len(got) != 3 {
		t.Errorf("without a limit: %+v", got)
	}
	size := 0
	for range 100_000 {
		if log = last(append(log, Probe{Output: strings.Repeat("x", 50)}), 0); len(log) < 1000 && size > 1000 {
			t.Fatalf("%d results are left", len(log))
		}
		size = len(log)
	}
	if data, err := json.Marshal(log); err != nil || len(log) < 1000 || len(data) > 2*maxLog {
		t.Errorf("%d results in %d bytes, %v", len(log), len(data), err)
	}
	for range 100 {
		log = last(append(log, Probe{Output: strings.Repeat("x", outputRead)}), 50)
	}
	if len(log) != maxLog/outputRead-1 {
		t.Errorf("%d of the largest", len(log))
	}
}

// healthBench is a container whose probe is a shell's command.
type healthBench struct {
	*bench
	c *container
}

func newHealthBench(t *testing.T, command string, h Health) *healthBench {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	b := &healthBench{bench: newBench(t)}
	var err error
	if b.k.Self, err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	r := record()
	h.Runtime, h.Dir = []string{"/bin/sh", "-c", command}, b.dir
	r.PID, r.Start, r.Health = cmd.Process.Pid, startOf(cmd.Process.Pid), &h
	b.c = &container{name: testID, record: &r, pidfd: -1}
	b.k.containers[testID] = b.c
	b.k.follow(b.c)
	b.k.watchHealth(b.c)
	if b.c.health == nil {
		t.Fatal("it is not probed")
	}
	return b
}

// until lets the keeper work until it is so.
func (b *healthBench) until(what string, so func() bool) {
	b.t.Helper()
	for end := time.Now().Add(30 * time.Second); !so(); {
		if err := b.k.Step(50); err != nil {
			b.t.Fatal(err)
		}
		if time.Now().After(end) {
			b.t.Fatal("it never came that ", what)
		}
	}
}

// probe probes once.
func (b *healthBench) probe() {
	b.t.Helper()
	h := b.c.health
	b.k.probe(h)
	b.until("the probe ended", func() bool { return h.pid == 0 })
}

// A container that is frozen is not judged, and neither is a probe that runs when that happens; the same probe is, otherwise.
func TestFrozenContainer(t *testing.T) {
	root, group := cgroup2Dir(t)
	freeze := func(how string) {
		if err := os.WriteFile(filepath.Join(root, group, "cgroup.freeze"), []byte(how), 0); err != nil {
			t.Fatal(err)
		}
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	b := newHealthBench(t, "read x <"+fifo+"; exit 1", Health{Timeout: time.Minute, Retries: 1, OnFailure: "kill"})
	h := b.c.health
	b.k.Cgroups = root
	pid := b.c.record.PID
	if err := os.WriteFile(filepath.Join(root, group, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // before the group is removed
		freeze("0")
		unix.Kill(pid, unix.SIGKILL)
		awaitEnd(t, b.c.pidfd)
	})
	untouched := func(when string) {
		t.Helper()
		if h.verdict.Status != Starting || len(h.verdict.Log) != 0 || h.pid != 0 {
			t.Errorf("%s: %+v", when, h.verdict)
		}
	}
	freeze("1")
	caller := &caller{fd: -1}
	if err := b.k.ask(caller, testID, false); err != nil {
		t.Fatal(err)
	}
	untouched("frozen before")
	if len(h.waiting) != 0 {
		t.Error("one waits for what does not come")
	}
	freeze("0")

	b.k.probe(h)
	answer, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Close()
	freeze("1")
	b.until("it is seen frozen", func() bool { return h.frozen })
	freeze("0")
	answer.WriteString("go on\n")
	b.until("the probe ended", func() bool { return h.pid == 0 })
	untouched("frozen meanwhile")

	answer.WriteString("go on\n")
	b.probe()
	if h.verdict.Status != Unhealthy {
		t.Errorf("not frozen: %+v", h.verdict)
	}
}

// TestVerdictsInOrder: a user's unit shows the verdict that was last, whichever process of those that write it is quicker.
func TestVerdictsInOrder(t *testing.T) {
	b := newGuestBench(t)
	script := filepath.Join(b.dir, "keeper")
	text := fmt.Sprintf("#!/bin/sh\nread v\ncd %s\nif mkdir first 2>/dev/null; then read x <go; fi\necho \"$v\" >verdict\n", b.dir)
	if err := errors.Join(os.WriteFile(script, []byte(text), 0o755), unix.Mkfifo(filepath.Join(b.dir, "go"), 0o600)); err != nil {
		t.Fatal(err)
	}
	b.k.Self = script
	r := b.record()
	r.Guest = &Guest{Group: "system.slice/web.service/berth"}
	c := &container{record: r}
	c.health = &health{c: c, h: &Health{Dir: b.dir}}
	for _, status := range []string{Starting, Healthy, Unhealthy} {
		c.health.verdict.Status = status
		b.k.saveVerdict(c.health)
	}
	if c.errands != 1 {
		t.Errorf("%d write at once", c.errands)
	}
	gate, err := os.OpenFile(filepath.Join(b.dir, "go"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(gate)
	gate.Close()
	b.until("all is written", func() bool { return c.errands == 0 })
	data, err := os.ReadFile(filepath.Join(b.dir, "verdict"))
	if err != nil || !strings.Contains(string(data), Unhealthy) {
		t.Errorf("%s, %v", data, err)
	}
}

// TestVerdictOfAnotherRun: what was found out of one run is taken up by the next keeper, and says nothing of another run.
func TestVerdictOfAnotherRun(t *testing.T) {
	b := newHealthBench(t, "true", Health{Timeout: 20 * time.Second, Retries: 1})
	b.probe()
	b.until("it is written", func() bool { return len(b.k.jobs) == 0 })
	r := *b.c.record
	if v, err := ReadVerdict(b.dir, r.process()); err != nil || v.Status != Healthy {
		t.Errorf("of this run: %+v, %v", v, err)
	}
	if v, err := ReadVerdict(b.dir, Process{r.PID, r.Start + 1}); err == nil {
		t.Errorf("of a later run: %+v", v)
	}
	again := &container{record: &r, pidfd: b.c.pidfd}
	if b.k.watchHealth(again); again.health.verdict.Status != Healthy || len(again.health.verdict.Log) != 1 {
		t.Errorf("in the next keeper: %+v", again.health.verdict)
	}
	r.Start++
	later := &container{record: &r, pidfd: b.c.pidfd}
	if b.k.watchHealth(later); later.health.verdict.Status != Starting || len(later.health.verdict.Log) != 0 {
		t.Errorf("of the later run: %+v", later.health.verdict)
	}
	for _, c := range []*container{again, later} {
		b.k.endHealth(c)
	}
}

// TestVerdictThatCannotBeWritten: it is said once.
func TestVerdictThatCannotBeWritten(t *testing.T) {
	b := newBench(t)
	var said bytes.Buffer
	b.k.Warn = &said
	if err := os.MkdirAll(filepath.Join(b.dir, HealthFile+".new", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := &container{record: &Record{ID: testID, Name: "web"}}
	c.health = &health{c: c, h: &Health{Dir: b.dir}}
	for range 2 {
		b.k.saveVerdict(c.health)
		b.until("it has ended", func() bool { return len(b.k.jobs) == 0 })
	}
	if strings.Count(said.String(), "\n") != 1 || !strings.Contains(said.String(), "container web: ") {
		t.Errorf("said %q", said.String())
	}
}

// TestProbeThatCannotBeStarted: it says nothing of the container; that is said once, and it is tried again.
func TestProbeThatCannotBeStarted(t *testing.T) {
	b := newHealthBench(t, "true", Health{Interval: time.Millisecond, Timeout: 20 * time.Second, Retries: 1, OnFailure: "kill"})
	var said bytes.Buffer
	b.k.Warn = &said
	h := b.c.health
	waits := &caller{fd: -1}
	h.waiting = []waiter{{caller: waits}}
	nofiles.During(t, func() {
		b.k.probe(h)
		b.k.probe(h)
	})
	if h.verdict.Status != Starting || h.verdict.FailingStreak != 0 || len(h.verdict.Log) != 0 || h.pid != 0 {
		t.Errorf("%+v", h.verdict)
	}
	if strings.Count(said.String(), "\n") != 1 || !strings.Contains(said.String(), "container web: its health cannot be looked at: ") {
		t.Errorf("said %q", said.String())
	}
	if len(h.waiting) != 0 {
		t.Error("one waits for what does not come")
	}
	b.until("it is tried again", func() bool { return h.verdict.Status == Healthy })
}

// TestHealthLogThatDoesNotAnswer: the keeper does not wait for a directory of --health-log-destination.
func TestHealthLogThatDoesNotAnswer(t *testing.T) {
	dir := t.TempDir()
	server := deadMount(t, dir)
	b := newBench(t)
	c := &container{record: &Record{ID: testID}}
	c.health = &health{c: c, h: &Health{Dir: b.dir, LogDir: dir}}
	done := make(chan bool)
	go func() { b.k.saveVerdict(c.health); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Error("it waits")
	}
	server.Close()
	<-done
	b.until("it has ended", func() bool { return len(b.k.jobs) == 0 })
}
