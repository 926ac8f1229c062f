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
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine/events"
	"github.com/berth-pods/berth/engine/format"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/spec"
)

type eventsOptions struct {
	filters              []string
	format, since, until string
	stream, whole        bool

	from, to time.Time
}

func (o *eventsOptions) flags(set *pflag.FlagSet) {
	set.StringArrayVarP(&o.filters, "filter", "f", nil, "print some only, `KEY=VALUE`: container, event, image, label, network, pod, secret, type, volume")
	set.StringVar(&o.format, "format", "", "`FORM` of the output: json, or a template such as {{.Name}}")
	set.BoolVar(&o.whole, "no-trunc", true, "print whole IDs")
	set.StringVar(&o.since, "since", "", "print what has happened since this `TIME`: 2026-11-25T12:00:00, seconds since 1970, or 10m for ten minutes ago")
	set.BoolVar(&o.stream, "stream", true, "go on and print what happens")
	set.StringVar(&o.until, "until", "", "stop at this `TIME`")
}

func eventsVerb() Verb {
	var o eventsOptions
	return Verb{
		Name: "events", Usage: "[OPTION…]", Summary: "print what happens to containers, images, volumes, networks and pods",
		Text: `Events are entries of the journal: nobody has to listen for them to be kept, and journalctl shows them too
(journalctl MESSAGE_ID=` + events.MessageID + `). A user sees the user's own.

Without --since and with --stream only what happens from now on is printed. Of several filters of one kind one must fit, of label
all. A container is made known by create, start, exec, pause, unpause, kill, stop, died, remove and health_status; others by create,
start, stop, remove, and images by pull, push, tag, untag, loadfromarchive, save, import, prune and remove.`,
		Flags: o.flags, Run: runEvents,
	}
}

func parseEvents(args []string) (eventsOptions, error) {
	var o eventsOptions
	set := newFlagSet("events")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if set.NArg() > 0 {
		return o, fmt.Errorf("events takes no names: `berth events --filter container=%s` prints those of one container", set.Arg(0))
	}
	for _, t := range []struct {
		flag, word string
		to         *time.Time
		sign       string
	}{{"since", o.since, &o.from, ""}, {"until", o.until, &o.to, "-"}} {
		if t.word == "" {
			continue
		}
		word := t.word
		if _, err := time.ParseDuration(word); err == nil && t.flag == "until" && !strings.HasPrefix(word, "-") {
			word = "-" + word // from now on
		}
		var err error
		if *t.to, err = parseTime(word); err != nil {
			return o, fmt.Errorf("--%s: %w", t.flag, err)
		}
	}
	if o.format != "" && o.format != "json" {
		if err := checkForm(o.format); err != nil {
			return o, err
		}
		if err := format.Rows(io.Discard, o.format, []event{}); err != nil {
			return o, err
		}
	}
	return o, nil
}

func runEvents(ctx context.Context, env *Env, args []string) error {
	o, err := parseEvents(args)
	if err != nil {
		return err
	}
	passes, err := compileFilters(o.filters, eventFilters())
	if err != nil {
		return err
	}
	conf, err := loadConfig()
	if err != nil {
		return err
	}
	if logger := conf.Engine.EventsLogger; logger != "" && logger != "journald" {
		fmt.Fprintf(env.Err, "events_logger=%q in containers.conf has no effect: events are in the journal\n", logger)
	}
	outer := ctx
	follow := o.stream && (o.to.IsZero() || time.Until(o.to) > 0)
	if follow && !o.to.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, o.to)
		defer cancel()
	}
	w := &eventWriter{out: env.Out, o: o, passes: passes}
	_, err = env.Run(ctx, proc.Command{Path: "/usr/bin/journalctl", Args: eventArgs(o, follow, rootless.UID()), Stdout: w})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("journalctl is not there; install systemd")
	case outer.Err() != nil:
		return outer.Err()
	case follow && ctx.Err() != nil: // the time is over
		return nil
	}
	return err
}

// eventArgs asks for the entries that programs of this user have written: the journal itself says whose they are.
func eventArgs(o eventsOptions, follow bool, uid int) []string {
	args := []string{"--quiet", "--no-pager", "--output=json", "--all", "MESSAGE_ID=" + events.MessageID, "_UID=" + strconv.Itoa(uid)}
	switch {
	case !o.from.IsZero():
		args = append(args, "--since="+journalTime(o.from))
	case follow:
		args = append(args, "--lines=0")
	}
	if !o.to.IsZero() && !follow {
		args = append(args, "--until="+journalTime(o.to))
	}
	if follow {
		args = append(args, "--follow")
		if !o.from.IsZero() {
			args = append(args, "--no-tail")
		}
	}
	return args
}

// event has the names of Podman's `events --format json`.
type event struct {
	ContainerExitCode *int   `json:"ContainerExitCode,omitempty"`
	ID                string `json:"ID,omitempty"`
	Image             string `json:"Image,omitempty"`
	Name              string `json:"Name,omitempty"`
	Network           string `json:"network,omitempty"`
	Pod               string `json:"PodID,omitempty"`
	Status            string
	Time              int64 `json:"time"`
	TimeNano          int64 `json:"timeNano"`
	Type              string
	Health            string `json:"health_status,omitempty"`
	Attributes        map[string]string
}

