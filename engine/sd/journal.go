package sd

import (
	"fmt"
	"os"
	"strings"

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

// JournalNamespace is the name in LogNamespace= of the unit that f is the output of; "" for the one that all units share.
// The path of the socket at the other end tells it.
func JournalNamespace(f *os.File) string {
	peer, err := unix.Getpeername(int(f.Fd()))
	if err != nil {
		return ""
	}
	name, _ := peer.(*unix.SockaddrUnix)
	if name == nil {
		return ""
	}
	rest, ok := strings.CutPrefix(name.Name, "/run/systemd/journal.")
	namespace, _, inside := strings.Cut(rest, "/")
	if !ok || !inside {
		return ""
	}
	return namespace
}
