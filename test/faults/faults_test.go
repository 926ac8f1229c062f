package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParse(t *testing.T) {
	tests := []struct {
		args string
		want plan
		err  string
	}{
		{"count -- true", plan{}, ""},
		{"count -v -- true", plan{list: true}, ""},
		{"kill 3 -- true", plan{at: 3}, ""},
		{"fail 3 ENOSPC -- true", plan{at: 3, errno: unix.ENOSPC}, ""},
		{"kill 0 -- true", plan{}, `"0" does not number a change`},
		{"kill x -- true", plan{}, `"x" does not number a change`},
		{"fail 1 EWHAT -- true", plan{}, `"EWHAT" is not the name of an error`},
		{"count true", plan{}, "no command"},
		{"count --", plan{}, "no command"},
		{"-- true", plan{}, "say what to do"},
	}
	for _, tt := range tests {
		p, _, err := parse(strings.Fields(tt.args))
		if tt.err == "" && (err != nil || p != tt.want) {
			t.Errorf("%s: %+v, %v", tt.args, p, err)
		}
		if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: got %v, want %q", tt.args, err, tt.err)
		}
	}
}

// script makes two directories by way of children, so that the tree is watched and not only the command.
const script = "mkdir one; mkdir two; exit 7"

// faults runs the script below an empty directory and tells what is there afterwards.
func faults(t *testing.T, words ...string) (status int, there []string, said string) {
	t.Helper()
	t.Chdir(t.TempDir())
	var out, errOut bytes.Buffer
	status = run(append(words, "--", "sh", "-c", script), &out, &errOut)
	if status == exitTrouble && strings.Contains(errOut.String(), unix.EPERM.Error()) {
		t.Skip("processes may not be watched here: ", errOut.String())
	}
	for _, name := range []string{"one", "two"} {
		if _, err := os.Stat(filepath.Join(".", name)); !errors.Is(err, fs.ErrNotExist) {
			there = append(there, name)
		}
	}
	return status, there, out.String() + errOut.String()
}

// number finds the change that a listing gives a number to.
func number(t *testing.T, listing, call string, nth int) string {
	t.Helper()
	for line := range strings.Lines(listing) {
		words := strings.Fields(line)
		if len(words) == 3 && words[2] == call {
			if nth--; nth == 0 {
				return words[0]
			}
		}
	}
	t.Fatalf("no %s in:\n%s", call, listing)
	return ""
}

func TestFaults(t *testing.T) {
	status, there, listing := faults(t, "count", "-v")
	if status != 7 || strings.Join(there, " ") != "one two" {
		t.Fatalf("untouched: status %d, %v, %s", status, there, listing)
	}
	second := number(t, listing, "mkdir", 2)

	// The command dies while its child is about to make the second directory. The child lives on.
	status, _, said := faults(t, "kill", second)
	if status != 137 || !strings.Contains(said, "was mkdir mkdir") {
		t.Errorf("kill: status %d, %s", status, said)
	}
	status, there, said = faults(t, "fail", second, "ENOSPC")
	if status != 7 || strings.Join(there, " ") != "one" || !strings.Contains(said, "was mkdir mkdir") {
		t.Errorf("fail: status %d, %v, %s", status, there, said)
	}
	// A number that is never reached is told, so that a test cannot pass for that reason.
	status, there, said = faults(t, "kill", "100000")
	if status != 7 || len(there) != 2 || !strings.Contains(said, "there was no change 100000") {
		t.Errorf("never reached: status %d, %v, %s", status, there, said)
	}
}
