package keeper

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// journal is a connection to a journal, in its native protocol (systemd's docs/JOURNAL_NATIVE_PROTOCOL).
type journal struct {
	fd   int // -1: not connected
	path string
}

// errBusy says that the journal takes nothing more at the moment.
var errBusy = errors.New("the journal is busy")

func newJournal(dir, namespace string) *journal {
	if namespace != "" {
		namespace = "." + namespace
	}
	return &journal{fd: -1, path: dir + "/journal" + namespace + "/socket"}
}

func (j *journal) connect() error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	// Room for long lines; more than the machine's limit is for root only.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 8<<20) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 8<<20)
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: j.path}); err != nil {
		unix.Close(fd)
		return fmt.Errorf("connect to the journal at %s: %w", j.path, err)
	}
	j.fd = fd
	return nil
}

func (j *journal) close() {
	if j.fd >= 0 {
		unix.Close(j.fd)
		j.fd = -1
	}
}

// send sends one entry in the name of process pid; 0 is the keeper itself. The parts of an entry are sent as they lie.
// errBusy means that it is to be tried again later.
func (j *journal) send(parts [][]byte, pid int) error {
	for range 2 {
		if j.fd < 0 && j.connect() != nil {
			return errBusy
		}
		_, err := unix.SendmsgBuffers(j.fd, parts, credentials(pid), nil, unix.MSG_NOSIGNAL)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return errBusy
		case errors.Is(err, unix.EMSGSIZE), errors.Is(err, unix.ENOBUFS):
			return j.sendFile(parts, pid)
		case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOTCONN), errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
			j.close() // its socket has been made anew
			continue
		default:
			return err
		}
	}
	return errBusy
}

// sendFile sends an entry that is too large for a datagram as a sealed file in memory.
func (j *journal) sendFile(parts [][]byte, pid int) error {
	fd, err := unix.MemfdCreate("berth-entry", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, p := range parts {
		if _, err := unix.Write(fd, p); err != nil {
			return err
		}
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE|unix.F_SEAL_SEAL); err != nil {
		return err
	}
	err = unix.Sendmsg(j.fd, nil, append(credentials(pid), unix.UnixRights(fd)...), nil, unix.MSG_NOSIGNAL)
	if errors.Is(err, unix.EAGAIN) {
		return errBusy
	}
	return err
}

// credentials makes the journal take the entry for one of process pid, with its unit and all. Only root may (unix(7)).
func credentials(pid int) []byte {
	if pid == 0 {
		return nil
	}
	return unix.UnixCredentials(&unix.Ucred{Pid: int32(pid), Uid: uint32(unix.Getuid()), Gid: uint32(unix.Getgid())})
}

// fields are the fields that all lines of a stream share, in the form of the protocol.
func fields(r *Record, user bool) []byte {
	var b bytes.Buffer
	add := func(name, value string) {
		if value != "" {
			b.WriteString(name)
			b.WriteByte('=')
			b.WriteString(strings.ReplaceAll(value, "\n", " "))
			b.WriteByte('\n')
		}
	}
	add("SYSLOG_IDENTIFIER", r.Identifier)
	add("CONTAINER_ID", r.ID[:12])
	add("CONTAINER_ID_FULL", r.ID)
	add("CONTAINER_NAME", r.Name)
	add("CONTAINER_TAG", r.Tag)
	add("IMAGE_NAME", r.Image)
	for _, f := range r.Fields {
		name, value, _ := strings.Cut(f, "=")
		add(name, value)
	}
	// journalctl -u looks at these too: at the first when root has sent it, at the second when the user has. The journal
	// finds the unit of the container's PID 1 by itself only as long as that process is there.
	if user {
		add("USER_UNIT", r.Unit)
	} else {
		add("OBJECT_SYSTEMD_UNIT", r.Unit)
	}
	return b.Bytes()
}

// Parts of entries.
var (
	partMessage  = []byte("MESSAGE=")
	partEnd      = []byte("\n")
	partPartial  = []byte("\nCONTAINER_PARTIAL_MESSAGE=true\n")
	partPriority = [8][]byte{
		[]byte("PRIORITY=0\n"), []byte("PRIORITY=1\n"), []byte("PRIORITY=2\n"), []byte("PRIORITY=3\n"),
		[]byte("PRIORITY=4\n"), []byte("PRIORITY=5\n"), []byte("PRIORITY=6\n"), []byte("PRIORITY=7\n"),
	}
)

// journalSink sends a container's lines to a journal.
type journalSink struct {
	j      *journal
	fields []byte
	pid    func() int // whose lines they are; 0 when it is gone
	parts  [5][]byte
}

func (s *journalSink) write(lines []line, standard int) (int, error) {
	for i, l := range lines {
		prio, text := l.priority(standard)
		end := partEnd
		if l.partial {
			end = partPartial
		}
		s.parts = [5][]byte{partPriority[prio], s.fields, partMessage, text, end}
		err := s.j.send(s.parts[:], s.pid())
		if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EPERM) {
			err = s.j.send(s.parts[:], 0)
		}
		if err != nil {
			return i, err
		}
	}
	return len(lines), nil
}
