package rootless

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/berth-pods/berth/engine/proc"
)

func TestMapOf(t *testing.T) {
	tests := []struct {
		subs []SubID
		want string
	}{
		{nil, "[{0 1000 1}]"},
		{[]SubID{{Start: 100000, Count: 65536}}, "[{0 1000 1} {1 100000 65536}]"},
		{[]SubID{{Start: 100000, Count: 10}, {Start: 500000, Count: 5}}, "[{0 1000 1} {1 100000 10} {11 500000 5}]"},
	}
	for _, tt := range tests {
		if got := fmt.Sprint(mapOf(1000, tt.subs)); got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.subs, got, tt.want)
		}
	}
}

func TestRanges(t *testing.T) {
	uid := strconv.Itoa(os.Getuid())
	file := filepath.Join(t.TempDir(), "subuid")
	text := "other:1:2\nme:100000:65536\n\n" + uid + ":500000:10\nme2:7:7\n:9:9\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"me": "100000+65536 500000+10", "": "500000+10", "nobody-else": "500000+10"} {
		list, err := ranges(file, name)
		var words []string
		for _, s := range list {
			words = append(words, fmt.Sprintf("%d+%d", s.Start, s.Count))
		}
		if got := strings.Join(words, " "); err != nil || got != want {
			t.Errorf("%q: got %s, %v; want %s", name, got, err, want)
		}
	}
	if list, err := ranges(file+".none", "me"); len(list) != 0 || err != nil {
		t.Errorf("no file: %v, %v", list, err)
	}
	for _, line := range []string{"me::10", "me:x:10", "me:-1:10", "me:4294967296:10", "me:0x10:10", "me:100000", "me:100000:", "me:100000:-10", "me:4294967290:10", "me:1:2:3", "me:1:99999999999999999999"} {
		if err := os.WriteFile(file, []byte("me:100000:65536\nother:x:y\n"+line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if list, err := Ranges(file, "me"); err == nil || !strings.Contains(err.Error(), file+":3: ") {
			t.Errorf("%q: %v, %v", line, list, err)
		}
	}
}

func TestNewIDMap(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	run := func(_ context.Context, c proc.Command) ([]byte, error) {
		if got, want := c.Path+" "+strings.Join(c.Args, " "), dir+"/newuidmap 77 0 1000 1 1 100000 65536"; got != want {
			t.Errorf("ran %s, want %s", got, want)
		}
		return nil, nil
	}
	maps := []idMap{{0, 1000, 1}, {1, 100000, 65536}}
	if err := newIDMap(context.Background(), run, "newuidmap", "/etc/subuid", 77, maps); err == nil || !strings.Contains(err.Error(), "install the package uidmap") {
		t.Errorf("without the program: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "newuidmap"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := newIDMap(context.Background(), run, "newuidmap", "/etc/subuid", 77, maps); err != nil {
		t.Error(err)
	}
	fails := func(context.Context, proc.Command) ([]byte, error) {
		return nil, &proc.ExitError{Program: "newuidmap", Code: 1, Stderr: "uid range [1-65537) not allowed"}
	}
	if err := newIDMap(context.Background(), fails, "newuidmap", "/etc/subuid", 77, maps); err == nil || !strings.Contains(err.Error(), "map the IDs of /etc/subuid: newuidmap: uid range") {
		t.Errorf("got %v", err)
	}
}

func TestListenFDs(t *testing.T) {
	own := strconv.Itoa(os.Getpid())
	for _, tt := range []struct {
		pid, fds string
		want     int
	}{{own, "2", 2}, {own, "", 0}, {own, "-1", 0}, {own, "x", 0}, {"1", "2", 0}, {"", "2", 0}} {
		t.Setenv("LISTEN_PID", tt.pid)
		t.Setenv("LISTEN_FDS", tt.fds)
		if got := listenFDs(); got != tt.want {
			t.Errorf("LISTEN_PID=%s LISTEN_FDS=%s: %d, want %d", tt.pid, tt.fds, got, tt.want)
		}
	}
}

func TestUID(t *testing.T) {
	if UID() != os.Getuid() {
		t.Errorf("outside of a namespace: %d", UID())
	}
	t.Setenv(uidVariable, "1234")
	if UID() != os.Getuid() {
		t.Error("the number was taken without a namespace")
	}
	t.Setenv(configuredVariable, "done")
	if UID() != 1234 || Needed() {
		t.Errorf("in a namespace: %d, needed %v", UID(), Needed())
	}
}
