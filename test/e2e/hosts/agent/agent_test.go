package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// connect returns a client of an agent that runs in this process, and the agent's end of the line.
func connect(t *testing.T) (*Client, net.Conn) {
	inside, outside := net.Pipe()
	t.Cleanup(func() { inside.Close(); outside.Close() })
	go Serve(inside)
	c, err := Connect(outside)
	if err != nil {
		t.Fatal(err)
	}
	return c, inside
}

func TestRun(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 20000) // more than one frame
	tests := []struct {
		name  string
		cmd   Command
		stdin string
		code  int
		out   string
		err   string
	}{
		{"output", Command{Args: []string{"sh", "-c", "echo out; echo err >&2"}}, "", 0, "out\n", "err\n"},
		{"exit code", Command{Args: []string{"sh", "-c", "exit 7"}}, "", 7, "", ""},
		{"signal", Command{Args: []string{"sh", "-c", "kill -9 $$"}}, "", 137, "", ""},
		{"environment", Command{Args: []string{"sh", "-c", "echo $WHO"}, Env: []string{"WHO=me"}}, "", 0, "me\n", ""},
		{"directory", Command{Args: []string{"pwd"}, Dir: "/usr"}, "", 0, "/usr\n", ""},
		{"directory by default", Command{Args: []string{"pwd"}}, "", 0, "/\n", ""},
		{"input", Command{Args: []string{"cat"}}, long, 0, long, ""},
		{"input not read", Command{Args: []string{"true"}}, "some", 0, "", ""},
		{"no input", Command{Args: []string{"cat"}}, "", 0, "", ""},
	}
	c, _ := connect(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out, err bytes.Buffer
			streams := Streams{Stdout: &out, Stderr: &err}
			if test.stdin != "" {
				streams.Stdin = strings.NewReader(test.stdin)
			}
			code, runErr := c.Run(context.Background(), test.cmd, streams)
			if runErr != nil || code != test.code || out.String() != test.out || err.String() != test.err {
				t.Errorf("code %d, %v; %d bytes of output %.40q, errors %q", code, runErr, out.Len(), out.String(), err.String())
			}
		})
	}
}

func TestRunNamesAMissingProgram(t *testing.T) {
	c, _ := connect(t)
	_, err := c.Run(context.Background(), Command{Args: []string{"/no/such/program"}}, Streams{})
	if err == nil || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("error %v does not name the program", err)
	}
}

func TestCommandsRunAtTheSameTime(t *testing.T) {
	c, _ := connect(t)
	dir := t.TempDir()
	done := make(chan error, 1)
	go func() { // waits for the second command
		_, err := c.Run(context.Background(), Command{Args: []string{"sh", "-c", "mkfifo f && cat f"}, Dir: dir}, Streams{})
		done <- err
	}()
	code, err := c.Run(context.Background(), Command{Args: []string{"sh", "-c", "until [ -p f ]; do :; done; echo >f"}, Dir: dir}, Streams{})
	if code != 0 || err != nil {
		t.Errorf("code %d, %v", code, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestEndOfContextKillsTheCommandAndItsChildren(t *testing.T) {
	c, _ := connect(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("too slow")
	go cancel(why)
	_, err := c.Run(ctx, Command{Args: []string{"sh", "-c", "sleep 1000 & wait"}}, Streams{})
	if !errors.Is(err, why) {
		t.Errorf("error %v, want %v", err, why)
	}
}

func TestRunWhenTheMachineGoes(t *testing.T) {
	c, inside := connect(t)
	started := make(chan struct{})
	go func() {
		<-started
		inside.Close()
	}()
	_, err := c.Run(context.Background(), Command{Args: []string{"sh", "-c", "echo; exec sleep 5"}}, Streams{Stdout: closer{started}})
	if !errors.Is(err, ErrGone) {
		t.Errorf("error %v, want %v", err, ErrGone)
	}
	if _, err := c.Run(context.Background(), Command{Args: []string{"true"}}, Streams{}); !errors.Is(err, ErrGone) {
		t.Errorf("error %v afterwards, want %v", err, ErrGone)
	}
}

type closer struct{ c chan struct{} }

func (c closer) Write(p []byte) (int, error) {
	close(c.c)
	return len(p), nil
}

func TestConnectSkipsWhatAnEarlierBootLeft(t *testing.T) {
	inside, outside := net.Pipe()
	defer inside.Close()
	go func() {
		inside.Write([]byte("\x04\x00\x00torn frame" + hello[:7] + "\x00\x00"))
		Serve(inside)
	}()
	c, err := Connect(outside)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if code, err := c.Run(ctx, Command{Args: []string{"true"}}, Streams{}); code != 0 || err != nil {
		t.Errorf("code %d, %v", code, err)
	}
}

func TestResume(t *testing.T) {
	inside, outside := net.Pipe()
	defer inside.Close()
	go Serve(inside)
	if _, err := io.ReadFull(outside, make([]byte, len(hello))); err != nil {
		t.Fatal(err)
	}
	c, err := Resume(outside)
	if err != nil {
		t.Fatal(err)
	}
	if code, err := c.Run(context.Background(), Command{Args: []string{"sh", "-c", "exit 4"}}, Streams{}); code != 4 || err != nil {
		t.Errorf("code %d, %v", code, err)
	}
}
