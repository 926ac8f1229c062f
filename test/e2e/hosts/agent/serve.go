package agent

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// strayWriters is how long the agent goes on reading after a command ended, for a process it left behind may hold the
// pipe open for ever.
const strayWriters = time.Second

// Serve greets the client and runs its commands until the stream ends. Every command gets a process group of its own.
func Serve(stream io.ReadWriter) error {
	s := &server{out: &writer{w: stream}, running: map[uint32]*command{}}
	if err := s.out.greet(); err != nil {
		return err
	}
	for {
		f, err := readFrame(stream)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		s.handle(f)
	}
}

type server struct {
	out     *writer
	mu      sync.Mutex
	running map[uint32]*command
}

type command struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
}

func (s *server) handle(f frame) {
	switch f.kind {
	case kindExec:
		s.start(f)
	case kindGreet:
		s.out.greet()
	case kindStdin:
		s.input(f)
	case kindKill:
		if c := s.find(f.id); c != nil {
			syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
		}
	}
}

func (s *server) find(id uint32) *command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running[id]
}

func (s *server) start(f frame) {
	c, err := s.prepare(f)
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		s.out.sendJSON(kindExit, f.id, exit{Code: 127, Error: err.Error()})
		return
	}
	s.mu.Lock()
	s.running[f.id] = c
	s.mu.Unlock()
	go s.reap(f.id, c)
}

func (s *server) prepare(f frame) (*command, error) {
	var want Command
	if err := json.Unmarshal(f.payload, &want); err != nil {
		return nil, err
	}
	if len(want.Args) == 0 {
		return nil, errors.New("no command")
	}
	cmd := exec.Command(want.Args[0], want.Args[1:]...)
	cmd.Dir = "/"
	if want.Dir != "" {
		cmd.Dir = want.Dir
	}
	cmd.Env = append(os.Environ(), want.Env...)
	cmd.Stdout = output{s.out, kindStdout, f.id}
	cmd.Stderr = output{s.out, kindStderr, f.id}
	cmd.WaitDelay = strayWriters
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if !want.Input {
		return &command{cmd: cmd}, nil
	}
	stdin, err := cmd.StdinPipe()
	return &command{cmd: cmd, stdin: stdin}, err
}

// input writes in the reading loop: a command that does not read its input holds up the others, which a test bears.
func (s *server) input(f frame) {
	c := s.find(f.id)
	if c == nil || c.stdin == nil {
		return
	}
	if len(f.payload) == 0 {
		c.stdin.Close()
		return
	}
	c.stdin.Write(f.payload) // a command may end without reading; its exit code tells
}

func (s *server) reap(id uint32, c *command) {
	err := c.cmd.Wait()
	s.mu.Lock()
	delete(s.running, id)
	s.mu.Unlock()
	s.out.sendJSON(kindExit, id, outcome(c.cmd.ProcessState, err))
}

func outcome(state *os.ProcessState, err error) exit {
	if state == nil {
		return exit{Code: 127, Error: err.Error()}
	}
	ws := state.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return exit{Code: 128 + int(ws.Signal())}
	}
	return exit{Code: ws.ExitStatus()}
}

type output struct {
	out  *writer
	kind kind
	id   uint32
}

func (o output) Write(p []byte) (int, error) {
	for sent := 0; sent < len(p); {
		end := min(sent+chunk, len(p))
		if err := o.out.send(o.kind, o.id, p[sent:end]); err != nil {
			return sent, err
		}
		sent = end
	}
	return len(p), nil
}
