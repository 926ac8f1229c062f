package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/atomicfile"
)

// mark writes a mark to the marks' partition. It does not ask the disk to be flushed, for that would make durable what the
// promise is about; the page cache is gone around, so that the write comes at once.
func mark(device, line string) error {
	f, err := os.OpenFile(device, os.O_WRONLY|unix.O_DIRECT, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	block := aligned(pageSize)
	if err := markBlock(block[:markSize], line); err != nil {
		return err
	}
	_, err = f.WriteAt(block, 0)
	return err
}

// aligned returns memory that O_DIRECT takes.
func aligned(size int) []byte {
	raw := make([]byte, 2*size)
	skip := -int(uintptr(unsafe.Pointer(&raw[0]))) & (size - 1)
	return raw[skip : skip+size]
}

// record is what a ledger is made of.
type record struct {
	device, name, file string
	synced             bool // false is the control, which must be found out
}

// ledger appends records to a file, after those that are there, and promises each when it is written: to the disk, or only to
// the page cache.
func ledger(r record, last int) error {
	data, err := os.ReadFile(r.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for n := bytes.Count(data, []byte{'\n'}) + 1; n <= last; n++ {
		if err := r.append(n); err != nil {
			return err
		}
		if err := mark(r.device, fmt.Sprintf("ledger %s %d", r.name, n)); err != nil {
			return err
		}
	}
	return nil
}

func (r record) append(n int) error {
	f, err := os.OpenFile(r.file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.Itoa(n) + "\n")
	if err == nil && r.synced {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// tornSize is the size of the control that is replaced as one should not.
const tornSize = 3 * pageSize

// torn replaces a file as one should not: what is written beside is renamed before it is on the disk.
func torn(dir string, times int) error {
	file := filepath.Join(dir, tornFile)
	for i := range times {
		text := bytes.Repeat([]byte{byte('a' + i%26)}, tornSize)
		text[len(text)-1] = '\n'
		if err := os.WriteFile(file+".new", text, 0o644); err != nil {
			return err
		}
		if err := os.Rename(file+".new", file); err != nil {
			return err
		}
		// Another's sync writes the file system's journal, and the rename with it.
		if err := atomicfile.Write(file+".other", text[:1], 0o644); err != nil {
			return err
		}
	}
	return nil
}
