package main

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"os"
	"strings"
)

// The plot's measures, in pixels.
const (
	plotWidth  = 860
	labelWidth = 330
	barsWidth  = 380
	rowHeight  = 40
	plotTop    = 56
)

// plotStyle follows the reader's choice of light or dark.
const plotStyle = `<style>
text{font:13px system-ui,sans-serif;fill:#24292f}.small{font-size:11px;fill:#57606a}.head{font-size:16px;font-weight:600}
.berth{fill:#1f6feb}.podman{fill:#afb8c1}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#8d96a0}.berth{fill:#4493f8}.podman{fill:#656c76}}
</style>
`

// plot draws berth beside the peer: for each thing two bars, the longer of which fills the width. It is a picture of the
// report alone: same figures, same bytes.
func (r *report) plot(out io.Writer) error {
	var pairs [][2]*row
	for i := range r.Rows {
		a := &r.Rows[i]
		if b := r.find(a.What, peer); a.Side == "berth" && b != nil && a.Ratio != nil && a.Unit == b.Unit {
			pairs = append(pairs, [2]*row{a, b})
		}
	}
	height := plotTop + rowHeight*len(pairs) + 30
	var text strings.Builder
	fmt.Fprintf(&text, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img">`+"\n", plotWidth, height, plotWidth, height)
	text.WriteString("<title>berth beside Podman</title>\n" + plotStyle)
	text.WriteString(`<text class="head" x="0" y="18">berth beside Podman, on one machine, in turns</text>` + "\n")
	fmt.Fprintf(&text, `<text class="small" x="0" y="38">medians; shorter is better; %s</text>`+"\n", html.EscapeString(r.where()))
	for i, pair := range pairs {
		plotPair(&text, plotTop+rowHeight*i, pair[0], pair[1])
	}
	text.WriteString("</svg>\n")
	_, err := io.WriteString(out, text.String())
	return err
}

func plotPair(text *strings.Builder, y int, own, other *row) {
	longest := max(own.Wall.Median, other.Wall.Median)
	fmt.Fprintf(text, `<text x="0" y="%d">%s</text>`+"\n", y+18, html.EscapeString(own.What))
	for i, r := range []*row{own, other} {
		length := max(barsWidth*r.Wall.Median/longest, 1)
		top := y + 3 + 14*i
		fmt.Fprintf(text, `<rect class="%s" x="%d" y="%d" width="%.1f" height="12" rx="2"/>`, r.Side, labelWidth, top, length)
		fmt.Fprintf(text, `<text class="small" x="%.1f" y="%d">%s %s %s</text>`+"\n", labelWidth+length+6, top+10, r.Side, figure(r.Wall.Median), r.Unit)
	}
	fmt.Fprintf(text, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", plotWidth, y+18, times(own.Ratio))
}

// where says what machine and programs the figures are of.
func (r *report) where() string {
	var parts []string
	for _, key := range []string{"podman", "crun", "systemd"} {
		if v := r.Machine[key]; v != "" {
			v, _, _ = strings.Cut(v, " (")
			parts = append(parts, strings.Replace(v, " version", "", 1))
		}
	}
	if v := r.Machine["kernel"]; v != "" {
		v, _, _ = strings.Cut(v, "-")
		parts = append(parts, "Linux "+v)
	}
	if v := r.Machine["processors"]; v != "" {
		parts = append(parts, v+" processors")
	}
	return strings.Join(parts, ", ")
}

// plotFile draws the figures of a run that was written before.
func plotFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("read the figures: %w; `go run ./bench -out %s` makes them", err, from)
	}
	var r report
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("read the figures in %s: %w", from, err)
	}
	r.compare()
	var picture strings.Builder
	if err := r.plot(&picture); err != nil {
		return err
	}
	return writeBeside(to, []byte(picture.String()))
}
