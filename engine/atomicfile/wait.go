package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a lock is waited for without a word.
const patience = 5 * time.Second

// wait takes a lock on f. Once that has taken longer than patience, it writes a line on what is waited for and who has it.
func wait(f *os.File, how int, patience time.Duration, out io.Writer) error {
	err := flock(f, how|unix.LOCK_NB)
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	tell := time.AfterFunc(patience, func() {
		fmt.Fprintf(out, "Waiting for the lock on %q%s\n", f.Name(), holder("/proc", st.Ino))
	})
	defer tell.Stop()
	return flock(f, how)
}

// holder says who has the lock on this inode that this process waits for; nothing if that cannot be found out. Those who wait
// stand in /proc/locks below the lock that they wait for, under its number (proc_locks(5)). The device there is not the one
// of stat(2) on file systems as btrfs.
func holder(proc string, inode uint64) string {
	text, err := os.ReadFile(filepath.Join(proc, "locks"))
	if err != nil {
		return ""
	}
	self, end := strconv.Itoa(os.Getpid()), ":"+strconv.FormatUint(inode, 10)
	has := map[string]string{} // the process that has the lock, by the lock's number
	for line := range strings.Lines(string(text)) {
		switch w := strings.Fields(line); {
		case len(w) == 8 && w[1] == "FLOCK":
			has[w[0]] = w[4]
		case len(w) == 9 && w[1] == "->" && w[5] == self && strings.HasSuffix(w[6], end):
			return ", which process " + has[w[0]] + " has" + command(proc, has[w[0]])
		}
	}
	return ""
}

// command tells a process's program and its verb. Not more: a secret may stand among the other words.
func command(proc, pid string) string {
	text, err := os.ReadFile(filepath.Join(proc, pid, "cmdline"))
	if err != nil || len(text) == 0 {
		return ""
	}
	words := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
	name := filepath.Base(words[0])
	if len(words) > 1 && !strings.HasPrefix(words[1], "-") {
		name += " " + words[1]
	}
	return fmt.Sprintf(" (%q)", name)
}
