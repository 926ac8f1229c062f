package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// peer is the side that the others are compared with.
const peer = "podman"

// report is all figures of one run.
type report struct {
	Machine map[string]string `json:"machine"` // versions, processors
	Method  []string          `json:"method"`
	Notes   []string          `json:"notes,omitempty"` // what could not be measured, and why
	Rows    []row             `json:"rows"`
}

// row is what one side needed for one thing. The ratios are the peer's
// median divided by this side's: 5 means five times better than the peer.
type row struct {
	What     string   `json:"what"`
	Side     string   `json:"side"`
	Unit     string   `json:"unit"`
	Wall     stat     `json:"wall"`
	CPU      *stat    `json:"cpu,omitempty"`
	Ratio    *float64 `json:"ratio,omitempty"`
	CPURatio *float64 `json:"cpu_ratio,omitempty"`
}

// stat sums measurements up.
type stat struct {
	N      int     `json:"n"`
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// sum returns the zero stat for no measurements. The median of an even
// number is the mean of the two in the middle.
func sum(values []float64) stat {
	if len(values) == 0 {
		return stat{}
	}
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return stat{n, (v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]}
}

// compare fills in the ratios of all rows that have a peer.
func (r *report) compare() {
	for i := range r.Rows {
		a := &r.Rows[i]
		b := r.find(a.What, peer)
		if b == nil || a.Side == peer || a.Unit != b.Unit {
			continue
		}
		a.Ratio = ratio(b.Wall.Median, a.Wall.Median)
		if a.CPU != nil && b.CPU != nil {
			a.CPURatio = ratio(b.CPU.Median, a.CPU.Median)
		}
	}
}

// beyondFloor says what of a start or stop is not the manager's own, which is the same for every side.
func (r *report) beyondFloor() []string {
	var lines []string
	for _, a := range r.Rows {
		floor, theirs := r.floorOf(a.What), r.find(a.What, peer)
		if a.Side == peer || floor == nil || theirs == nil {
			continue
		}
		line := a.What + ": wall " + beyond(a.Side, a.Wall.Median-floor.Wall.Median, theirs.Wall.Median-floor.Wall.Median)
		if a.CPU != nil && floor.CPU != nil && theirs.CPU != nil {
			line += "; CPU " + beyond(a.Side, a.CPU.Median-floor.CPU.Median, theirs.CPU.Median-floor.CPU.Median)
		}
		lines = append(lines, line)
	}
	return lines
}

func beyond(side string, own, other float64) string {
	return fmt.Sprintf("%s %s ms, %s %s ms: %s", side, figure(own), peer, figure(other), times(ratio(other, own)))
}

// floorOf returns the floor's row for "systemctl start, Network=none".
func (r *report) floorOf(what string) *row {
	verb, ok := strings.CutPrefix(what, "systemctl ")
	if !ok {
		return nil
	}
	verb, _, _ = strings.Cut(verb, ",")
	return r.find(floorPrefix+verb+floorSuffix, "systemd")
}

func (r *report) find(what, side string) *row {
	for i := range r.Rows {
		if r.Rows[i].What == what && r.Rows[i].Side == side {
			return &r.Rows[i]
		}
	}
	return nil
}

func ratio(of, by float64) *float64 {
	if by <= 0 {
		return nil
	}
	q := of / by
	return &q
}

// print writes the table for people.
func (r *report) print(out io.Writer) {
	for _, key := range []string{"host", "kernel", "processors", "load", "systemd", "berth", "podman", "crun", "image"} {
		if v := r.Machine[key]; v != "" {
			fmt.Fprintf(out, "%-11s %s\n", key, v)
		}
	}
	for _, m := range r.Method {
		fmt.Fprintln(out, m)
	}
	fmt.Fprintln(out)
	printRows(out, r.Rows)
	fmt.Fprintf(out, "\nratio: the median of %s divided by this one's; CPU in ms\n", peer)
	for i, line := range r.beyondFloor() {
		if i == 0 {
			fmt.Fprintln(out, "\nbeyond what systemd needs to start or stop a service without a container:")
		}
		fmt.Fprintln(out, line)
	}
	for i, line := range r.growth() {
		if i == 0 {
			fmt.Fprintln(out, "\ngrowth, the exponent of the number of things (1: twice as many take twice as long; 0: no longer):")
		}
		fmt.Fprintln(out, line)
	}
	for _, note := range r.Notes {
		fmt.Fprintln(out, "note:", note)
	}
}

// printRows aligns names to the left and figures to the right.
func printRows(out io.Writer, rows []row) {
	table := [][]string{{"what", "side", "median", "min–max", "", "ratio", "CPU", "min–max", "ratio", "n"}}
	last := ""
	for _, r := range rows {
		cells := []string{r.What, r.Side, figure(r.Wall.Median), r.Wall.span(), r.Unit, times(r.Ratio), "", "", times(r.CPURatio), ""}
		if r.What == last {
			cells[0] = ""
		}
		last = r.What
		if r.CPU != nil {
			cells[6], cells[7] = figure(r.CPU.Median), r.CPU.span()
			cells[9] = fmt.Sprint(r.Wall.N)
		}
		table = append(table, cells)
	}
	widths := make([]int, len(table[0]))
	for _, cells := range table {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, cells := range table {
		line := ""
		for i, cell := range cells {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < 2 {
				line += cell + space + "  "
			} else {
				line += space + cell + "  "
			}
		}
		fmt.Fprintln(out, strings.TrimRight(line, " "))
	}
}

func (s stat) span() string {
	if s.N < 2 {
		return ""
	}
	return figure(s.Min) + "–" + figure(s.Max)
}

// figure prints three digits or so: nobody can measure more here.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return strings.TrimSuffix(fmt.Sprintf("%.2f", v), ".00")
	}
}

func times(ratio *float64) string {
	if ratio == nil {
		return ""
	}
	return fmt.Sprintf("%.1f×", *ratio)
}

// write writes the figures as JSON.
func (r *report) write(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return writeBeside(path, append(data, '\n'))
}

// writeBeside puts data beside its place and renames it.
func writeBeside(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".out-*")
	if err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	defer os.Remove(f.Name()) // fails after the rename, as it should
	if _, err := f.Write(data); err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	return os.Rename(f.Name(), path)
}
