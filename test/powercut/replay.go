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
	fsSize      = 304 << 20 // mkfs.xfs wants 300 MB
	marksOffset = fsOffset + fsSize
	marksSize   = 1 << 20
)

// makers are the programs that make a file system in a file, by the type of it.
var makers = map[string][]string{
	// A small journal is written back to its places often, so that there is more to be seen.
	"ext4":  {"mke2fs", "-q", "-t", "ext4", "-J", "size=4"},
	"xfs":   {"mkfs.xfs", "-q"},
	"btrfs": {"mkfs.btrfs", "-q"},
}

// prepare makes the disk as the machine gets it, with a file system of a type that makers has.
func prepare(dir, fsType string) error {
	maker, ok := makers[fsType]
	if !ok {
		return fmt.Errorf("-fs is %q: it can be ext4, xfs or btrfs", fsType)
	}
	path := filepath.Join(dir, "disk.img")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		return err
	}
	if err := os.Truncate(path, fsSize); err != nil {
		return err
	}
	if out, err := exec.Command(maker[0], append(maker[1:], path)...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", maker[0], err, out)
	}
	made, err := loadDisk(path)
	if err != nil {
		return err
	}
	whole := &disk{size: marksOffset + marksSize, pages: map[int64][]byte{}}
	for n, page := range made.pages {
		whole.pages[n+fsOffset/pageSize] = page
	}
	whole.writeAt(0, unit, partitionTable())
	// The machine writes to the one; the replay begins with the other.
	for _, name := range []string{path, filepath.Join(dir, "base.img")} {
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		if err := errors.Join(whole.save(f), f.Close()); err != nil {
			return err
		}
	}
	return nil
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
	base, err := loadDisk(filepath.Join(o.dir, "base.img"))
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
