package cli

import (
	"os"
	"slices"
	"sync"
)

// spool takes output at once and writes it when it can, so that the keeper need not wait for a slow terminal. When it is full it
// makes its writer wait after all.
type spool struct {
	mu     sync.Mutex
	change *sync.Cond
	parts  []part
	size   int
	closed bool
	done   chan struct{}
	broken map[*os.File]bool // take nothing any more
}

type part struct {
	to   *os.File
	text []byte
}

// spoolSize is how much may wait, in bytes.
const spoolSize = 16 << 20

func newSpool() *spool {
	s := &spool{done: make(chan struct{}), broken: map[*os.File]bool{}}
	s.change = sync.NewCond(&s.mu)
	go s.drain()
	return s
}

// write takes a copy of the text.
func (s *spool) write(to *os.File, text []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.size > spoolSize {
		s.change.Wait()
	}
	if n := len(s.parts); n > 0 && s.parts[n-1].to == to && len(s.parts[n-1].text) < 64<<10 {
		s.parts[n-1].text = append(s.parts[n-1].text, text...)
	} else {
		s.parts = append(s.parts, part{to, slices.Clone(text)})
	}
	s.size += len(text)
	s.change.Broadcast()
}

func (s *spool) drain() {
	defer close(s.done)
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for len(s.parts) == 0 {
			if s.closed {
				return
			}
			s.change.Wait()
		}
		p := s.parts[0]
		s.parts = s.parts[1:]
		s.mu.Unlock()
		if !s.broken[p.to] {
			if _, err := p.to.Write(p.text); err != nil {
				s.broken[p.to] = true
			}
		}
		s.mu.Lock()
		s.size -= len(p.text)
		s.change.Broadcast()
	}
}

// close returns when all is written.
func (s *spool) close() {
	s.mu.Lock()
	s.closed = true
	s.change.Broadcast()
	s.mu.Unlock()
	<-s.done
}
