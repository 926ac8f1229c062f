package cli

import (
	"strings"
	"testing"
	"time"
)

func TestWaitOptions(t *testing.T) {
	for interval, want := range map[string]time.Duration{"100ms": 100 * time.Millisecond, "250": 250 * time.Millisecond, "1.5s": 1500 * time.Millisecond} {
		if got, err := (waitOptions{interval: interval}).pause(); got != want || err != nil {
			t.Errorf("%q: %s, %v", interval, got, err)
		}
	}
	for _, interval := range []string{"nonsense", "", "0", "-5s"} {
		if got, err := (waitOptions{interval: interval}).pause(); err == nil || !strings.Contains(err.Error(), "--interval="+interval) {
			t.Errorf("%q: %s, %v", interval, got, err)
		}
	}
	for words, want := range map[string][2]bool{
		"stopped": {true, true}, "stopped exited removing": {true, true}, "removing": {false, true}, "paused": {false, false}, "stopped healthy": {true, false},
	} {
		if end, only := (waiting{conditions: strings.Fields(words)}).forEnd(); [2]bool{end, only} != want {
			t.Errorf("%q: %t, %t", words, end, only)
		}
	}
}
