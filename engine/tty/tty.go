// Package tty works with terminals: raw mode, sizes, the socket through which an OCI runtime hands over the master side of a
// container's terminal, and a person's terminal connected to it.
package tty

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/sys/unix"
)

// Is reports whether f is a terminal.
func Is(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// Printable is text as a terminal may be shown it, whoever has written it: what would move the cursor or give the terminal orders
// (console_codes(4)), and what ends a line, is a question mark, as in the output of ps(1).
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, text)
}

// MakeRaw lets every key through as it is typed (cfmakeraw(3)). restore gives the terminal its earlier settings back; it may
// be called twice.
func MakeRaw(f *os.File) (restore func() error, err error) {
	fd := int(f.Fd())
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("terminal settings: %w", err)
	}
	raw := *old
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Oflag &^= unix.OPOST
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cflag = raw.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &raw); err != nil {
		return nil, fmt.Errorf("put terminal into raw mode: %w", err)
	}
	return sync.OnceValue(func() error { return unix.IoctlSetTermios(fd, unix.TCSETS, old) }), nil
}

// Size is how many characters a terminal shows.
type Size struct {
	Rows, Columns uint16
}

// SizeOf asks a terminal, or the master side of one, for its size.
func SizeOf(f *os.File) (Size, error) {
	w, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return Size{}, fmt.Errorf("terminal size: %w", err)
	}
	return Size{Rows: w.Row, Columns: w.Col}, nil
}

// SetSize changes it; the terminal's foreground processes get SIGWINCH.
func SetSize(f *os.File, s Size) error {
	err := unix.IoctlSetWinsize(int(f.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: s.Rows, Col: s.Columns})
	if err != nil {
		return fmt.Errorf("set terminal size: %w", err)
	}
	return nil
}

// DefaultDetachKeys is ctrl-p, ctrl-q.
const DefaultDetachKeys = "ctrl-p,ctrl-q"

// ParseDetachKeys reads "ctrl-X,…", or single characters, into the bytes that a terminal sends for them. "" is none.
func ParseDetachKeys(s string) ([]byte, error) {
	if s == "" {
		return nil, nil
	}
	var keys []byte
	for start, i := 0, 0; i <= len(s); i++ {
		if i < len(s) && (s[i] != ',' || i == start) { // a comma may be a key itself
			continue
		}
		key, err := detachKey(s[start:i])
		if err != nil {
			return nil, err
		}
		keys, start = append(keys, key), i+1
	}
	return keys, nil
}

func detachKey(word string) (byte, error) {
	if len(word) == 1 {
		return word[0], nil
	}
	if len(word) == 6 && word[:5] == "ctrl-" {
		switch c := word[5]; {
		case c >= 'a' && c <= 'z':
			return c - 'a' + 1, nil
		case c >= '@' && c <= '_':
			return c - '@', nil
		}
	}
	return 0, fmt.Errorf("detach key %q is neither one character nor ctrl- with a letter or one of @[\\]^_", word)
}

// ErrDetached says that the person has typed the detach keys.
var ErrDetached = errors.New("detached")

// detacher finds the detach keys in what is typed. Keys that may be the beginning of them are held back.
type detacher struct {
	keys []byte
	held int
}

// filter returns what is to be passed on of in, and whether the keys were complete.
func (d *detacher) filter(in []byte) (out []byte, detached bool) {
	if len(d.keys) == 0 {
		return in, false
	}
	for _, b := range in {
		if b == d.keys[d.held] {
			if d.held++; d.held == len(d.keys) {
				return out, true
			}
			continue
		}
		out = append(out, d.keys[:d.held]...)
		d.held = 0
		if b == d.keys[0] {
			d.held = 1
			if len(d.keys) == 1 {
				return out, true
			}
			continue
		}
		out = append(out, b)
	}
	return out, false
}
