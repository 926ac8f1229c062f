package usernet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/proc"
)

// Forward is a published port.
type Forward struct {
	Protocol string       `json:"protocol"`         // tcp or udp
	HostIP   string       `json:"hostIP,omitempty"` // "" for all addresses
	HostPort uint16       `json:"hostPort"`
	Port     uint16       `json:"port"` // of the container
	To       []netip.Addr `json:"to"`   // the container's addresses, at most one of each kind
	Near     []string     `json:"near"` // subnets whose hosts the container asks itself, without a gateway
}

// published are the ports of a container: DIR/ports/ID.
type published struct {
	Version  int       `json:"version"`
	Forwards []Forward `json:"forwards"`
}

const publishedVersion = 1

func (n Net) portsOf(id string) string { return filepath.Join(n.Dir, "ports", id) }
func (n Net) socket() string           { return n.file("control") }

// answerPatience is how long the program may take to open ports: as it is in memory it does so at once, unless the machine is as
// busy as at its boot.
const answerPatience = time.Minute

// withdrawPatience is that of a stop, which has other things to do.
const withdrawPatience = 10 * time.Second

// Publish opens the ports of a container, in place of those that it had, and returns when they are open. What is published is
// written down first: a program that is started again opens the same ports.
func (n Net) Publish(ctx context.Context, id string, list []Forward) error {
	if len(list) == 0 {
		return n.Withdraw(ctx, id)
	}
	if err := os.MkdirAll(filepath.Dir(n.portsOf(id)), 0o700); err != nil {
		return err
	}
	data, err := json.Marshal(published{publishedVersion, list})
	if err != nil {
		return err
	}
	if err := atomicfile.Write(n.portsOf(id), data, 0o600); err != nil {
		return err
	}
	if err := n.tell(ctx, id, answerPatience); err != nil {
		return fmt.Errorf("publish ports: %w", err)
	}
	return nil
}

// Withdraw closes the ports of a container.
func (n Net) Withdraw(ctx context.Context, id string) error {
	err := os.Remove(n.portsOf(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = n.tell(ctx, id, withdrawPatience)
	}
	if errors.Is(err, ErrNone) || errors.Is(err, ErrReturns) {
		return nil // no program, no open port
	}
	return err
}

// tell lets the program look at a container's ports again. One that ends meanwhile is waited for, as by ID: the next one has read what is
// published, but to nobody's knowledge.
func (n Net) tell(ctx context.Context, id string, patience time.Duration) error {
	return n.awaiting(ctx, func(holder) error {
		err := n.ask(id, patience)
		for _, end := range []error{fs.ErrNotExist, unix.ECONNREFUSED, unix.ECONNRESET, unix.EPIPE, io.ErrUnexpectedEOF} {
			if errors.Is(err, end) {
				return fmt.Errorf("%w: %w", proc.ErrGone, err)
			}
		}
		return err
	})
}

func (n Net) ask(id string, patience time.Duration) error {
	conn, err := net.Dial("unix", n.socket())
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, id+"\n"); err != nil {
		return err
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	switch text := strings.TrimSpace(string(answer)); text {
	case "ok":
		return nil
	case "":
		return io.ErrUnexpectedEOF
	default:
		return errors.New(strings.TrimPrefix(text, "error: "))
	}
}

// readPublished reads the ports of a container; none when it has none.
func readPublished(path string) ([]Forward, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var p published
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", path, err)
	}
	if p.Version > publishedVersion {
		return nil, fmt.Errorf("%s has version %d, this program knows up to %d", path, p.Version, publishedVersion)
	}
	return p.Forwards, nil
}

// destination is where a client's connection goes and the address that the container is to see: the client's own, unless it
// is one that an answer would not come back from.
func (f Forward) destination(client netip.Addr) (to, from netip.Addr, ok bool) {
	client = client.Unmap().WithZone("")
	for _, a := range f.To {
		if !to.IsValid() || a.Is4() == client.Is4() {
			to = a
		}
	}
	if !to.IsValid() {
		return to, from, false
	}
	if to.Is4() != client.Is4() || client.IsLoopback() || client.IsLinkLocalUnicast() || client.IsUnspecified() || client.IsMulticast() {
		return to, from, true
	}
	for _, near := range f.Near {
		if p, err := netip.ParsePrefix(near); err == nil && p.Contains(client) {
			return to, from, true
		}
	}
	return to, client, true
}
