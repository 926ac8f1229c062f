//go:build containers_image_openpgp

package image

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A badLink stands between a client and a registry and counts what the registry sends. Whenever that reaches the next
// mark it calls cut, and then breaks the connection.
type badLink struct {
	net.Listener
	to   string
	sent atomic.Int64

	mu     sync.Mutex
	mark   int64               // none when it is 0
	cut    func() (next int64) // called with mu unlocked; 0 when there is no next mark
	gentle bool                // close the connection at a mark, so that what was sent arrives, and do not reset it
	perBit func() bool         // tells of each piece whether the link breaks before it; may be nil
}

// piece is how much is passed on at once.
const piece = 16 << 10

func newBadLink(t testing.TB, to string) *badLink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &badLink{Listener: l, to: to}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { b.serve(c.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return b
}

func (b *badLink) host() string { return b.Addr().String() }

// breakAt makes the link break when so many bytes have come in all, and then where cut says.
func (b *badLink) breakAt(mark int64, cut func() int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mark, b.cut = mark, cut
}

func (b *badLink) serve(client *net.TCPConn) {
	defer client.Close()
	server, err := net.Dial("tcp", b.to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	if b.pass(client, server) != nil && !b.gentle {
		_ = client.SetLinger(0) // reset, as a router does that has lost its state
	}
}

var errCut = errors.New("cut")

func (b *badLink) pass(client, server net.Conn) error {
	buffer := make([]byte, piece)
	for {
		n, err := server.Read(buffer)
		if err != nil {
			return nil
		}
		if b.perBit != nil && b.perBit() {
			return errCut
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return nil
		}
		if b.reached(b.sent.Add(int64(n))) {
			return errCut
		}
	}
}

func (b *badLink) reached(sent int64) bool {
	b.mu.Lock()
	cut := b.cut
	hit := b.mark > 0 && sent >= b.mark
	if hit {
		b.mark = 0
	}
	b.mu.Unlock()
	if !hit {
		return false
	}
	if next := cut(); next > 0 {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.mark = next
	}
	return true
}
