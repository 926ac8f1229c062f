// Package agent carries commands into a test machine and their output back, over one byte stream: a unix socket for a
// namespace machine, a virtio-serial port for a virtual one. Serve runs inside the machine, Client on the outside.
package agent

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// hello is what the agent writes first on every start. A serial port has no connections, so the client looks for these
// bytes to find the beginning of a conversation, whatever an earlier boot left in the pipe.
const hello = "\x00\x01berth-test-agent-1\x01\x00"

// maxPayload bounds a frame, in bytes; a longer length means that the two ends have lost each other.
const maxPayload = 1 << 20

// chunk is how much output travels in one frame, in bytes.
const chunk = 32 << 10

type kind byte

const (
	kindExec   kind = iota + 1 // client to agent: a Command as JSON
	kindStdin                  // client to agent: input; an empty one ends it
	kindKill                   // client to agent: end the command's process group with SIGKILL
	kindStdout                 // agent to client
	kindStderr                 // agent to client
	kindExit                   // agent to client: an exit as JSON, the last frame of its command
	kindGreet                  // client to agent: say hello again, to a client that comes later
)

type frame struct {
	kind    kind
	id      uint32 // the command that the frame belongs to
	payload []byte
}

// Command is what runs in the machine.
type Command struct {
	Args  []string `json:"args"`
	Env   []string `json:"env,omitempty"` // KEY=VALUE, added to the agent's own
	Dir   string   `json:"dir,omitempty"` // "/" when empty
	Input bool     `json:"input,omitempty"`
}

type exit struct {
	Code  int    `json:"code"`            // 128+n when signal n ended the command, as a shell counts
	Error string `json:"error,omitempty"` // the command could not be started
}

// writer serialises the frames of all commands onto the one stream.
type writer struct {
	mu sync.Mutex
	w  io.Writer
}

func (w *writer) send(k kind, id uint32, payload []byte) error {
	buf := make([]byte, 9, 9+len(payload))
	buf[0] = byte(k)
	binary.BigEndian.PutUint32(buf[1:], id)
	binary.BigEndian.PutUint32(buf[5:], uint32(len(payload)))
	buf = append(buf, payload...)
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.w.Write(buf)
	return err
}

func (w *writer) sendJSON(k kind, id uint32, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.send(k, id, data)
}

func readFrame(r io.Reader) (frame, error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	n := binary.BigEndian.Uint32(head[5:])
	if n > maxPayload {
		return frame{}, fmt.Errorf("frame of %d bytes: the stream is out of step", n)
	}
	f := frame{kind: kind(head[0]), id: binary.BigEndian.Uint32(head[1:]), payload: make([]byte, n)}
	_, err := io.ReadFull(r, f.payload)
	return f, err
}

// skipToHello reads until the greeting has gone by.
func skipToHello(r *bufio.Reader) error {
	for matched := 0; matched < len(hello); {
		b, err := r.ReadByte()
		if err != nil {
			return err
		}
		switch b {
		case hello[matched]:
			matched++
		case hello[0]:
			matched = 1
		default:
			matched = 0
		}
	}
	return nil
}

func (w *writer) greet() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := io.WriteString(w.w, hello)
	return err
}
