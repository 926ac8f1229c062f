package sd

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// listen is a service manager that reads n messages and closes the files that come with them.
func listen(t *testing.T, n int) (messages chan string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	messages = make(chan string, n)
	go func() {
		for range n {
			text, files := make([]byte, 4096), make([]byte, 4096)
			count, fileCount, _, _, err := conn.ReadMsgUnix(text, files)
			if err != nil {
				return
			}
			messages <- string(text[:count])
			list, _ := unix.ParseSocketControlMessage(files[:fileCount])
			for _, m := range list {
				fds, _ := unix.ParseUnixRights(&m)
				for _, fd := range fds {
					unix.Close(fd)
				}
			}
		}
	}()
	return messages
}

// TestNotify: it returns when the manager has come to the message, and not before.
func TestNotify(t *testing.T) {
	messages := listen(t, 2)
	if err := (Manager{}).Notify("MAINPID=7\nREADY=1"); err != nil {
		t.Fatal(err)
	}
	if first, second := <-messages, <-messages; first != "MAINPID=7\nREADY=1" || second != "BARRIER=1" {
		t.Errorf("%q, %q", first, second)
	}
}

func TestNotifyNobody(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := (Manager{}).Notify("READY=1"); err != nil {
		t.Error(err)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))
	if err := (Manager{}).Notify("READY=1"); err == nil || !strings.HasPrefix(err.Error(), "notify service manager: ") {
		t.Errorf("got %v", err)
	}
}

// TestBarrierGivesUp: a manager that does not read does not hold us up for ever.
func TestBarrierGivesUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "silent")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := barrier(path, 10*time.Millisecond); err == nil || !strings.Contains(err.Error(), "no answer within 10ms") {
		t.Errorf("got %v", err)
	}
}
