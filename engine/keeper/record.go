// Package keeper reads what containers write and hands it on: to the journal, to a file, to whoever is attached. One small
// program for each service manager does so for all containers, in one loop. Only what may not answer, a file above all, is waited for
// in a goroutine beside it.
//
// It may be killed at any moment. The read ends of the pipes lie in the service manager's file-descriptor store as well, with
// a record of what they are, so that the next keeper finds them. A line is looked at in its pipe (tee(2)) and taken out of it
// only after it has been handed on: a kill may make the last lines be handed on twice, but none is lost or torn.
package keeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// recordVersion is the newest version of records. A keeper leaves records of a newer version alone. Version 2 has terminals and
// standard inputs, version 3 sockets for notifications; a record without them is still of version 1, which older keepers understand.
const recordVersion = 3

// version is that of a record.
func (r *Record) version() int {
	if r.stream(streamNotify) >= 0 {
		return 3
	}
	if r.stream(streamTerminal) >= 0 || r.stream(streamStdin) >= 0 {
		return 2
	}
	return 1
}

// The names of streams. A terminal's screen is the keeper's own: a pipe that the terminal is read into.
const (
	streamStdout   = "stdout"
	streamStderr   = "stderr"
	streamStdin    = "stdin"
	streamTerminal = "terminal"
	streamScreen   = "screen"
	streamNotify   = "notify" // not a stream: a socket, see relay.go
)

// stream is the place of the stream of that name, -1 without one.
func (r *Record) stream(name string) int {
	return slices.IndexFunc(r.Streams, func(s Stream) bool { return s.Name == name })
}

// The drivers that the keeper serves.
const (
	Journald = "journald"
	K8sFile  = "k8s-file"
	Discard  = "none"
)

// Record is what the keeper must know of a container. It lies beside the pipes in the store, as a file in memory.
type Record struct {
	Version int    `json:"version"`
	ID      string `json:"id"`
	Name    string `json:"name"`
	Image   string `json:"image,omitempty"`
	PID     int    `json:"pid"`             // of the container's PID 1
	Start   uint64 `json:"start,omitempty"` // its start time: a PID may be used again
	Unit    string `json:"unit,omitempty"`

	Driver     string   `json:"driver"`
	Identifier string   `json:"identifier,omitempty"` // SYSLOG_IDENTIFIER of its lines
	Tag        string   `json:"tag,omitempty"`
	Fields     []string `json:"fields,omitempty"`    // NAME=VALUE, more fields for the journal
	Namespace  string   `json:"namespace,omitempty"` // of the journal
	Path       string   `json:"path,omitempty"`      // of the file
	MaxSize    int64    `json:"maxSize,omitempty"`   // at which the file is put aside; 0 is never

	Health *Health  `json:"health,omitempty"`
	Notify string   `json:"notify,omitempty"` // the notification socket of its unit's manager; "" is that of the keeper's own
	Userns bool     `json:"userns,omitempty"` // it was set up in a user namespace
	Pasta  *Process `json:"pasta,omitempty"`  // what connects it with the network, when that is no bridge
	Guest  *Guest   `json:"guest,omitempty"`  // whose it is, of one who has no keeper of his own; see guest.go

	// Streams tells the files apart: the store does not keep their order.
	Streams []Stream `json:"streams"`

	Guard bool `json:"-"` // kill the process when the connection ends before Conn.Started
}

// Stream is the read end of a pipe, or what else is kept.
type Stream struct {
	Name  string `json:"name"` // stdout, stderr, stdin, terminal or notify
	Inode uint64 `json:"inode"`
}

// request is a message to the keeper; one of its fields is set.
type request struct {
	Keep  *Record `json:"keep,omitempty"`
	Guard bool    `json:"guard,omitempty"` // with Keep: see guard.go
	Probe string  `json:"probe,omitempty"` // ID: look at the container's health now
	Await string  `json:"await,omitempty"` // ID: answer when it is healthy

	Attach  *Attach  `json:"attach,omitempty"`
	Ended   *Ended   `json:"ended,omitempty"`
	Started bool     `json:"started,omitempty"` // what was guarded has been started
	Join    *Process `json:"join,omitempty"`    // the PID 1 of a container into whose unit the one who asks wants to be taken
	Pledge  *Process `json:"pledge,omitempty"`  // that of a container that is about to be started: see guard.go
}

// process is the container's PID 1.
func (r *Record) process() Process { return Process{r.PID, r.Start} }

// response answers a request.
type response struct {
	Error  string `json:"error,omitempty"`
	Health string `json:"health,omitempty"`
	Code   int    `json:"code,omitempty"`
}

// maxMessage bounds a message, in bytes.
const maxMessage = 64 << 10

// check refuses a record that cannot be served.
func (r *Record) check(files int) error {
	switch {
	case r.Version > recordVersion:
		return fmt.Errorf("record of version %d; this keeper knows up to %d: restart it (systemctl restart berth-keeper)", r.Version, recordVersion)
	case !isID(r.ID):
		return fmt.Errorf("%q is not the ID of a container", r.ID)
	case len(r.Streams) != files:
		return fmt.Errorf("%d files for %d streams", files, len(r.Streams))
	case !r.distinct():
		return errors.New("two streams of one name")
	case files == 0 || files == 1 && r.stream(streamNotify) == 0: // there is no output
		return nil
	case r.Driver != Journald && r.Driver != K8sFile && r.Driver != Discard:
		return fmt.Errorf("unknown log driver %q", r.Driver)
	case r.Driver == K8sFile && r.Path == "":
		return fmt.Errorf("log driver %s without a path", r.Driver)
	}
	return nil
}

// distinct: each stream is there once.
func (r *Record) distinct() bool {
	for i, s := range r.Streams {
		if r.stream(s.Name) != i {
			return false
		}
	}
	return true
}

// isID: 64 hexadecimal digits. It becomes a name in the store.
func isID(s string) bool {
	if len(s) != 64 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func parseRecord(data []byte) (*Record, error) {
	r := &Record{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("record of a container: %w", err)
	}
	return r, nil
}
