package tty

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// Session connects a person's terminal, or what stands in for one, to a container's.
type Session struct {
	In         *os.File // what is typed; nil for nothing
	Out        io.Writer
	Screen     *os.File // whose size the container's terminal follows; nil for none
	Master     *os.File // of the container's terminal
	Output     io.Reader
	DetachKeys []byte
	Cooked     bool // leave the settings of a terminal alone
	// Remote is used instead of Master where that is not at hand.
	Remote Remote
}

// Remote is a container's terminal, or its pipes, that somebody else holds.
type Remote interface {
	// Type takes what is typed.
	Type(text []byte) error
	// End says that there will be no more.
	End() error
	Resize(Size) error
	// Show writes the output, until its end or an error of the connection.
	Show() error
}

// held is the Remote of a terminal that is at hand.
type held struct{ s *Session }

func (h held) Type(text []byte) error {
	_, err := h.s.Master.Write(text)
	return err
}

// EndOfFile is what a terminal sends when ctrl-d is typed.
const EndOfFile = 4

func (h held) End() error          { return h.Type([]byte{EndOfFile}) }
func (h held) Resize(z Size) error { return SetSize(h.s.Master, z) }
func (h held) Show() error         { return h.s.print() }

// Run copies until the output ends (nil), or until the detach keys are typed (ErrDetached). In is put into raw mode meanwhile
// if it is a terminal. The output is read from Output, or from Master itself where Output is nil.
func (s Session) Run() error {
	if s.Remote == nil {
		s.Remote = held{&s}
	}
	if s.In != nil && !s.Cooked && Is(s.In) {
		restore, err := MakeRaw(s.In)
		if err != nil {
			return err
		}
		defer restore()
	}
	if s.Screen != nil && Is(s.Screen) {
		defer s.follow()()
	}
	end := make(chan error, 2)
	go func() { end <- s.Remote.Show() }()
	if s.In != nil {
		go func() {
			if err := s.typed(); errors.Is(err, ErrDetached) {
				end <- err
			}
		}()
	}
	return <-end
}

// follow gives the container's terminal the size of the screen, now and whenever that changes.
func (s Session) follow() (stop func()) {
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	resized <- syscall.SIGWINCH
	go func() {
		for range resized {
			if size, err := SizeOf(s.Screen); err == nil {
				s.Remote.Resize(size)
			}
		}
	}()
	return func() { signal.Stop(resized); close(resized) }
}

// print copies the output. The master side gives EIO when the last process has closed the other one (pty(7)).
func (s Session) print() error {
	from := s.Output
	if from == nil {
		from = s.Master
	}
	_, err := io.Copy(s.Out, from)
	if errors.Is(err, unix.EIO) || errors.Is(err, os.ErrClosed) {
		return nil
	}
	if err != nil { // nobody takes the output any more; the program in the container is not to wait for that
		io.Copy(io.Discard, from)
	}
	return err
}

// typed copies the input. The end of one that is no terminal is the end of what is typed.
func (s Session) typed() error {
	d := detacher{keys: s.DetachKeys}
	buf := make([]byte, 4096)
	for {
		n, err := s.In.Read(buf)
		out, detached := d.filter(buf[:n])
		if len(out) > 0 {
			if err := s.Remote.Type(out); err != nil {
				return err
			}
		}
		switch {
		case detached:
			return ErrDetached
		case errors.Is(err, io.EOF) && !Is(s.In):
			return s.Remote.End()
		case err != nil:
			return err
		}
	}
}
