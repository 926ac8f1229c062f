package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The log of writes as QEMU's blklogwrites and Linux's dm-log-writes keep it: a header, and for each write an entry with its
// data, all aligned to sectors.
const (
	logMagic   = 0x6a736677736872
	logVersion = 1

	flagFlush   = 1 << 0 // what was finished before is on the disk
	flagFUA     = 1 << 1 // this write is on the disk when it is finished
	flagDiscard = 1 << 2 // no data follows
)

// unit is what entries count in: sectors of 512 bytes, whatever the log is aligned to.
const unit = 512

// header is the log's first sector.
type header struct {
	Magic, Version, Entries uint64
	SectorSize              uint32
}

// entryHeader stands before the data of a write, which has as many sectors as are written to. Length is that of a mark, which
// only dm-log-writes knows.
type entryHeader struct {
	Sector, Sectors, Flags, Length uint64
}

// write is one write to the disk, or a flush, which has no data.
type write struct {
	offset  int64
	data    []byte // nil for a flush and a discard
	discard int64  // bytes that have no content any more
	flags   uint64
}

// barrier tells whether all writes before this one are on the disk once it is finished.
func (w write) barrier() bool { return w.flags&flagFlush != 0 }

// maxWrite is more than any block device takes at once.
const maxWrite = 64 << 20

// readLog reads all writes of a log. One that ends in the middle of an entry is an error: the recorder was not ended in
// good order.
func readLog(r io.Reader) ([]write, error) {
	var h header
	if err := binary.Read(r, binary.LittleEndian, &h); err != nil {
		return nil, fmt.Errorf("read the log's header: %w", err)
	}
	switch {
	case h.Magic != logMagic:
		return nil, errors.New("this is no log of writes")
	case h.Version != logVersion:
		return nil, fmt.Errorf("the log has version %d, known is %d", h.Version, logVersion)
	case h.SectorSize < unit || h.SectorSize > 1<<16 || h.SectorSize&(h.SectorSize-1) != 0:
		return nil, fmt.Errorf("the log has sectors of %d bytes", h.SectorSize)
	}
	sector := int64(h.SectorSize)
	if _, err := io.CopyN(io.Discard, r, sector-int64(binary.Size(h))); err != nil {
		return nil, fmt.Errorf("read the log's header: %w", err)
	}
	var list []write
	for i := range h.Entries {
		w, err := readEntry(r, sector)
		if err != nil {
			return nil, fmt.Errorf("read entry %d of %d: %w", i+1, h.Entries, err)
		}
		list = append(list, w)
	}
	return list, nil
}

func readEntry(r io.Reader, sector int64) (write, error) {
	head := make([]byte, sector)
	if _, err := io.ReadFull(r, head); err != nil {
		return write{}, err
	}
	var h entryHeader
	if err := binary.Read(bytes.NewReader(head), binary.LittleEndian, &h); err != nil {
		return write{}, err
	}
	discard := h.Flags&flagDiscard != 0
	if h.Length > 0 || h.Sector > 1<<40 || h.Sectors > 1<<40 || !discard && int64(h.Sectors)*sector > maxWrite {
		return write{}, fmt.Errorf("%d sectors at %d, with %d bytes, are no write", h.Sectors, h.Sector, h.Length)
	}
	w := write{offset: int64(h.Sector) * sector, flags: h.Flags}
	switch {
	case discard:
		w.discard = int64(h.Sectors) * sector
	case h.Sectors > 0:
		n := int64(h.Sectors) * sector
		data, err := io.ReadAll(io.LimitReader(r, n)) // no more memory than there is data, whatever the entry says
		if err == nil && int64(len(data)) < n {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return write{}, err
		}
		w.data = data
	}
	return w, nil
}