// Fields are Podman's fields of templates, where they are not those of JSON; what an event does not have is empty.
func (e event) Fields() map[string]any {
	code := ""
	if e.ContainerExitCode != nil {
		code = strconv.Itoa(*e.ContainerExitCode)
	}
	return map[string]any{
		"ContainerExitCode": code, "ID": e.ID, "Image": e.Image, "Name": e.Name, "Network": e.Network, "PodID": e.Pod, "HealthStatus": e.Health,
		"TimeUnix": e.Time, "TimeUnixNano": e.TimeNano, "ToHumanReadable": e.line(), "Labels": e.Attributes,
	}
}

// line is an event for people.
func (e event) line() string {
	words := []string{time.Unix(0, e.TimeNano).UTC().Format("2006-01-02 15:04:05.000000 -0700 MST"), e.Type, e.Status}
	if e.ID != "" {
		words = append(words, e.ID)
	}
	var more []string
	add := func(name, value string) {
		if value != "" {
			more = append(more, name+"="+value)
		}
	}
	switch e.Type {
	case "container", "pod":
		add("image", e.Image)
		add("name", e.Name)
		add("pod_id", e.Pod)
		add("health_status", e.Health)
		if e.ContainerExitCode != nil {
			add("exit_code", strconv.Itoa(*e.ContainerExitCode))
		}
	case "network":
		add("name", e.Network)
	default:
		words = append(words, e.Name)
	}
	for _, name := range spec.SortedKeys(e.Attributes) {
		add(name, e.Attributes[name])
	}
	line := strings.Join(words, " ")
	if len(more) > 0 {
		line += " (" + strings.Join(more, ", ") + ")"
	}
	return printable(line)
}

func eventFilters() []filter[*event] {
	thing := func(key string) filter[*event] {
		return filter[*event]{key: key, read: func(value string) (func(*event) bool, error) {
			return func(e *event) bool {
				return e.Type == key && (e.Name == value || value != "" && strings.HasPrefix(e.ID, value)) || key == "pod" && e.Pod != "" && strings.HasPrefix(e.Pod, value)
			}, nil
		}}
	}
	list := []filter[*event]{
		thing("container"), thing("volume"), thing("network"), thing("pod"), thing("secret"),
		textFilter("event", sameEvent, func(e *event) string { return e.Status }),
		textFilter("type", same, func(e *event) string { return e.Type }),
		{key: "image", read: func(value string) (func(*event) bool, error) {
			return func(e *event) bool {
				if e.Type == "image" {
					return isImage(e.Name+" "+e.ID, value)
				}
				return isImage(e.Image+" ", value)
			}, nil
		}},
	}
	return append(list, labelFilters(func(e *event) map[string]string { return e.Attributes })...)
}

// sameEvent knows Docker's names too.
func sameEvent(status, value string) bool {
	docker := map[string]string{"die": "died", "destroy": "remove", "delete": "remove", "load": "loadfromarchive"}
	return status == value || status == docker[value]
}

// eventWriter prints the entries that are written to it as JSON, one a line.
type eventWriter struct {
	out    io.Writer
	o      eventsOptions
	passes func(*event) bool
	rest   []byte
}

func (w *eventWriter) Write(data []byte) (int, error) {
	w.rest = append(w.rest, data...)
	for {
		row, rest, ok := bytes.Cut(w.rest, []byte("\n"))
		if !ok {
			return len(data), nil
		}
		list, err := parseEvent(row)
		if err != nil {
			return 0, err
		}
		for _, e := range list {
			if !w.passes(&e) {
				continue
			}
			if err := w.print(e); err != nil {
				return 0, err
			}
		}
		w.rest = rest
	}
}

func (w *eventWriter) print(e event) (err error) {
	if !w.o.whole {
		e.ID, e.Pod = shortID(e.ID, false), shortID(e.Pod, false)
	}
	switch w.o.format {
	case "json":
		var line []byte
		if line, err = marshal(e); err == nil {
			_, err = w.out.Write(append(line, '\n'))
		}
	case "":
		_, err = fmt.Fprintln(w.out, e.line())
	default:
		err = format.Rows(w.out, w.o.format, []event{e})
	}
	return err
}

// parseEvent reads an entry of the journal, which may tell of several things that happened as one. Fields of another type than
// text, for which the journal has lists, are left empty: nobody but a forger writes them.
func parseEvent(row []byte) ([]event, error) {
	var fields map[string]any
	if err := json.Unmarshal(row, &fields); err != nil {
		return nil, fmt.Errorf("entry of the journal: %w", err)
	}
	text := func(name string) string {
		s, _ := fields[name].(string)
		return s
	}
	e := event{
		ID: text(events.IDField), Image: text(events.ImageField), Name: text(events.NameField), Network: text(events.NetworkField), Pod: text(events.PodField),
		Type: text(events.TypeField), Health: text(events.HealthField),
	}
	if n, err := strconv.ParseInt(text("__REALTIME_TIMESTAMP"), 10, 64); err == nil {
		e.Time, e.TimeNano = n/1e6, n*1e3
	}
	if s := text(events.AttributesField); s != "" {
		_ = json.Unmarshal([]byte(s), &e.Attributes) // a forger's only
	}
	var list []event
	for _, what := range strings.Split(text(events.Field), ",") {
		one := e
		one.Status = what
		if code, err := strconv.Atoi(text(events.ExitCodeField)); err == nil && what == "died" {
			one.ContainerExitCode = &code
		}
		list = append(list, one)
	}
	return slices.DeleteFunc(list, func(e event) bool { return e.Status == "" }), nil
}
