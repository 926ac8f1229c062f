//go:build containers_image_openpgp

package image

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// The size of what is compressed is found out however it arrives, and counts together with that of the other layers.
func TestSizing(t *testing.T) {
	text := []byte(strings.Repeat("berth", 200))
	var gz bytes.Buffer
	z := gzip.NewWriter(&gz)
	_, err := z.Write(text)
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data []byte
		need int64
	}{
		"gzip": {gz.Bytes(), 1000}, "zstd": {enc.EncodeAll(text, nil), 1000}, "plain": {text, 0}, "short": {[]byte("x"), 0}, "empty": {nil, 0},
	} {
		for how, wrap := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "end with data": iotest.DataErrReader} {
			b := &bounded{dir: "/store", free: 2000}
			for round := range 3 {
				got, err := io.ReadAll(&sizing{ReadCloser: io.NopCloser(wrap(bytes.NewReader(c.data))), by: b})
				full := c.need*int64(round+1) > b.free
				if full != errors.Is(err, unix.ENOSPC) || !full && !bytes.Equal(got, c.data) {
					t.Errorf("%s, %s, layer %d: %d bytes, %v", name, how, round+1, len(got), err)
				}
			}
			if b.need != 3*c.need {
				t.Errorf("%s, %s: %d bytes are needed, want %d", name, how, b.need, 3*c.need)
			}
		}
	}
}
