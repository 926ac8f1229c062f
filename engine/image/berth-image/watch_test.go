//go:build containers_image_openpgp

package main

import (
	"bytes"
	"testing"

	"github.com/berth-pods/berth/engine/image"
)

// On a terminal there is a line per layer that is on its way, and nothing of it stays.
func TestBars(t *testing.T) {
	p := image.Progress{Image: "web:1", Done: 60, Total: 400, Rate: 10, Layers: []image.Layer{
		{Digest: "sha256:aaaaaaaaaaaaaaaa", Done: 100, Total: 100, Stored: true},
		{Digest: "sha256:bbbbbbbbbbbbbbbb", Done: 50, Total: 100},
		{Digest: "sha256:cccccccccccccccc", Total: 200},
		{Digest: "sha256:dddddddddddddddd"},
	}}
	want := "Pulling web:1: 15% (60 B of 400 B, 10 B/s)\n" +
		"  bbbbbbbbbbbb [==========          ]  50% of 100 B\n" +
		"  cccccccccccc [                    ]   0% of 200 B\n"
	if got := bars(p, "Pulling"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	var b bytes.Buffer
	w := &watch{err: &b, doing: "Pulling", live: true, notify: func(string) {}}
	w.progress(p)
	w.end()
	if got := b.String(); got != want+"\r\x1b[3A\x1b[J" {
		t.Errorf("%q", got)
	}
}
