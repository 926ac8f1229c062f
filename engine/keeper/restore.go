package keeper

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Restore takes up again what an earlier keeper has left in the service manager's store: files by their names there.
func (k *Keeper) Restore(stored map[string][]int) {
	for name, fds := range stored {
		if id, ok := strings.CutSuffix(name, inputSuffix); ok {
			if stored[id] == nil { // a keeper was killed before it had stored the rest
				closeAll(fds)
				k.Notify.Forget(name)
			}
			continue
		}
		names := []string{name}
		if input := stored[name+inputSuffix]; input != nil {
			names, fds = append(names, name+inputSuffix), append(fds, input...)
		}
		if err := k.restore(names, fds); err != nil {
			k.warn("container %s: %v", name, err)
		}
	}
}

// restore takes up what is stored under the names of one container: its own, and that of its standard input.
func (k *Keeper) restore(names []string, fds []int) error {
	name := names[0]
	id, start, more := strings.Cut(name, ".") // see freeName
	if _, err := strconv.ParseUint(start, 10, 64); !isID(id) || more && err != nil {
		closeAll(fds)
		return k.forgetAll(names)
	}
	memory, terminal, pipes := -1, -1, map[uint64]int{}
	fds = slices.DeleteFunc(fds, func(fd int) bool {
		var st unix.Stat_t
		err := unix.Fstat(fd, &st)
		switch {
		case err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && memory < 0:
			memory = fd
		case err == nil && (st.Mode&unix.S_IFMT == unix.S_IFIFO || st.Mode&unix.S_IFMT == unix.S_IFSOCK) && pipes[st.Ino] == 0:
			pipes[st.Ino] = fd
		case err == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && terminal < 0:
			terminal = fd
		default:
			unix.Close(fd)
			return true
		}
		return false
	})
	record, err := readRecord(memory)
	if err != nil {
		k.shelve(names, &Record{}, fds)
		return fmt.Errorf("%w; its output is lost", err)
	}
	var files []int
	record.Streams = slices.DeleteFunc(record.Streams, func(s Stream) bool {
		fd, ok := pipes[s.Inode]
		switch {
		case s.Name == streamTerminal && terminal >= 0:
			files, terminal = append(files, terminal), -1
		case ok:
			files = append(files, fd)
			delete(pipes, s.Inode)
		case s.Name == streamStdin: // it has been closed
			return true
		}
		return false
	})
	for _, fd := range pipes {
		unix.Close(fd)
	}
	if terminal >= 0 {
		unix.Close(terminal)
	}
	err = record.check(len(files))
	if err == nil && (record.stream(streamTerminal) >= 0) != (record.stream(streamScreen) >= 0) {
		err = errors.New("a terminal needs its pipe")
	}
	if err != nil {
		k.shelve(names, record, append(files, memory))
		return err
	}
	if err := k.adopt(name, record, memory, files); err != nil {
		k.failed = fmt.Errorf("container %s: %w", record.Name, err) // all of it lies in the store still
	}
	return nil
}

// shelved is what lies in the store and cannot be served. A newer keeper may know what to do with it; so it stays until those are
// gone to whom it belongs: nobody has the other side of its files open, and its PID 1 has ended.
type shelved struct {
	names []string
	left  int
}

func (k *Keeper) shelve(names []string, r *Record, fds []int) {
	s := &shelved{names: names, left: 1}
	k.shelved[names[0]] = true
	switch fd, err := r.process().open(); {
	case err == nil:
		s.await(k, fd, unix.EPOLLIN)
	case !errors.Is(err, errGone):
		s.left++ // the next keeper may know
	}
	for _, fd := range fds {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err == nil && (st.Mode&unix.S_IFMT == unix.S_IFIFO || st.Mode&unix.S_IFMT == unix.S_IFCHR) {
			s.await(k, fd, 0) // of the end of the other side the kernel tells always
		} else {
			unix.Close(fd)
		}
	}
	s.gone(k)
}

// await watches a file, which becomes its own. What cannot be watched is left to the next keeper.
func (s *shelved) await(k *Keeper, fd int, events uint32) {
	s.left++
	if err := k.watch(fd, shelvedFile{s, fd}, events); err != nil {
		unix.Close(fd)
	}
}

// gone counts one off.
func (s *shelved) gone(k *Keeper) {
	if s.left--; s.left > 0 {
		return
	}
	delete(k.shelved, s.names[0])
	if err := k.forgetAll(s.names); err != nil {
		k.warn("container %s: %v", s.names[0], err)
	}
}

// forgetAll takes all that is under these names out of the store.
func (k *Keeper) forgetAll(names []string) (err error) {
	for _, name := range names {
		err = errors.Join(err, k.Notify.Forget(name))
	}
	return err
}

type shelvedFile struct {
	s  *shelved
	fd int
}

func (f shelvedFile) event(k *Keeper, _ uint32) {
	k.closeWatched(f.fd)
	f.s.gone(k)
}

func readRecord(memory int) (*Record, error) {
	buf := make([]byte, maxMessage)
	n, err := unix.Pread(memory, buf, 0)
	if err != nil {
		return nil, fmt.Errorf("its record: %w", err)
	}
	return parseRecord(buf[:n])
}
