package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// pageSize is the grain in which a disk is kept in memory.
const pageSize = 4096

// disk is what is on a disk: the pages that are not all zeros.
type disk struct {
	size  int64
	pages map[int64][]byte // never changed in place, so that a copy of the map is a copy of the disk
}

// loadDisk reads the image file of a path.
func loadDisk(path string) (*disk, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readDisk(f)
}

// readDisk reads an image file, passing over its holes.
func readDisk(f *os.File) (*disk, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	d := &disk{size: info.Size(), pages: map[int64][]byte{}}
	for at := int64(0); at < d.size; {
		begin, err := f.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		if err != nil {
			return nil, err
		}
		begin -= begin % pageSize
		page := make([]byte, pageSize)
		if _, err := f.ReadAt(page, begin); err != nil && err != io.EOF {
			return nil, err
		}
		d.put(begin/pageSize, page)
		at = begin + pageSize
	}
	return d, nil
}

func (d *disk) put(page int64, data []byte) {
	for _, b := range data {
		if b != 0 {
			d.pages[page] = data
			return
		}
	}
	delete(d.pages, page)
}

// apply writes to the disk.
func (d *disk) apply(w write) {
	d.writeAt(w.offset, int64(len(w.data)), w.data)
	d.writeAt(w.offset, w.discard, nil)
}

// writeAt writes data, or zeros if it is nil.
func (d *disk) writeAt(offset, length int64, data []byte) {
	for done := int64(0); done < length; {
		number, within := (offset+done)/pageSize, (offset+done)%pageSize
		n := min(pageSize-within, length-done)
		page := make([]byte, pageSize)
		copy(page, d.pages[number])
		if data == nil {
			clear(page[within : within+n])
		} else {
			copy(page[within:], data[done:done+n])
		}
		d.put(number, page)
		done += n
	}
}

// clone returns a disk that can be written to without changing this one.
func (d *disk) clone() *disk {
	pages := make(map[int64][]byte, len(d.pages))
	for n, p := range d.pages {
		pages[n] = p
	}
	return &disk{d.size, pages}
}

// save makes f an image of the disk.
func (d *disk) save(f *os.File) error {
	if err := errors.Join(f.Truncate(0), f.Truncate(d.size)); err != nil {
		return err
	}
	for n, page := range d.pages {
		if _, err := f.WriteAt(page, n*pageSize); err != nil {
			return fmt.Errorf("write the image: %w", err)
		}
	}
	return nil
}
