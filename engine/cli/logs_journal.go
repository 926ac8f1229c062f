package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"time"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/events"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/rootless"
)

// printJournal prints what the journal has of a container.
func printJournal(ctx context.Context, env *Env, s engine.State, p *logPrinter) error {
	if p.o.follow {
		var cancel context.CancelFunc
		ctx, cancel = untilEnd(ctx, s, p)
		defer cancel()
	}
	err := printEntries(ctx, env, s, p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("journalctl is not there; install systemd")
	case p.o.follow && ctx.Err() != nil: // the container has ended, or the caller has had enough
		return nil
	case err != nil && rootless.InService():
		return fmt.Errorf("what container %q has written is in the system's journal, which root may read and the group systemd-journal: `sudo journalctl -u %s`: %w", s.Name, s.Unit, err)
	}
	return err
}

// printEntries prints the last lines, where only these are wanted, and then those that come; or all there are.
func printEntries(ctx context.Context, env *Env, s engine.State, p *logPrinter) error {
	journal := func(args []string, to io.Writer) error {
		_, err := env.Run(ctx, proc.Command{Path: "/usr/bin/journalctl", Args: args, Stdout: to})
		return err
	}
	if !p.o.to.IsZero() && p.o.to.Before(p.o.begin(s)) {
		return nil // journalctl refuses that
	}
	entries, user := &entryWriter{s: s, p: p, begins: true}, userManaged()
	if p.o.tail < 0 {
		return journal(journalArgs(s, p.o, user, ""), entries)
	}
	last := &lastEntries{max: p.o.tail}
	// journalctl ends when nobody reads on, and that is no error.
	if err := journal(append(journalArgs(s, p.o.ended(), user, ""), "--reverse"), last); err != nil && !last.full {
		return err
	}
	slices.Reverse(last.parts)
	for _, l := range last.parts {
		if err := entries.print(l); err != nil {
			return err
		}
	}
	if !p.o.follow {
		return nil
	}
	return journal(journalArgs(s, p.o, user, last.cursor), entries)
}

// ended are the options without --follow.
func (o logsOptions) ended() logsOptions {
	o.follow = false
	return o
}

// journalArgs asks for the lines of a container. Those that the keeper has not sent are the lines of the container's unit,
// since the container was made: those of its processes, not those of systemd about it (systemd.journal-fields(7)).
// With a cursor it asks for those after that entry.
func journalArgs(s engine.State, o logsOptions, user bool, cursor string) []string {
	match := "_SYSTEMD_UNIT=" + s.Unit
	if user {
		match = "_SYSTEMD_USER_UNIT=" + s.Unit
	}
	if s.Kept {
		match = "CONTAINER_ID_FULL=" + s.ID
	}
	args := []string{
		"--quiet", "--no-pager", match, "--output=json", "--all",
		"--output-fields=MESSAGE,PRIORITY,CONTAINER_PARTIAL_MESSAGE," + events.Field,
	}
	if cursor != "" { // journalctl takes one of the two
		args = append(args, "--after-cursor="+cursor)
	} else {
		args = append(args, "--since="+journalTime(o.begin(s)))
	}
	if !o.to.IsZero() {
		args = append(args, "--until="+journalTime(o.to))
	}
	if o.follow {
		args = append(args, "--follow", "--no-tail")
	}
	return args
}

// begin is the time from which on lines are printed.
func (o logsOptions) begin(s engine.State) time.Time {
	if o.from.After(s.Created) {
		return o.from
	}
	return s.Created
}

func journalTime(t time.Time) string {
	return fmt.Sprintf("@%d.%06d", t.Unix(), t.Nanosecond()/1000)
}

// entryWriter prints the entries that are written to it as JSON, one a line.
type entryWriter struct {
	s      engine.State
	p      *logPrinter
	rest   []byte
	begins bool
}

func (w *entryWriter) Write(data []byte) (int, error) {
	return eachRow(&w.rest, data, func(row []byte) error {
		l, _, err := parseEntry(row)
		if errors.Is(err, errEvent) {
			return nil
		}
		if err != nil {
			return err
		}
		return w.print(l)
	})
}

func (w *entryWriter) print(l logLine) error {
	err := w.p.print(w.s, l, w.begins)
	w.begins = !l.partial
	return err
}

// lastEntries takes entries, the newest first, until it has so many lines with all their parts. A line of a container may be
// several entries, and what berth tells of it is none, so journalctl cannot count them.
type lastEntries struct {
	max, lines int
	parts      []logLine
	cursor     string // of the newest entry
	full       bool
	rest       []byte
}

var errEnough = errors.New("enough lines")

func (w *lastEntries) Write(data []byte) (int, error) {
	return eachRow(&w.rest, data, func(row []byte) error {
		l, cursor, err := parseEntry(row)
		if w.cursor == "" {
			w.cursor = cursor
		}
		if errors.Is(err, errEvent) {
			return nil
		}
		if err != nil {
			return err
		}
		if !l.partial || len(w.parts) == 0 { // a line ends here; the newest may have no end yet
			w.lines++
		}
		if w.lines > w.max {
			w.full = true
			return errEnough
		}
		w.parts = append(w.parts, l)
		return nil
	})
}

// eachRow calls f with each row that is complete; rest keeps what is not.
func eachRow(rest *[]byte, data []byte, f func(row []byte) error) (int, error) {
	*rest = append(*rest, data...)
	for {
		row, after, ok := bytes.Cut(*rest, []byte("\n"))
		if !ok {
			return len(data), nil
		}
		if err := f(row); err != nil {
			return 0, err
		}
		*rest = after
	}
}

// errEvent says that an entry is what berth tells of a container, and none of the container's lines.
var errEvent = errors.New("an event")

// parseEntry reads an entry, and the cursor by which it is found again. The journal writes text that is no UTF-8 as a list of bytes.
func parseEntry(row []byte) (l logLine, cursor string, err error) {
	var e struct {
		Message  json.RawMessage `json:"MESSAGE"`
		Priority string          `json:"PRIORITY"`
		Partial  string          `json:"CONTAINER_PARTIAL_MESSAGE"`
		Time     string          `json:"__REALTIME_TIMESTAMP"`
		Event    string          `json:"BERTH_EVENT"`
		Cursor   string          `json:"__CURSOR"`
	}
	if err := json.Unmarshal(row, &e); err != nil {
		return l, "", fmt.Errorf("entry of the journal: %w", err)
	}
	if e.Event != "" {
		return l, e.Cursor, errEvent
	}
	l = logLine{stderr: e.Priority == "3", partial: e.Partial == "true"}
	if n, err := strconv.ParseInt(e.Time, 10, 64); err == nil {
		l.time = time.UnixMicro(n)
	}
	var text string
	if json.Unmarshal(e.Message, &text) == nil {
		l.text = []byte(text)
		return l, e.Cursor, nil
	}
	var numbers []uint16 // of which []byte would be read as base64
	if len(e.Message) > 0 {
		if err := json.Unmarshal(e.Message, &numbers); err != nil {
			return l, "", fmt.Errorf("entry of the journal: %w", err)
		}
	}
	for _, n := range numbers {
		l.text = append(l.text, byte(n))
	}
	return l, e.Cursor, nil
}
