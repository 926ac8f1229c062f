package keeper

import (
	"bytes"
	"fmt"
	"os"
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
		if err := k.restore(name, append(fds, stored[name+inputSuffix]...)); err != nil {
			k.warn("container %s: %v", name, err)
		}
	}
}

func (k *Keeper) restore(name string, fds []int) error {
	id, start, more := strings.Cut(name, ".") // see freeName
	if _, err := strconv.ParseUint(start, 10, 64); !isID(id) || more && err != nil {
		closeAll(fds)
		return k.Notify.Forget(name)
	}
	memory, terminal, pipes := -1, -1, map[uint64]int{}
	for _, fd := range fds {
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
		}
	}
	record, err := readRecord(memory)
	if err != nil {
		closeAll(fds)
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
	if err := record.check(len(files)); err != nil {
		// Left in the store: a newer keeper may know what to do with it.
		closeAll(files)
		unix.Close(memory)
		return err
	}
	return k.adopt(name, record, memory, files)
}

func readRecord(memory int) (*Record, error) {
	buf := make([]byte, maxMessage)
	n, err := unix.Pread(memory, buf, 0)
	if err != nil {
		return nil, fmt.Errorf("its record: %w", err)
	}
	return parseRecord(buf[:n])
}

// startTime is when a process has started, in ticks since boot; 0 when there is none (proc_pid_stat(5), field 22).
func startTime(pid int) uint64 {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 20 {
		return 0
	}
	n, _ := strconv.ParseUint(string(fields[19]), 10, 64)
	return n
}
