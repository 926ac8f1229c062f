package events

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestEventEntry(t *testing.T) {
	code := 3
	e := Event{
		Type: "container", What: []string{"died", "remove"}, ID: "abc", Name: "web", Image: "localhost/a\nB=1", ExitCode: &code, Attributes: map[string]string{"b": "x\ny", "a": "1"},
	}
	want := "MESSAGE=container web: died, remove (exit status 3)\nMESSAGE_ID=" + MessageID + "\nPRIORITY=6\nSYSLOG_IDENTIFIER=berth\nBERTH_EVENT=died,remove\n" +
		"BERTH_TYPE=container\nBERTH_ID=abc\nBERTH_NAME=web\nBERTH_IMAGE=localhost/a B=1\nBERTH_EXIT_CODE=3\nBERTH_ATTRIBUTES={\"a\":\"1\",\"b\":\"x\\ny\"}\n"
	if got := string(e.entry()); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestEventOfUnit: what another process than one of the unit's tells is found in the unit's log.
func TestEventOfUnit(t *testing.T) {
	e := Event{Type: "container", What: []string{"health_status"}, Name: "web", Health: "unhealthy", Why: "no\nanswer", Unit: "web.service"}
	for user, field := range map[bool]string{false: "OBJECT_SYSTEMD_UNIT", true: "USER_UNIT"} {
		e.User = user
		got := string(e.entry())
		if !strings.HasPrefix(got, "MESSAGE=container web is unhealthy: no answer\n") || !strings.Contains(got, "\n"+field+"=web.service\n") || strings.Count(got, "_UNIT=") != 1 {
			t.Errorf("user %v: got\n%s", user, got)
		}
	}
}

// TestEventSend: the entry arrives, and a journal that is away or takes nothing keeps nobody waiting.
func TestEventSend(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "socket")
	e := Event{Type: "volume", What: []string{"create"}, Name: "v"}
	e.SendTo(socket) // nobody is there
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	e.SendTo(socket)
	buf := make([]byte, 4096)
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := conn.Read(buf); err != nil || string(buf[:n]) != string(e.entry()) {
		t.Errorf("got %q, %v", buf[:n], err)
	}
	sent := make(chan bool)
	go func() {
		for range 5000 { // more than the socket holds (unix(7), net.unix.max_dgram_qlen)
			e.SendTo(socket)
		}
		close(sent)
	}()
	select {
	case <-sent:
	case <-time.After(20 * time.Second):
		t.Error("a full socket keeps the sender waiting")
	}
}
