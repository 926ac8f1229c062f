package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/cgroup"
	"github.com/berth-pods/berth/engine/spec"
)

type psOptions struct {
	all, quiet, noTrunc bool
	format              string
}

func (o *psOptions) flags(set *pflag.FlagSet) {
	set.BoolVarP(&o.all, "all", "a", false, "list those that do not run too")
	set.BoolVarP(&o.quiet, "quiet", "q", false, "print IDs only")
	set.BoolVar(&o.noTrunc, "no-trunc", false, "print whole IDs and commands")
	set.StringVar(&o.format, "format", "table", "`FORM` of the output: table or json")
}

func psVerb() Verb {
	var o psOptions
	return Verb{
		Name: "ps", Usage: "[OPTION…]", Summary: "list containers",
		Text:  "Reads a small file for each container and asks nobody: it never waits for a start or a stop.",
		Flags: o.flags, Run: runPs,
	}
}

func runPs(_ context.Context, env *Env, args []string) error {
	var o psOptions
	set := newFlagSet("ps")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	list := runDirs().List
	if o.all {
		list = runDirs().All
	}
	all, err := list()
	if err != nil {
		return err
	}
	shown := []engine.State{}
	for _, s := range all {
		if o.all || s.Running() {
			shown = append(shown, s)
		}
	}
	switch {
	case o.quiet:
		for _, s := range shown {
			fmt.Fprintln(env.Out, shortID(s.ID, o.noTrunc))
		}
		return nil
	case o.format == "json":
		return psJSON(env.Out, shown)
	case o.format == "table":
		return psTable(env.Out, shown, o.noTrunc)
	}
	return fmt.Errorf("format %q is neither table nor json", o.format)
}

// psEntry has the names of Podman's `ps --format json`.
type psEntry struct {
	ID        string             `json:"Id"`
	Image     string             `json:"Image"`
	ImageID   string             `json:"ImageID"`
	Command   []string           `json:"Command"`
	Created   int64              `json:"Created"`
	CreatedAt time.Time          `json:"CreatedAt"`
	State     string             `json:"State"`
	Pid       int                `json:"Pid"`
	Names     []string           `json:"Names"`
	Unit      string             `json:"Unit"`
	Labels    map[string]string  `json:"Labels"`
	Networks  []string           `json:"Networks"`
	Ports     []spec.PortMapping `json:"Ports"`
}

func psJSON(w io.Writer, list []engine.State) error {
	entries := make([]psEntry, 0, len(list))
	for _, s := range list {
		entries = append(entries, psEntry{
			ID: s.ID, Image: s.Image, ImageID: s.ImageID, Command: s.Command, Created: s.Created.Unix(), CreatedAt: s.Created,
			State: status(s), Pid: s.Init.PID, Names: []string{s.Name}, Unit: s.Unit, Labels: spec.Labels(s.Container.Labels),
			Networks: s.Network.Networks, Ports: s.Network.Publish,
		})
	}
	return printJSON(w, entries)
}

func psTable(w io.Writer, list []engine.State, whole bool) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "CONTAINER ID\tIMAGE\tCOMMAND\tCREATED\tSTATUS\tPORTS\tNAMES")
	for _, s := range list {
		command := strings.Join(s.Command, " ")
		if !whole && len(command) > 24 {
			command = command[:23] + "…"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s ago\t%s\t%s\t%s\n", shortID(s.ID, whole), printable(s.Image), printable(command),
			age(time.Since(s.Created)), statusAndHealth(s), ports(s.Network.Publish), s.Name)
	}
	return table.Flush()
}

// statusAndHealth is statusText with what the probes of the container say.
func statusAndHealth(s engine.State) string {
	if v := health(s); v != nil && s.Running() {
		return statusText(s) + " (" + v.Status + ")"
	}
	return statusText(s)
}

// status says what the container does.
func status(s engine.State) string {
	switch {
	case s.Running() && s.Cgroup != "" && cgroup.Frozen(s.Cgroup):
		return "paused"
	case s.Running():
		return "running"
	case s.Started.IsZero() && s.Exit == nil:
		return "created"
	}
	return "exited"
}

// exitCode is the exit status of a container that has ended; 255 when nobody has seen its end.
func exitCode(s engine.State) int {
	switch {
	case s.Exit != nil:
		return s.Exit.Code
	case s.Started.IsZero() || s.Running():
		return 0
	}
	return 255
}

// statusText says what the container does and since when.
func statusText(s engine.State) string {
	switch status(s) {
	case "created":
		return "Created"
	case "running":
		return "Up " + age(time.Since(s.Started))
	case "paused":
		return "Paused"
	}
	if s.Finished.IsZero() {
		return fmt.Sprintf("Exited (%d)", exitCode(s))
	}
	return fmt.Sprintf("Exited (%d) %s ago", exitCode(s), age(time.Since(s.Finished)))
}

// printable replaces what would move the cursor of a terminal or break the table.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

// ports writes mappings as ADDRESS:PORT->PORT/PROTOCOL.
func ports(list []spec.PortMapping) string {
	words := make([]string, 0, len(list))
	for _, m := range list {
		host := m.HostIP
		if host == "" {
			host = "0.0.0.0"
		}
		words = append(words, fmt.Sprintf("%s->%s/%s", net.JoinHostPort(host, span(m.HostPort, m.Range)), span(m.ContainerPort, m.Range), m.Protocol))
	}
	return strings.Join(words, ", ")
}

// span writes count ports from first on.
func span(first, count uint16) string {
	if count <= 1 {
		return strconv.Itoa(int(first))
	}
	return fmt.Sprintf("%d-%d", first, first+count-1)
}

// age writes a duration in its largest unit.
func age(d time.Duration) string {
	for _, u := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := int(d / u.size); n == 1 {
			return "1 " + u.name
		} else if n > 1 {
			return fmt.Sprintf("%d %ss", n, u.name)
		}
	}
	return "0 seconds"
}

func shortID(id string, whole bool) string {
	if whole {
		return id
	}
	return id[:min(12, len(id))]
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
