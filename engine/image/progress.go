//go:build containers_image_openpgp

package image

import (
	"fmt"
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
	Rate        float64 // bytes per second since the start of this image
	Elsewhere   bool    // another process pulls the image and this one waits; all numbers are 0
}

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

// A tally adds up the events of one copy. It is a plain value changed by add, so that it can be tested without a copy.
type tally struct {
	image  string
	start  time.Time
	total  int64
	done   map[string]int64 // bytes by blob digest
	stored map[string]bool  // likewise
}

func newTally(image string, start time.Time) *tally {
	return &tally{image: image, start: start, done: map[string]int64{}, stored: map[string]bool{}}
}

// add takes in one event that came at the time now.
func (t *tally) add(e types.ProgressProperties, now time.Time) Progress {
	blob := e.Artifact.Digest.String()
	switch e.Event {
	case types.ProgressEventNewArtifact, types.ProgressEventSkipped:
		if _, known := t.done[blob]; !known {
			t.total += max(e.Artifact.Size, 0)
			t.done[blob] = 0
		}
	}
	switch e.Event {
	case types.ProgressEventRead:
		t.done[blob] = int64(e.Offset)
	case types.ProgressEventDone, types.ProgressEventSkipped:
		t.done[blob] = max(e.Artifact.Size, int64(e.Offset))
		t.stored[blob] = true
	}
	return t.progress(now)
}

func (t *tally) progress(now time.Time) Progress {
	p := Progress{Image: t.image, Total: t.total, Blobs: len(t.stored), Of: len(t.done)}
	for blob, n := range t.done {
		p.Done += n
		if !t.stored[blob] {
			p.Waiting += n
		}
	}
	if s := now.Sub(t.start).Seconds(); s > 0 {
		p.Rate = float64(p.Done) / s
	}
	return p
}
