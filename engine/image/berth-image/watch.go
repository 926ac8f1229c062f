//go:build containers_image_openpgp

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/berth-pods/berth/engine/image"
)

// statusEvery bounds how often systemd is told; extendBy is how long it then waits on: a pull that gets no byte for this
// time is ended by the start timeout of its unit. A layer that has arrived is still to be unpacked and flushed, of which
// nothing is heard: that gets the time that a slow memory card needs, at slowDisk bytes per second.
const (
	statusEvery = time.Second
	extendBy    = time.Minute
	slowDisk    = 4e6
)

// A watch shows how a pull or load comes along: on a terminal as lines that are written over, one for each layer, to
// systemd as the status of the unit, whose start timeout it extends as long as bytes arrive.
type watch struct {
	err    io.Writer
	doing  string // "Loading" or "Pulling"
	live   bool   // err is a terminal
	quiet  bool
	notify func(string)

	mu     sync.Mutex
	drawn  int // progress lines that stand on the terminal
	told   time.Time
	toldIt int64
}

func (e env) watch(verb string, quiet bool) *watch {
	f, ok := e.Err.(*os.File)
	doing := map[string]string{"load": "Loading", "push": "Pushing", "save": "Saving", "import": "Importing", "manifest push": "Pushing", "artifact push": "Pushing"}[verb]
	if doing == "" {
		doing = "Pulling"
	}
	return &watch{err: e.Err, doing: doing, live: ok && term.IsTerminal(int(f.Fd())), quiet: quiet, notify: e.Notify}
}

func (w *watch) say(line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.quiet {
		return
	}
	w.clear()
	fmt.Fprintln(w.err, line)
}

func (w *watch) progress(p image.Progress) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if state, due := w.status(p, time.Now()); due {
		w.notify(state)
	}
	if w.live && !w.quiet {
		w.clear()
		text := bars(p, w.doing)
		fmt.Fprint(w.err, text)
		w.drawn = strings.Count(text, "\n")
	}
}

// status is the message for systemd, and whether it is time for one: not more often than statusEvery, and only when
// bytes have come since the last one, here or in the process that this one waits for.
func (w *watch) status(p image.Progress, now time.Time) (string, bool) {
	if now.Sub(w.told) < statusEvery || (p.Done == w.toldIt && !p.Elsewhere) {
		return "", false
	}
	w.told, w.toldIt = now, p.Done
	extend := extendBy + time.Duration(float64(p.Waiting)/slowDisk*float64(time.Second))
	return fmt.Sprintf("STATUS=%s %s\nEXTEND_TIMEOUT_USEC=%d", w.doing, p, extend.Microseconds()), true
}

// maxBars is how many layers are shown, the last ones that have begun.
const maxBars = 8

// bars is what stands on the terminal: a line for the image, and one for each layer that is on its way.
func bars(p image.Progress, doing string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", doing, p)
	var open []image.Layer
	for _, l := range p.Layers {
		if !l.Stored && l.Total > 0 {
			open = append(open, l)
		}
	}
	for _, l := range open[max(0, len(open)-maxBars):] {
		_, hex, _ := strings.Cut(l.Digest, ":")
		full := l.Percent() / 5
		fmt.Fprintf(&b, "  %.12s [%-20s] %3d%% of %s\n", hex, strings.Repeat("=", full), l.Percent(), image.HumanSize(l.Total))
	}
	return b.String()
}

// end takes the progress lines off the terminal.
func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clear()
}

func (w *watch) clear() {
	if w.drawn > 0 {
		fmt.Fprintf(w.err, "\r\x1b[%dA\x1b[J", w.drawn)
	}
	w.drawn = 0
}
