package keeper

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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
	for limit, want := range map[int]string{0: "abc\uFFFD", 2: "ab", 9: "abc\uFFFD"} {
		var fds [2]int
		if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Write(fds[1], []byte("abc\xff")); err != nil {
			t.Fatal(err)
		}
		if got := readOutput(fds[0], limit); got != want { // the writer need not have ended
			t.Errorf("%d: %q", limit, got)
		}
		closeAll(fds[:])
	}
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
}
