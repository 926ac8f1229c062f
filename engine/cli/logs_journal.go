package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/events"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/rootless"
)

// printJournal prints what the journal has of a container.
func printJournal(ctx context.Context, env *Env, s engine.State, p *logPrinter) error {
	outer := ctx
	if p.o.follow {
		var cancel context.CancelFunc
		ctx, cancel = untilEnd(ctx, s, p)
		defer cancel()
	}
	entries := &entryWriter{s: s, p: p, begins: true}
	_, err := env.Run(ctx, proc.Command{Path: "/usr/bin/journalctl", Args: journalArgs(s, p.o, userManaged()), Stdout: entries})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("journalctl is not there; install systemd")
	case p.o.follow && ctx.Err() != nil && outer.Err() == nil: // the container has ended
		return nil
	case err != nil && rootless.InService():
		return fmt.Errorf("what container %q has written is in the system's journal, which root may read and the group systemd-journal: `sudo journalctl -u %s`: %w", s.Name, s.Unit, err)
	}
	return err
}

// journalArgs asks for the lines of a container. Those that the keeper has not sent are the lines of the container's unit,
// since the container was made: those of its processes, not those of systemd about it (systemd.journal-fields(7)).
func journalArgs(s engine.State, o logsOptions, user bool) []string {
	match := "_SYSTEMD_UNIT=" + s.Unit
	if user {
		match = "_SYSTEMD_USER_UNIT=" + s.Unit
	}
	since := s.Created
	if s.Kept {
		match = "CONTAINER_ID_FULL=" + s.ID
	}
	if o.from.After(since) {
		since = o.from
	}
	args := []string{
		"--quiet", "--no-pager", match, "--output=json", "--all",
		"--output-fields=MESSAGE,PRIORITY,CONTAINER_PARTIAL_MESSAGE," + events.Field, "--since=" + journalTime(since),
	}
	if !o.to.IsZero() {
		args = append(args, "--until="+journalTime(o.to))
	}
	if o.tail >= 0 {
		args = append(args, "--lines="+strconv.Itoa(o.tail))
	}
	if o.follow {
		args = append(args, "--follow")
		if o.tail < 0 {
			args = append(args, "--no-tail")
		}
	}
	return args
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
	w.rest = append(w.rest, data...)
	for {
		row, rest, ok := bytes.Cut(w.rest, []byte("\n"))
		if !ok {
			return len(data), nil
		}
		l, err := parseEntry(row)
		if errors.Is(err, errEvent) {
			w.rest = rest
			continue
		}
		if err == nil {
			err = w.p.print(w.s, l, w.begins)
		}
		if err != nil {
			return 0, err
		}
		w.begins = !l.partial
		w.rest = rest
	}
}

// errEvent says that an entry is what berth tells of a container, and none of the container's lines.
var errEvent = errors.New("an event")

// parseEntry reads an entry. The journal writes text that is no UTF-8 as a list of bytes.
func parseEntry(row []byte) (logLine, error) {
	var e struct {
		Message  json.RawMessage `json:"MESSAGE"`
		Priority string          `json:"PRIORITY"`
		Partial  string          `json:"CONTAINER_PARTIAL_MESSAGE"`
		Time     string          `json:"__REALTIME_TIMESTAMP"`
		Event    string          `json:"BERTH_EVENT"`
	}
	if err := json.Unmarshal(row, &e); err != nil {
		return logLine{}, fmt.Errorf("entry of the journal: %w", err)
	}
	if e.Event != "" {
		return logLine{}, errEvent
	}
	l := logLine{stderr: e.Priority == "3", partial: e.Partial == "true"}
	if n, err := strconv.ParseInt(e.Time, 10, 64); err == nil {
		l.time = time.UnixMicro(n)
	}
	var text string
	if json.Unmarshal(e.Message, &text) == nil {
		l.text = []byte(text)
		return l, nil
	}
	var numbers []uint16 // of which []byte would be read as base64
	if len(e.Message) > 0 {
		if err := json.Unmarshal(e.Message, &numbers); err != nil {
			return l, fmt.Errorf("entry of the journal: %w", err)
		}
	}
	for _, n := range numbers {
		l.text = append(l.text, byte(n))
	}
	return l, nil
}
