// Badlink is a slow and unreliable link to a server, for the end-to-end scripts: it passes TCP connections on at a rate that
// all of them share, and resets one before a piece of what the server sends, as often as it is told.
//
//	badlink -rate BYTES -resets PERCENT LISTEN SERVER
package main

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"
)

// piece is how much is passed on at once, and what the dice are rolled for.
const piece = 16 << 10

func main() {
	rate := flag.Int("rate", 200_000, "bytes per second")
	resets := flag.Int("resets", 5, "so many of a hundred pieces are lost, and their connection with them")
	flag.Parse()
	if flag.NArg() != 2 || *rate < 1 {
		fmt.Fprintln(os.Stderr, "badlink: wants the address to listen on and that of the server")
		os.Exit(2)
	}
	l := link{server: flag.Arg(1), resets: *resets, each: time.Second * piece / time.Duration(*rate)}
	listener, err := net.Listen("tcp", flag.Arg(0))
	if err == nil {
		err = l.serve(listener)
	}
	fmt.Fprintln(os.Stderr, "badlink:", err)
	os.Exit(1)
}

type link struct {
	server string
	resets int           // of a hundred pieces
	each   time.Duration // that a piece takes

	mu   sync.Mutex
	free time.Time // when the link has passed on what it has taken
}

func (l *link) serve(listener net.Listener) error {
	for {
		c, err := listener.Accept()
		if err != nil {
			return err
		}
		go l.connect(c.(*net.TCPConn))
	}
}

func (l *link) connect(client *net.TCPConn) {
	defer client.Close()
	server, err := net.Dial("tcp", l.server)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	buffer := make([]byte, piece)
	for {
		n, err := server.Read(buffer)
		if n == 0 && err != nil {
			return
		}
		l.wait(n)
		if rand.IntN(100) < l.resets {
			_ = client.SetLinger(0) // a reset, as of a router that has lost its state
			return
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// wait takes the link for the time that so many bytes need.
func (l *link) wait(bytes int) {
	l.mu.Lock()
	if now := time.Now(); l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(l.each * time.Duration(bytes) / piece)
	until := l.free
	l.mu.Unlock()
	time.Sleep(time.Until(until))
}
