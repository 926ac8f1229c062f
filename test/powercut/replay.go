package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"time"

	"golang.org/x/sys/unix"
)

// The recorded disk: a partition table, a file system, and a place for marks.
const (
	fsOffset    = 1 << 20
	fsSize      = 224 << 20
	marksOffset = fsOffset + fsSize
	marksSize   = 1 << 20
)

// prepare makes the disk as the machine gets it.
func prepare(dir string) error {
	path := filepath.Join(dir, "disk.img")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(partitionTable(), 0); err == nil {
		err = f.Truncate(marksOffset + marksSize)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	// A small journal is written back to its places often, so that there is more to be seen.
	cmd := exec.Command("mke2fs", "-q", "-t", "ext4", "-J", "size=4", "-E", fmt.Sprintf("offset=%d", fsOffset), path, fmt.Sprintf("%dk", fsSize>>10))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mke2fs: %w: %s", err, out)
	}
	return keepBase(path, filepath.Join(dir, "base.img"))
}

// keepBase copies the disk as it is before the machine writes to it: the replay begins there.
func keepBase(path, to string) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	base, err := readDisk(from)
	if err != nil {
		return err
	}
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	return errors.Join(base.save(f), f.Close())
}

// partitionTable is a master boot record with the two partitions.
func partitionTable() []byte {
	table := make([]byte, unit)
	for i, p := range []struct{ offset, size uint32 }{{fsOffset, fsSize}, {marksOffset, marksSize}} {
		entry := table[446+16*i:]
		entry[4] = 0x83 // Linux
		binary.LittleEndian.PutUint32(entry[8:], p.offset/unit)
		binary.LittleEndian.PutUint32(entry[12:], p.size/unit)
	}
	table[510], table[511] = 0x55, 0xaa
	return table
}

// replayOptions are what replay was asked for.
type replayOptions struct {
	dir, root, archive        string
	every, mixed, deep, limit int
	seed                      uint64
}

// result counts what was found.
type result struct {
	states, deep, failures, controls int
	faults                           map[string]int
}

// runReplay looks at the states of a log, in a mount namespace that the caller has made for it.
func runReplay(o replayOptions) error {
	began := time.Now()
	f, err := os.Open(filepath.Join(o.dir, "writes.log"))
	if err != nil {
		return err
	}
	defer f.Close()
	log, err := readLog(bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		return err
	}
	image, err := os.Open(filepath.Join(o.dir, "base.img"))
	if err != nil {
		return err
	}
	defer image.Close()
	base, err := readDisk(image)
	if err != nil {
		return err
	}
	r := replay{base: base, log: log, marks: marksOffset, every: o.every, shuffles: o.mixed, seed: o.seed}
	if r.from, err = firstMark(log); err != nil {
		return err
	}
	c, err := newChecker(o)
	if err != nil {
		return err
	}
	res, err := c.all(r, o)
	if err != nil {
		return err
	}
	fmt.Printf("%d writes and flushes; %d states, berth went on from %d of them; %.0f s\n", len(log), res.states, res.deep, time.Since(began).Seconds())
	return res.verdict()
}

// firstMark is where the machine begins with what is looked at: the file system was made ready for it before.
func firstMark(log []write) (int, error) {
	for i, w := range log {
		if _, ok := markIn(w, marksOffset); ok {
			return i, nil
		}
	}
	return 0, errors.New("the log has no mark: the machine has not begun")
}

// newChecker makes the places in the root that a state is shown at. All of its mounts are this namespace's.
func newChecker(o replayOptions) (checker, error) {
	c := checker{root: o.root, scratch: filepath.Join(o.root, "tmp"), offset: fsOffset, archive: "/archive.tar"}
	for _, dir := range []string{"mnt", "tmp", "run", "proc", "dev", "root", "var/lib/containers", "var/tmp", "etc/containers"} {
		if err := os.MkdirAll(filepath.Join(o.root, dir), 0o755); err != nil {
			return c, err
		}
	}
	data, err := os.ReadFile(o.archive)
	if err != nil {
		return c, err
	}
	return c, errors.Join(
		os.WriteFile(filepath.Join(o.root, c.archive), data, 0o644),
		os.WriteFile(filepath.Join(o.root, "etc/passwd"), []byte("root:x:0:0::/root:/bin/sh\n"), 0o644),
		unix.Mount("tmpfs", c.scratch, "tmpfs", 0, ""),
		unix.Mount("/proc", filepath.Join(o.root, "proc"), "", unix.MS_BIND|unix.MS_REC, ""),
		unix.Mount("/dev", filepath.Join(o.root, "dev"), "", unix.MS_BIND|unix.MS_REC, ""),
	)
}

// all looks at the states, or at so many of them as were asked for.
func (c checker) all(r replay, o replayOptions) (result, error) {
	res := result{faults: map[string]int{}}
	step := 1
	if o.limit > 0 {
		total := 0
		if err := r.states(func(state) error { total++; return nil }); err != nil {
			return res, err
		}
		step = max(1, total/o.limit)
	}
	n := 0
	err := r.states(func(s state) error {
		n++
		if n%step != 0 {
			return nil
		}
		res.states++
		deep := o.deep > 0 && res.states%o.deep == 0
		if deep {
			res.deep++
		}
		wrong, controls, err := c.check(s, deep)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		res.add(s, wrong, controls)
		return nil
	})
	return res, err
}

// shownFaults is how many damaged states are shown in full.
const shownFaults = 20

func (r *result) add(s state, wrong, controls []string) {
	if len(controls) > 0 {
		r.controls++
	}
	for _, fault := range controls {
		r.faults["control: "+kindOf(fault)]++
	}
	if len(wrong) == 0 {
		return
	}
	if r.failures++; r.failures <= shownFaults {
		fmt.Printf("%s, after the mark %q:\n", s.name, s.promise.last)
		for _, fault := range wrong {
			fmt.Printf("  %s\n", fault)
		}
	}
}

// kindOf is a fault without its figures.
func kindOf(fault string) string {
	return string(bytes.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, []byte(fault)))
}

func (r result) verdict() error {
	var kinds []string
	for kind := range r.faults {
		kinds = append(kinds, kind)
	}
	sort.Strings(kinds)
	for _, kind := range kinds {
		fmt.Printf("%s: in %d states\n", kind, r.faults[kind])
	}
	fmt.Printf("tally: %d points, %d failures, 0 leaks\n", r.states, r.failures)
	switch {
	case r.failures > 0:
		return fmt.Errorf("%d of %d states are damaged", r.failures, r.states)
	case r.controls == 0:
		return errors.New("the controls, which write without a sync, look whole in all states: this test sees nothing")
	}
	return nil
}
