package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

type logsOptions struct {
	follow, timestamps, names, latest, color bool
	tail                                     int
	since, until                             string

	from, to time.Time // since and until
	prefixed bool
}

// flags adds the flags. -n is Podman's: Docker's is the number of lines.
func (o *logsOptions) flags(set *pflag.FlagSet) {
	set.BoolVar(&o.color, "color", false, "print the lines of each container in a colour of its own")
	set.BoolVarP(&o.follow, "follow", "f", false, "go on printing new lines until the container ends")
	set.BoolVarP(&o.timestamps, "timestamps", "t", false, "print the time of each line")
	set.BoolVarP(&o.names, "names", "n", false, "print the container's name before each line, when there are several")
	set.BoolVarP(&o.latest, "latest", "l", false, "print those of the container made last")
	set.Bool("details", false, "has no effect, as with Podman: for scripts written for Docker")
	set.IntVar(&o.tail, "tail", -1, "print the last `N` lines of each container only")
	set.StringVar(&o.since, "since", "", "print lines from this `TIME` on: 2026-01-31T12:00:00, seconds since 1970, or a time ago, as 10m")
	set.StringVar(&o.until, "until", "", "print lines up to this `TIME`; 10m is in ten minutes, -10m ten minutes ago")
}

func logsVerb() Verb {
	var o logsOptions
	return Verb{
		Name: "logs", Usage: "[OPTION…] CONTAINER…", Summary: "print what containers have written",
		Text: `Prints the lines of the journal, or of the file that the log driver writes, each to where the container wrote it: standard
output or standard error. ` + "`journalctl -u UNIT`" + ` shows those of the journal with all their fields. With several containers each
line begins with the container's ID.`,
		Flags: o.flags, Run: runLogs,
	}
}

func runLogs(ctx context.Context, env *Env, args []string) error {
	o, list, err := parseLogs(args, time.Now())
	if err != nil {
		return err
	}
	return printAll(ctx, env, list, o)
}

// printAll prints the lines of several containers: of one after the other, or as they come.
func printAll(ctx context.Context, env *Env, list []engine.State, o logsOptions) error {
	p := &logPrinter{o: o, out: env.Out, err: env.Err, colors: map[string]string{}}
	for i, s := range list {
		if o.color {
			p.colors[s.ID] = fmt.Sprintf("\x1b[3%dm", 1+i%6) // red to cyan (console_codes(4))
		}
	}
	if !o.follow {
		for _, s := range list {
			if err := printLogs(ctx, env, s, p); err != nil {
				return err
			}
		}
		return nil
	}
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i, s := range list {
		wg.Go(func() { errs[i] = printLogs(ctx, env, s, p) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(errs...)
}

// parseLogs reads the words and finds the containers.
func parseLogs(args []string, now time.Time) (o logsOptions, list []engine.State, err error) {
	set := newFlagSet("logs")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return o, nil, err
	}
	if err := o.times(now); err != nil {
		return o, nil, err
	}
	switch {
	case o.latest && set.NArg() > 0:
		return o, nil, errors.New("--latest and names exclude each other")
	case o.latest:
		all, err := runDirs().List()
		if err == nil && len(all) == 0 {
			err = errors.New("there is no container")
		}
		if err != nil {
			return o, nil, err
		}
		return o, all[len(all)-1:], nil
	case set.NArg() == 0:
		return o, nil, errors.New("no container is named")
	}
	for _, name := range set.Args() {
		s, err := runDirs().Find(name)
		if _, number := strconv.Atoi(name); err != nil && number == nil && o.names {
			err = fmt.Errorf("%w; -n is --names, and --tail=%s prints the last lines", err, name)
		}
		if err != nil {
			return o, nil, err
		}
		list = append(list, s)
	}
	o.prefixed, o.names = len(list) > 1, o.names && len(list) > 1
	return o, list, nil
}

// times reads the times of the flags.
func (o *logsOptions) times(now time.Time) (err error) {
	if o.from, err = logTime(o.since, now); err != nil {
		return fmt.Errorf("--since: %w", err)
	}
	if d, err := time.ParseDuration(o.until); err == nil { // from now on, as with Podman
		o.to = now.Add(d)
	} else if o.to, err = logTime(o.until, now); err != nil {
		return fmt.Errorf("--until: %w", err)
	}
	o.follow = o.follow && (o.to.IsZero() || o.to.After(now))
	return nil
}

// logTime reads a time as Podman does: a date with or without a time and a zone, seconds since 1970, or a time ago.
func logTime(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		return time.UnixMicro(int64(n * 1e6)), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02T15", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time such as 2026-01-31T12:00:00, 1769860800 or 10m", s)
}

// printLogs prints the lines of one container.
func printLogs(ctx context.Context, env *Env, s engine.State, p *logPrinter) error {
	switch {
	case s.Log.Driver == spec.LogNone:
		return fmt.Errorf("container %q keeps no log: its log driver is none", s.Name)
	case s.Log.Driver == spec.LogK8sFile:
		return printFile(ctx, s, p)
	case s.Unit == "" || !s.Container.Detach && !s.Kept:
		return fmt.Errorf("container %q writes to the terminal or file that it was started from; `berth run --log-driver=journald` keeps a log of such a one, too", s.Name)
	}
	return printJournal(ctx, env, s, p)
}

// logLine is one line of a container, or a part of one.
type logLine struct {
	time    time.Time
	text    []byte
	stderr  bool
	partial bool
}

// logPrinter prints lines, one at a time.
type logPrinter struct {
	o        logsOptions
	out, err io.Writer
	colors   map[string]string // what begins each container's own, by their IDs
	mu       sync.Mutex
	buf      []byte
	last     time.Time
}

const logTimeFormat = "2006-01-02T15:04:05.000000000Z07:00"

func (p *logPrinter) print(s engine.State, l logLine, begins bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = time.Now()
	p.buf = p.buf[:0]
	color := p.colors[s.ID]
	p.buf = append(p.buf, color...)
	if begins {
		switch {
		case p.o.names:
			p.buf = append(append(p.buf, s.Name...), ' ')
		case p.o.prefixed:
			p.buf = append(append(p.buf, shortID(s.ID, false)...), ' ')
		}
		if p.o.timestamps {
			p.buf = append(l.time.AppendFormat(p.buf, logTimeFormat), ' ')
		}
	}
	p.buf = append(p.buf, l.text...)
	if color != "" {
		p.buf = append(p.buf, "\x1b[m"...)
	}
	if !l.partial {
		p.buf = append(p.buf, '\n')
	}
	w := p.out
	if l.stderr {
		w = p.err
	}
	_, err := w.Write(p.buf)
	return err
}

// quiet reports whether nothing has been printed for a while.
func (p *logPrinter) quiet() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(p.last) > afterEnd
}

// afterEnd is how long new lines of a container that has ended are waited for.
const afterEnd = 500 * time.Millisecond

// untilEnd returns a context that is done when the container has ended and its last lines have come, or the time is over.
func untilEnd(ctx context.Context, s engine.State, p *logPrinter) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if !p.o.to.IsZero() {
		time.AfterFunc(time.Until(p.o.to), cancel)
	}
	go func() {
		defer cancel()
		if pidfd, err := s.Init.Open(); err == nil {
			defer pidfd.Close()
			if _, err := proc.Wait(ctx, pidfd, -1); err != nil {
				return
			}
		}
		tick := time.NewTicker(afterEnd / 5)
		defer tick.Stop()
		p.mu.Lock()
		p.last = time.Now()
		p.mu.Unlock()
		for !p.quiet() {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return ctx, cancel
}
