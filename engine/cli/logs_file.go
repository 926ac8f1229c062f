package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine"
)

// printFile prints the file of the driver k8s-file, after the older one that was put aside when it was full.
func printFile(ctx context.Context, s engine.State, p *logPrinter) error {
	f, err := os.Open(s.Log.Path)
	if errors.Is(err, fs.ErrNotExist) && !p.o.follow {
		return nil // nothing has been written yet
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("log of container %q: %w", s.Name, err)
	}
	r := &fileLog{s: s, p: p, begins: true}
	defer func() { r.close() }()
	if older, err := os.Open(s.Log.Path + ".1"); err == nil {
		r.open(older)
		if err := r.read(); err != nil {
			return err
		}
		r.close()
	}
	if f != nil {
		r.open(f)
		if err := r.read(); err != nil {
			return err
		}
	}
	if err := r.flush(); err != nil || !p.o.follow {
		return err
	}
	return r.follow(ctx)
}

// fileLog reads a log file.
type fileLog struct {
	s      engine.State
	p      *logPrinter
	f      *os.File
	r      *bufio.Reader
	rest   []byte // the beginning of a line
	begins bool
	last   lastLines // with a limit of lines: these, until all have been read
	live   bool
}

func (r *fileLog) open(f *os.File) { r.f, r.r = f, bufio.NewReaderSize(f, 64<<10) }

func (r *fileLog) close() {
	if r.f != nil {
		r.f.Close()
		r.f = nil
	}
}

// read prints what is in the file from where it stands.
func (r *fileLog) read() error {
	for {
		row, err := r.r.ReadBytes('\n')
		r.rest = append(r.rest, row...)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("log of container %q: %w", r.s.Name, err)
		}
		l, ok := parseFileLine(bytes.TrimSuffix(r.rest, []byte("\n")))
		r.rest = nil
		o := r.p.o
		if !ok || l.time.Before(o.from) || !o.to.IsZero() && l.time.After(o.to) {
			continue
		}
		if o.tail >= 0 && !r.live {
			r.last.add(l, o.tail)
			continue
		}
		if err := r.print(l); err != nil {
			return err
		}
	}
}

func (r *fileLog) print(l logLine) error {
	err := r.p.print(r.s, l, r.begins)
	r.begins = !l.partial
	return err
}

// lastLines keeps the last lines, with all their parts. The last may have no end yet.
type lastLines struct {
	parts []logLine
	lines int
}

func (t *lastLines) add(l logLine, most int) {
	if n := len(t.parts); n == 0 || !t.parts[n-1].partial {
		t.lines++
	}
	t.parts = append(t.parts, l)
	for ; t.lines > most; t.lines-- {
		end := slices.IndexFunc(t.parts, func(l logLine) bool { return !l.partial })
		if end < 0 { // none is wanted
			end = len(t.parts) - 1
		}
		t.parts = t.parts[end+1:]
	}
}

// flush prints the remembered lines; later ones are printed as they come.
func (r *fileLog) flush() error {
	r.live = true
	for _, l := range r.last.parts {
		if err := r.print(l); err != nil {
			return err
		}
	}
	r.last = lastLines{}
	return nil
}

// pollPause is how often a file is looked at for new lines.
const pollPause = 200 * time.Millisecond

// follow prints new lines until the container has ended.
func (r *fileLog) follow(ctx context.Context) error {
	ctx, cancel := untilEnd(ctx, r.s, r.p)
	defer cancel()
	tick := time.NewTicker(pollPause)
	defer tick.Stop()
	for {
		ended := ctx.Err() != nil
		for {
			if r.f != nil {
				if err := r.read(); err != nil {
					return err
				}
			}
			if !r.next() {
				break
			}
		}
		if ended {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// next goes on to a file that has been begun in place of a full one.
func (r *fileLog) next() bool {
	f, err := os.Open(r.s.Log.Path)
	if err != nil {
		return false
	}
	if r.f != nil {
		var a, b unix.Stat_t
		if unix.Fstat(int(r.f.Fd()), &a) != nil || unix.Fstat(int(f.Fd()), &b) != nil || a.Ino == b.Ino {
			f.Close()
			return false
		}
	}
	r.close()
	r.open(f)
	return true
}

// parseFileLine reads TIME STREAM F|P TEXT.
func parseFileLine(row []byte) (logLine, bool) {
	words := bytes.SplitN(row, []byte(" "), 4)
	if len(words) != 4 {
		return logLine{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, string(words[0]))
	return logLine{time: t, stderr: string(words[1]) == "stderr", partial: string(words[2]) == "P", text: words[3]}, err == nil
}
