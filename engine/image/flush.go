//go:build containers_image_openpgp

package image

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A layer is listed when it is on the disk (see durable). So that this need not be waited for at the end, the disk is kept at work
// meanwhile: each time that this program has written flushBytes more, which it looks for every flushLook.
const (
	flushBytes = 32 << 20
	flushLook  = 100 * time.Millisecond
)

// flushBehind flushes the file system that holds dir while much is written to it, until stop is called.
func flushBehind(dir string) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		f, err := os.Open(dir)
		if err != nil {
			return
		}
		defer f.Close()
		look := time.NewTicker(flushLook)
		defer look.Stop()
		for flushed := written(); ; {
			select {
			case <-look.C:
			case <-end:
				return
			}
			if now := written(); now-flushed >= flushBytes {
				flushed = now
				_ = unix.Syncfs(int(f.Fd())) // whoever lists the layer hears of an error
			}
		}
	}()
	return func() { close(end); <-ended }
}

// written is how many bytes this program has given to write(2) and its like, those of children that ended included (proc(5)).
func written() int64 {
	data, _ := os.ReadFile("/proc/self/io")
	for line := range bytes.Lines(data) {
		if value, ok := bytes.CutPrefix(line, []byte("wchar: ")); ok {
			n, _ := strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
			return n
		}
	}
	return 0
}
