package sd

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// InJournal reports whether what is written to f goes into the journal by way of systemd: $JOURNAL_STREAM names the
// stream's device and inode (systemd.exec(5)).
func InJournal(f *os.File) bool {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return false
	}
	return os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}
