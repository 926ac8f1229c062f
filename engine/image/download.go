//go:build containers_image_openpgp

package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/types"
)

// A link that brings less than slowest bytes per second for stallAfter is given up, and a new one is made: a connection
// whose other end has gone away stays open for a quarter of an hour otherwise. answerWithin bounds the time until the
// first byte, within which the library may be waiting on the registry's behalf (429, Retry-After).
const (
	slowest      = 512
	stallAfter   = 30 * time.Second
	answerWithin = 3 * time.Minute
	flushEvery   = 10 * time.Second // of a download that a power cut costs at most; a layer that is here sooner is not flushed
	goodProgress = 64 << 10         // bytes after which a broken link does not count as a failed try
)

// errStalled says that a link has gone quiet.
var errStalled = errors.New("the link has stalled")

// errExhausted marks an error after which the download was tried again as often as it may be.
var errExhausted = errors.New("")

// errDamaged says that a layer is not what its digest says.
var errDamaged = errors.New("digest did not match")

// A download is a layer as it is read from the registry. What comes is written to the file, and what the file has from
// earlier tries is read from there. A broken or stalled link is made anew from where it broke. It keeps the context of the
// copy that reads it, as a reader has no other way to that.
type download struct {
	ctx     context.Context
	file    *os.File
	info    types.BlobInfo
	retry   PullOptions
	connect func(ctx context.Context, offset int64) (io.ReadCloser, error)
	say     func(string)
	arrived func(int)
	stall   time.Duration

	at, have int64     // where the reader is, and where the file ends
	replayed bool      // some of it came from an earlier process
	sum      hash.Hash // of one that is replayed; others the copy checks, which reads all of it too
	link     *link
	linkFrom int64 // where the link began
	tries    int   // in a row, without progress
	flushed  time.Time
	flushing sync.WaitGroup
}

func newDownload(ctx context.Context, f *os.File, info types.BlobInfo, retry PullOptions) (*download, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	d := &download{ctx: ctx, file: f, info: info, retry: retry, have: st.Size(), sum: info.Digest.Algorithm().Hash(), flushed: time.Now(), stall: cmp.Or(retry.stall, stallAfter),
		say: func(string) {}, arrived: func(int) {}}
	if d.have > info.Size {
		d.have = 0
		err = f.Truncate(0)
	}
	d.replayed = d.have > 0
	return d, err
}

