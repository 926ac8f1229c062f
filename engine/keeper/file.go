package keeper

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// fileSink writes lines into a file, in the format of Kubernetes: time, stream, F for a whole line or P for a part of one, text.
// There is one for each file: it may be that of several containers, and is that of two runs of one while what the earlier has
// written last is still to be read.
type fileSink struct {
	path    string
	own     bool  // it lies in a directory of the container's, which is removed with it
	maxSize int64 // at which it is put aside; 0 is never
	file    *os.File
	size    int64
	buf     []byte
	warn    func(string, ...any)
	warned  bool

	beside func(work, then func())
	later  func() // what is to be done when something has been written that took its time
	busy   bool   // it is being written
	late   bool   // and somebody waits for that
}

// errLate says that lines are still being written: the file system may not answer.
var errLate = errors.New("the file takes its time")

// oldSuffix is what the name of a full file gets; the one before it is replaced.
const oldSuffix = ".1"

// open opens the file to append to it. A keeper that was killed while it wrote may have left half a line: it is taken away,
// for the whole line is still in the pipe.
func (s *fileSink) open() error {
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", s.path)
	}
	if err == nil {
		s.size, err = wholeLines(f, info.Size())
	}
	if err == nil && s.size < info.Size() {
		err = f.Truncate(s.size)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	s.file = f
	return nil
}

// wholeLines returns where the last whole line of a file ends.
func wholeLines(f *os.File, size int64) (int64, error) {
	buf := make([]byte, 4096)
	for size > 0 {
		from := max(size-int64(len(buf)), 0)
		n, err := f.ReadAt(buf[:size-from], from)
		if int64(n) < size-from {
			return 0, err
		}
		if end := bytes.LastIndexByte(buf[:n], '\n'); end >= 0 {
			return from + int64(end) + 1, nil
		}
		size = from
	}
	return 0, nil
}

// write appends the lines, beside the loop. A container must not stand still because a disk is full: what cannot be written is
// lost, and that is said once.
func (s *fileSink) write(lines []line, standard int) (int, error) {
	if s.busy {
		return 0, errLate
	}
	stream := "stdout"
	if standard == prioError {
		stream = "stderr"
	}
	s.buf = time.Now().AppendFormat(s.buf[:0], "2006-01-02T15:04:05.000000000Z07:00")
	s.buf = append(append(append(s.buf, ' '), stream...), ' ')
	head := len(s.buf)
	for i, l := range lines {
		if i > 0 {
			s.buf = append(s.buf, s.buf[:head]...)
		}
		mark := byte('F')
		if l.partial {
			mark = 'P'
		}
		s.buf = append(append(append(s.buf, mark, ' '), l.text...), '\n')
	}
	var err error
	s.busy = true
	limit := s.maxSize
	s.beside(func() { err = s.append(limit) }, func() {
		s.busy = false
		s.lost(err)
		if s.late {
			s.late = false
			s.later()
		}
	})
	if s.late = s.busy; s.late {
		return len(lines), errLate
	}
	return len(lines), nil
}

// append writes what is in buf.
func (s *fileSink) append(limit int64) error {
	if err := s.ready(limit, int64(len(s.buf))); err != nil {
		return err
	}
	if _, err := s.file.Write(s.buf); err != nil {
		return errors.Join(err, s.file.Truncate(s.size))
	}
	return nil
}

// ready opens the file, and puts a full one aside first.
func (s *fileSink) ready(limit, more int64) error {
	if err := s.follow(); err != nil {
		return err
	}
	if limit <= 0 || s.size == 0 || s.size+more <= limit {
		return nil
	}
	err := os.Rename(s.path, s.path+oldSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody was faster, or it is gone
	}
	if err != nil {
		return err
	}
	s.file.Close()
	s.file = nil
	return s.open()
}

// follow has the file open that is at the path, and no one that somebody has renamed or removed meanwhile (logrotate(8)).
func (s *fileSink) follow() error {
	if s.file != nil {
		info, err := s.file.Stat()
		if err != nil {
			return err
		}
		there, err := os.Lstat(s.path)
		if err == nil && os.SameFile(info, there) || errors.Is(err, fs.ErrNotExist) && s.own {
			s.size = info.Size()
			return nil
		}
		s.file.Close()
		s.file = nil
	}
	return s.open()
}

func (s *fileSink) lost(err error) {
	if err != nil && !s.warned {
		s.warn("log file: %v; lines are lost until it can be written", err)
	}
	s.warned = err != nil
}

// close is called when nothing is being written.
func (s *fileSink) close() {
	if f := s.file; f != nil {
		s.file = nil
		s.beside(func() { f.Close() }, func() {})
	}
}
