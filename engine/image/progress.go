//go:build containers_image_openpgp

package image

import (
	"fmt"
	"sync/atomic"
	"time"

	"go.podman.io/image/v5/types"
)

// Progress says how far one image has come. It is reported when bytes have arrived or a layer is
// done, and every second while another process pulls the same image.
type Progress struct {
	Image       string
	Done, Total int64   // bytes; Total grows until the last layer has been announced, and is 0 as long as no size is known
	Waiting     int64   // bytes that have arrived and belong to layers that are not stored yet
	Blobs, Of   int     // layers and configs stored, and announced so far
	Rate        float64 // bytes per second, of late
	Elsewhere   bool    // another process pulls the image and this one waits; all numbers are 0
	Layers      []Layer // in the order in which they were announced
}

// Layer is how far one layer, or the config, has come.
type Layer struct {
	Digest      string
	Done, Total int64
	Stored      bool // by the copy; the layer may still be unpacked
}

// Percent is 0 to 100.
func (l Layer) Percent() int { return Progress{Done: l.Done, Total: l.Total}.Percent() }

// Percent is 0 to 100.
func (p Progress) Percent() int {
	if p.Total <= 0 {
		return 0
	}
	return int(min(p.Done, p.Total) * 100 / p.Total)
}

// String is one line for people: "web:latest: 43% (12.0 of 28.1 MB, 3.1 MB/s)".
func (p Progress) String() string {
	if p.Elsewhere {
		return p.Image + ": another process pulls it"
	}
	if p.Total <= 0 {
		return fmt.Sprintf("%s: %s", p.Image, HumanSize(p.Done))
	}
	return fmt.Sprintf("%s: %d%% (%s of %s, %s/s)", p.Image, p.Percent(), HumanSize(p.Done), HumanSize(p.Total), HumanSize(int64(p.Rate)))
}

// HumanSize is a number of bytes for people, in powers of ten as docker and podman print it.
func HumanSize(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.0f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}

// A meter counts the bytes that come over the network, as opposed to those that are read again from the disk.
type meter struct{ bytes atomic.Int64 }

func (m *meter) add(n int) { m.bytes.Add(int64(n)) }

// A tally adds up the events of one copy. It is a plain value changed by add, so that it can be tested without a copy.
type tally struct {
	image  string
	meter  *meter // nil when nothing comes over the network
	total  int64
	order  []string
	layers map[string]*Layer // by digest
	past   []sample          // of the last rateOver, the oldest first
}

// A sample is how much had come at a time.
type sample struct {
	at    time.Time
	bytes int64
}

// rateOver is the time over which the rate is taken.
const rateOver = 10 * time.Second

func newTally(image string, start time.Time, m *meter) *tally {
	return &tally{image: image, meter: m, layers: map[string]*Layer{}, past: []sample{{at: start}}}
}

// add takes in one event that came at the time now.
func (t *tally) add(e types.ProgressProperties, now time.Time) Progress {
	blob := e.Artifact.Digest.String()
	l := t.layers[blob]
	if l == nil {
		l = &Layer{Digest: blob}
		t.layers[blob], t.order = l, append(t.order, blob)
	}
	switch e.Event {
	case types.ProgressEventNewArtifact, types.ProgressEventSkipped:
		if l.Total == 0 {
			l.Total = max(e.Artifact.Size, 0)
			t.total += l.Total
		}
	}
	switch e.Event {
	case types.ProgressEventRead:
		l.Done = int64(e.Offset)
	case types.ProgressEventDone, types.ProgressEventSkipped:
		l.Done = max(e.Artifact.Size, int64(e.Offset))
		l.Stored = true
	}
	return t.progress(now)
}

func (t *tally) progress(now time.Time) Progress {
	p := Progress{Image: t.image, Total: t.total, Of: len(t.order)}
	for _, d := range t.order {
		l := t.layers[d]
		p.Layers = append(p.Layers, *l)
		p.Done += l.Done
		if l.Stored {
			p.Blobs++
		} else {
			p.Waiting += l.Done
		}
	}
	p.Rate = t.rate(now, p.Done)
	return p
}

// rate remembers what has come until now and returns the bytes per second of late.
func (t *tally) rate(now time.Time, done int64) float64 {
	if t.meter != nil {
		done = t.meter.bytes.Load()
	}
	for len(t.past) > 1 && now.Sub(t.past[1].at) >= rateOver {
		t.past = t.past[1:]
	}
	first := t.past[0]
	t.past = append(t.past, sample{now, done})
	if s := now.Sub(first.at).Seconds(); s > 0 {
		return float64(done-first.bytes) / s
	}
	return 0
}