// Read implements io.Reader. The last bytes of a layer that was begun by an earlier process are only given away when the
// digest is right: there it can help to begin anew.
func (d *download) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if d.at == d.info.Size {
		return 0, io.EOF
	}
	n, err := d.next(p[:min(int64(len(p)), d.info.Size-d.at)])
	if err != nil {
		return 0, err
	}
	if d.replayed {
		d.sum.Write(p[:n])
	}
	d.at += int64(n)
	if d.replayed && d.at == d.info.Size {
		if err := d.verify(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func (d *download) next(p []byte) (int, error) {
	if d.at < d.have {
		n, err := d.file.ReadAt(p[:min(int64(len(p)), d.have-d.at)], d.at)
		if n > 0 {
			err = nil
		}
		return n, err
	}
	n, err := d.fetch(p)
	if err != nil {
		return 0, err
	}
	if _, err := d.file.WriteAt(p[:n], d.at); err != nil {
		return 0, err
	}
	d.have += int64(n)
	if time.Since(d.flushed) >= flushEvery {
		d.flushBeside()
	}
	return n, nil
}

// flushBeside does not let the link wait for the disk, unless the disk has fallen behind by flushEvery.
func (d *download) flushBeside() {
	d.flushing.Wait()
	d.flushed = time.Now()
	d.flushing.Go(func() { _ = d.file.Sync() })
}

// flush makes a power cut cost no more than flushEvery. What it does cost is found out by the digest.
func (d *download) flush() {
	_ = d.file.Sync()
	d.flushed = time.Now()
}

// fetch reads from the link until some bytes have come.
func (d *download) fetch(p []byte) (int, error) {
	for {
		n, err := d.fetchOnce(p)
		if n > 0 {
			d.arrived(n)
			if d.at+int64(n)-d.linkFrom >= goodProgress {
				d.tries = 0
			}
			return n, nil
		}
		d.unlink()
		if err := d.again(err); err != nil {
			return 0, err
		}
	}
}

func (d *download) fetchOnce(p []byte) (int, error) {
	if d.link == nil {
		l, err := dial(d.ctx, d.stall, func(ctx context.Context) (io.ReadCloser, error) { return d.connect(ctx, d.at) })
		if err != nil {
			return 0, err
		}
		d.link, d.linkFrom = l, d.at
	}
	n, err := d.link.Read(p)
	if n == 0 && (err == nil || errors.Is(err, io.EOF)) {
		err = io.ErrUnexpectedEOF // there should be more
	}
	return n, err
}

// again waits before the next try, or gives the error back when there is to be none.
func (d *download) again(err error) error {
	if d.ctx.Err() != nil {
		return d.ctx.Err()
	}
	if !transient(err) || d.tries >= d.retry.Retry {
		if transient(err) {
			err = fmt.Errorf("%w%w", errExhausted, err)
		}
		return fmt.Errorf("layer %s, %s of %s: %w", short(d.info.Digest), HumanSize(d.have), HumanSize(d.info.Size), err)
	}
	d.flush()
	wait := delay(d.tries, d.retry.RetryDelay, rand.Float64())
	d.tries++
	d.say(fmt.Sprintf("Layer %s: going on from %s of %s in %s: %v", short(d.info.Digest), HumanSize(d.have), HumanSize(d.info.Size), wait.Round(100*time.Millisecond), err))
	return pause(d.ctx, wait)
}

// verify throws a damaged layer away, so that the next try begins anew: what came from an earlier process may have been
// spoilt by a power cut.
func (d *download) verify() error {
	got := digest.NewDigest(d.info.Digest.Algorithm(), d.sum)
	if got == d.info.Digest {
		return nil
	}
	return errors.Join(fmt.Errorf("layer %s has the digest %s: %w", d.info.Digest, got, errSpoilt), d.file.Truncate(0))
}

// errSpoilt is errDamaged of a layer that an earlier process had begun.
var errSpoilt = fmt.Errorf("what was fetched before is spoilt: %w", errDamaged)

func (d *download) unlink() {
	if d.link != nil {
		d.link.Close()
	}
	d.link = nil
}

// Close keeps the file for the next try.
func (d *download) Close() error {
	d.unlink()
	d.flushing.Wait()
	if d.at < d.info.Size && d.have > 0 {
		d.flush()
	}
	return d.file.Close()
}

func short(d digest.Digest) string { return d.Encoded()[:min(12, len(d.Encoded()))] }

// A link is one answer of a registry, which is cut off when it goes quiet.
type link struct {
	body    io.ReadCloser
	cancel  context.CancelFunc
	stalled atomic.Bool
	quiet   time.Duration

	spent time.Duration // waiting for bytes, in this window
	bytes int64         // that came in it
}

// dial makes the link.
func dial(ctx context.Context, quiet time.Duration, connect func(context.Context) (io.ReadCloser, error)) (*link, error) {
	ctx, cancel := context.WithCancel(ctx)
	l := &link{cancel: cancel, quiet: quiet}
	guard := time.AfterFunc(max(answerWithin, quiet), l.cut)
	body, err := connect(ctx)
	guard.Stop()
	if err != nil {
		cancel()
		return nil, l.why(err)
	}
	l.body = body
	return l, nil
}

func (l *link) cut() {
	l.stalled.Store(true)
	l.cancel()
}

// why puts the stall in place of the cancellation that it caused.
func (l *link) why(err error) error {
	if l.stalled.Load() {
		return errStalled
	}
	return err
}

// Read counts the time that it waits for bytes and the bytes, so that a slow disk does not look like a slow link.
func (l *link) Read(p []byte) (int, error) {
	guard := time.AfterFunc(l.quiet, l.cut)
	start := time.Now()
	n, err := l.body.Read(p)
	guard.Stop()
	l.spent += time.Since(start)
	l.bytes += int64(n)
	if l.spent >= l.quiet {
		if float64(l.bytes) < slowest*l.spent.Seconds() {
			l.cut()
			return n, errStalled
		}
		l.spent, l.bytes = 0, 0
	}
	if err != nil {
		err = l.why(err)
	}
	return n, err
}

// Close gives the connection up.
func (l *link) Close() {
	l.cancel()
	l.body.Close()
}
