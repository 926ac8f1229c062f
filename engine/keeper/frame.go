package keeper

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

// attachVersion is the version of what is spoken on a connection after an attach request.
const attachVersion = 1

// Attach asks to be connected with a container: its output is shown from now on, and it gets what is typed.
type Attach struct {
	Version int    `json:"version"`
	ID      string `json:"id"`
	Wait    bool   `json:"wait,omitempty"`   // the container is about to be started; show all of its output
	Silent  bool   `json:"silent,omitempty"` // show nothing
	// Rows and Columns are the size that a terminal is to have; 0 leaves it.
	Rows    uint16 `json:"rows,omitempty"`
	Columns uint16 `json:"columns,omitempty"`
}

// Begun is what an attached one is told first.
type Begun struct {
	Terminal bool `json:"terminal,omitempty"`
	Input    bool `json:"input,omitempty"` // there is a standard input, or a terminal
}

// Ended tells how a container has ended, or why it could not start. The unit's last command knows it from systemd.
type Ended struct {
	ID    string `json:"id,omitempty"`   // of the container
	Unit  string `json:"unit,omitempty"` // or the unit that it was in
	Code  int    `json:"code"`
	Error string `json:"error,omitempty"`
}

// The kinds of frame. A frame is one message: a byte for the kind, and what belongs to it.
const (
	frameBegun    = 'b' // from the keeper: Begun
	frameStdout   = 'o'
	frameStderr   = 'e'
	frameLost     = 'l' // so many bytes were not shown, for they were not read in time
	frameFinished = 'f' // there is no more output
	frameEnded    = 'x' // Ended; the last one

	frameInput = 'i' // to the keeper: what is typed
	frameClose = 'c' // nothing more will be
	frameSize  = 'w' // rows and columns, 16 bits each
)

// maxFrame bounds what one frame carries, in bytes.
const maxFrame = 16 << 10

// frame is one that has been read.
type frame struct {
	kind byte
	data []byte
	// What data says, by kind.
	begun         Begun
	ended         Ended
	lost          uint64
	rows, columns uint16
}

var errFrame = errors.New("message of an attached one")

// parseFrame reads a frame. It refuses what neither side sends.
func parseFrame(b []byte) (f frame, err error) {
	if len(b) == 0 || len(b) > maxFrame+1 {
		return f, fmt.Errorf("%w: %d bytes", errFrame, len(b))
	}
	f.kind, f.data = b[0], b[1:]
	switch f.kind {
	case frameStdout, frameStderr, frameInput:
		return f, nil
	case frameFinished, frameClose:
		if len(f.data) == 0 {
			return f, nil
		}
	case frameLost:
		if len(f.data) == 8 {
			f.lost = binary.BigEndian.Uint64(f.data)
			return f, nil
		}
	case frameSize:
		if len(f.data) == 4 {
			f.rows, f.columns = binary.BigEndian.Uint16(f.data), binary.BigEndian.Uint16(f.data[2:])
			return f, nil
		}
	case frameBegun:
		err = json.Unmarshal(f.data, &f.begun)
	case frameEnded:
		err = json.Unmarshal(f.data, &f.ended)
	default:
		return f, fmt.Errorf("%w: unknown kind %q", errFrame, f.kind)
	}
	if err == nil && f.kind != frameBegun && f.kind != frameEnded {
		err = fmt.Errorf("%d bytes", len(f.data))
	}
	if err != nil {
		return f, fmt.Errorf("%w of kind %q: %w", errFrame, f.kind, err)
	}
	return f, nil
}

// sizeFrame, lostFrame and jsonFrame make frames.
func sizeFrame(rows, columns uint16) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16([]byte{frameSize}, rows), columns)
}

func lostFrame(n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{frameLost}, n) }

func jsonFrame(kind byte, v any) []byte {
	data, _ := json.Marshal(v) // of structs of ours
	return append([]byte{kind}, data[:min(len(data), maxFrame)]...)
}
