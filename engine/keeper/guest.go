package keeper

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/cgroup"
)

// A guest is a user whose containers are run by units of the system's manager (User= in a unit file). Root's keeper reads what
// they write, for only root may write into the journal in their name, and looks after their health. A guest may be hostile:
// what he says of a container counts only where the kernel says the same, no file is opened that he can name, he cannot use up
// what others need, and what has to be done with his files is done by a process of his own, in his unit's control group.
//
// One thing is not kept from him. Whoever writes into a pipe holds its lock while the kernel copies what he writes, and that may
// be in a file of a file system that he serves himself and that does not answer (FUSE). Until it does, all who want that lock wait
// where no signal reaches them: tee(2), splice(2), read(2), FIONREAD, also with SPLICE_F_NONBLOCK. Then the keeper stands
// still, and with it, once their pipes are full, the containers that it reads; nothing can be done without a process for each
// of them. The manager notices (WatchdogSec=) and starts another keeper, which gets as far as that pipe. The end of the writer, or
// of its file system's server, lets all go on, and no line is lost. What containers say of their services goes on meanwhile (relay.go).

const (
	guestContainers  = 512         // that one guest may have looked after
	guestConnections = 64          // at the same time
	maxForeign       = 16384       // descriptors that all guests together can make the keeper hold: one user may be many (subuid(5))
	maxDropping      = 256         // threads that close them
	guestProbe       = time.Second // between the beginnings of probes that he asks for
)

// Guest is a user, and the control group of the unit that runs in his name.
type Guest struct {
	UID   uint32 `json:"uid"`
	GID   uint32 `json:"gid"`
	Group string `json:"group"` // of the engine that made the container, below the root of all
}

// guest reports whether the container is a guest's.
func (r *Record) guest() bool { return r.Guest != nil }

// ours is the owner of what is no guest's.
const ours = -1

// owner is the guest's user ID, or ours.
func (r *Record) owner() int64 {
	if r.guest() {
		return int64(r.Guest.UID)
	}
	return ours
}

// owner is whose containers the peer may ask for.
func (p peer) owner() int64 {
	if p.guest {
		return int64(p.uid)
	}
	return ours
}

// peer is who has connected.
type peer struct {
	guest    bool
	uid, gid uint32
	pid      int
}

// Admit makes the keeper take connections of guests from another listening socket.
func (k *Keeper) Admit(listener int) error {
	if err := unix.SetNonblock(listener, true); err != nil {
		return err
	}
	return k.watch(listener, door{fd: listener, guests: true}, unix.EPOLLIN)
}

// admit counts a guest's connections; leave takes one off.
func (k *Keeper) admit(p peer) bool {
	if !p.guest {
		return true
	}
	if k.guests[p.uid] >= guestConnections || k.foreign >= maxForeign {
		return false // without a word: he could fill the journal with it
	}
	k.guests[p.uid]++
	k.foreign++
	return true
}

func (k *Keeper) leave(p peer) {
	if !p.guest {
		return
	}
	k.foreign--
	if k.guests[p.uid]--; k.guests[p.uid] <= 0 {
		delete(k.guests, p.uid)
	}
}

// letGoOf is letGo for files that a guest has sent, or his connection.
func (k *Keeper) letGoOf(p peer, files []int, then func()) {
	if !p.guest {
		k.letGo(files, then)
		return
	}
	k.foreign += len(files)
	drop := func() {
		k.dropping++
		k.letGo(files, func() {
			k.dropping--
			k.foreign -= len(files)
			if len(k.undropped) > 0 {
				next := k.undropped[0]
				k.undropped = k.undropped[1:]
				next()
			}
			then()
		})
	}
	if k.dropping >= maxDropping {
		k.undropped = append(k.undropped, drop)
		return
	}
	drop()
}

// vet refuses what a guest may not ask for, and says itself what the kernel knows better than he.
func (k *Keeper) vet(p peer, r *Record, files []int) error {
	r.Guest = nil
	if !p.guest {
		return nil
	}
	r.Notify = "" // his unit is the system's
	if !isName(r.Name) {
		return fmt.Errorf("%q is no name of a container", r.Name)
	}
	if err := r.vetOutput(files); err != nil {
		return err
	}
	if r.Health != nil {
		if err := r.Health.bound(); err != nil {
			return err
		}
	}
	at, alive, err := k.ofUnit(p, r.process())
	if err != nil {
		return err
	}
	count := 0
	for _, c := range k.containers {
		if c.record.guest() && (c.record.Guest.UID == p.uid || c.record.Unit == at.unit) {
			count++
		}
	}
	if count >= guestContainers {
		return fmt.Errorf("user %d has %d containers already", p.uid, count)
	}
	// One that has ended meanwhile is nobody any more. Its number and time are forgotten, or another process that fits them later
	// would be taken for the container: followed, spoken for, killed.
	if !alive {
		r.PID, r.Start = 0, 0
	}
	r.Unit, r.Guest = at.unit, &Guest{UID: p.uid, GID: p.gid, Group: at.group}
	return nil
}

// ofUnit finds the unit of a guest who asks, and refuses a process that is in another one.
func (k *Keeper) ofUnit(p peer, process Process) (at place, alive bool, err error) {
	if at, err = k.unitOf(p.pid, p.uid); err != nil {
		return at, false, err
	}
	if process.PID <= 1 || process.Start == 0 {
		return at, false, nil
	}
	// Looked at twice, the number has been one process's between.
	its, unknown := place{}, error(nil)
	if err = process.check(); err == nil {
		its, unknown = k.unitOf(process.PID, p.uid)
		err = process.check()
	}
	switch {
	case errors.Is(err, errGone):
		return at, false, nil
	case err != nil:
		return at, false, fmt.Errorf("process %d: %w", process.PID, err)
	case unknown != nil || its.top != at.top:
		return at, false, fmt.Errorf("process %d is not in %s", process.PID, at.unit)
	}
	return at, true, nil
}

// belongs reports whether the record's process is in its guest's unit: an earlier keeper may have believed him.
func (k *Keeper) belongs(r *Record) (bool, error) {
	if !r.guest() {
		return true, nil
	}
	its, err := k.unitOf(r.PID, r.Guest.UID)
	if errors.Is(err, errGone) || errors.Is(err, errNoUnit) {
		return false, nil
	}
	return err == nil && strings.HasPrefix(r.Guest.Group+"/", its.top+"/"), err
}

// vetOutput refuses all but pipes for the journal.
func (r *Record) vetOutput(files []int) error {
	if r.Driver != Journald || r.Path != "" {
		return errors.New("what a user's container writes goes into the journal by this keeper, and nowhere else")
	}
	for _, f := range r.Fields {
		if name, _, _ := strings.Cut(f, "="); !harmless(name) {
			return fmt.Errorf("log option: the field %q of the journal is not for users", name)
		}
	}
	if r.Namespace != "" && !isNamespace(r.Namespace) {
		return fmt.Errorf("%q is no namespace of the journal", r.Namespace)
	}
	for i, s := range r.Streams {
		if s.Name != streamStdout && s.Name != streamStderr {
			return fmt.Errorf("stream %q is not for users", s.Name)
		}
		// Of a pipe, and of nothing else, is known that one can look into it without waiting (tee(2)), but for what is said above.
		inode, ok := pipeInode(files[i])
		if !ok {
			return fmt.Errorf("stream %q is no pipe", s.Name)
		}
		r.Streams[i].Inode = inode
	}
	return nil
}

// pipeInode is the number of a pipe that lies in no file system, where another one may answer for it, or not. What is asked for here
// the kernel knows itself (proc_pid_fd(5)); fstat(2) would ask the file system.
func pipeInode(fd int) (inode uint64, ok bool) {
	text, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	text, ok = strings.CutPrefix(text, "pipe:[")
	if err != nil || !ok {
		return 0, false
	}
	inode, err = strconv.ParseUint(strings.TrimSuffix(text, "]"), 10, 64)
	return inode, err == nil
}

// bound keeps what a guest's probes cost the keeper small.
func (h *Health) bound() error {
	if len(h.Runtime) == 0 || !filepath.IsAbs(h.Runtime[0]) || !filepath.IsAbs(h.Dir) {
		return errors.New("health check without a runtime or a directory")
	}
	atLeast := func(d *time.Duration) {
		if *d != 0 {
			*d = max(*d, time.Second)
		}
	}
	atLeast(&h.Interval)
	h.Timeout, h.Retries = max(h.Timeout, time.Second), max(h.Retries, 1)
	within := func(n, most int) int {
		if n <= 0 {
			return most
		}
		return min(n, most)
	}
	h.LogCount, h.LogSize = within(h.LogCount, 32), within(h.LogSize, 4096)
	if s := h.Startup; s != nil {
		atLeast(&s.Interval)
		s.Timeout = max(s.Timeout, time.Second)
	}
	return nil
}

// place is where a process is: a unit of the system's, its control group, and the process's own below that, both below the root of
// all.
type place struct{ unit, top, group string }

// errNoUnit says that a process is not in a unit of the user's.
var errNoUnit = errors.New("it is in no unit of the system's that runs in the name")

// unitOf finds the unit that a process is in, if its control group is the user's: the manager gives it to the user in whose name
// the unit runs (Delegate=, systemd.resource-control(5)). It returns errGone or errNoUnit when there is none.
func (k *Keeper) unitOf(pid int, uid uint32) (place, error) {
	data, err := os.ReadFile(filepath.Join(k.Proc, strconv.Itoa(pid), "cgroup"))
	if pid <= 1 {
		err = errGone
	}
	if err != nil {
		return place{}, fmt.Errorf("process %d: %w", pid, gone(err))
	}
	none := fmt.Errorf("process %d: %w of user %d", pid, errNoUnit, uid)
	group, ok := cgroup2(string(data))
	if !ok || !filepath.IsLocal(group) {
		return place{}, none
	}
	parts := strings.Split(group, "/")
	i := slices.IndexFunc(parts, func(s string) bool { return strings.HasSuffix(s, ".service") })
	// Only the first counts: below it the user makes groups as he likes, and below user@.service he is his own manager.
	if i < 0 || strings.HasPrefix(parts[i], "user@") {
		return place{}, none
	}
	top := filepath.Join(parts[:i+1]...)
	if st, err := os.Stat(filepath.Join(k.Cgroups, top)); err != nil || st.Sys().(*syscall.Stat_t).Uid != uid {
		return place{}, none
	}
	return place{unit: parts[i], top: top, group: group}, nil
}

// cgroup2 is the control group in the text of /proc/PID/cgroup, where other hierarchies may stand too (cgroups(7)). The kernel
// escapes line ends in names.
func cgroup2(text string) (group string, ok bool) {
	for line := range strings.Lines(text) {
		if group, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::/"); ok {
			return group, true
		}
	}
	return "", false
}

// guestErrands bounds what runs for one container of a guest's at once: in a group that he has frozen nothing ends.
const guestErrands = 4

// forGuest makes a process one of the guest's, in his unit's control group; the file is to be closed after its start. The process
// goes there itself: one that were born in a frozen group would not get as far as its program, for which fork waits
// (vfork(2)), and that is up to the guest.
func (k *Keeper) forGuest(attr *syscall.ProcAttr, r *Record, words []string) (group int, all []string, err error) {
	group, err = unix.Open(filepath.Join(k.Cgroups, r.Guest.Group), unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, nil, fmt.Errorf("control group of %s: %w", r.Unit, err)
	}
	attr.Dir, attr.Env, attr.Sys.Setsid = "/", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, true
	attr.Files[groupFile] = uintptr(group)
	id := func(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
	return group, append([]string{k.Self, "--guest", id(r.Guest.UID), id(r.Guest.GID)}, words...), nil
}

// becomeGuest replaces this process by a program of a guest's: UID GID WORD…
func becomeGuest(args []string) error {
	if len(args) < 3 {
		return errors.New("errand for a guest: words are missing")
	}
	uid, err := strconv.ParseUint(args[0], 10, 32)
	gid, err2 := strconv.ParseUint(args[1], 10, 32)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	procs, err := unix.Openat(groupFile, "cgroup.procs", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("control group of the unit: %w", err)
	}
	if _, err := unix.Write(procs, []byte("0")); err != nil {
		return fmt.Errorf("go into the control group of the unit: %w", err)
	}
	unix.Close(procs)
	unix.Close(groupFile)
	// These change all threads.
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("drop groups: %w", err)
	}
	if err := syscall.Setresgid(int(gid), int(gid), int(gid)); err != nil {
		return fmt.Errorf("become group %d: %w", gid, err)
	}
	if err := syscall.Setresuid(int(uid), int(uid), int(uid)); err != nil {
		return fmt.Errorf("become user %d: %w", uid, err)
	}
	return fmt.Errorf("start %s: %w", args[2], unix.Exec(args[2], args[2:], os.Environ()))
}

// saveForGuest writes files in the guest's name.
func (k *Keeper) saveForGuest(c *container, data []byte, paths []string, done func()) {
	fd, err := unix.MemfdCreate("berth-health", unix.MFD_CLOEXEC)
	if err == nil {
		defer unix.Close(fd)
		_, err = unix.Pwrite(fd, data, 0) // which leaves its reader at the beginning
	}
	if err != nil {
		done()
		return
	}
	k.run(c, errand{words: append([]string{k.Self, "--save", ""}, paths...), input: fd, guest: c.record, then: done})
}

// join takes the guest's process that has connected into the unit of a container of his: he may not move it there himself, for
// the nearest group that both are in is root's (cgroups(7), "Delegation Containment").
func (k *Keeper) join(p peer, j *Process) error {
	if !p.guest {
		return errors.New("only users have to be taken into units")
	}
	at, err := k.unitOf(j.PID, p.uid)
	if err != nil {
		return err
	}
	if err := j.check(); err != nil {
		return fmt.Errorf("process %d: %w", j.PID, err)
	}
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		return fmt.Errorf("process %d: %w", p.pid, gone(err))
	}
	defer unix.Close(fd)
	st, err := os.Stat(filepath.Join(k.Proc, strconv.Itoa(p.pid)))
	if err == nil && st.Sys().(*syscall.Stat_t).Uid != p.uid {
		err = errGone
	}
	if err != nil {
		return fmt.Errorf("process %d: %w", p.pid, gone(err))
	}
	// Had it ended between the two, it would have, now: then the number has not been another's meanwhile.
	state, err := look(fd, unix.POLLIN, 0)
	if err == nil && state != 0 {
		err = errGone
	}
	if err != nil {
		return fmt.Errorf("process %d: %w", p.pid, err)
	}
	to := filepath.Join(k.Cgroups, at.top, cgroup.OwnGroup, "cgroup.procs")
	if err := os.WriteFile(to, []byte(strconv.Itoa(p.pid)), 0); err != nil {
		return fmt.Errorf("take process %d into %s: %w", p.pid, at.unit, err)
	}
	return nil
}

// harmless reports whether a field says nothing that the journal's readers would believe root (systemd.journal-fields(7)).
func harmless(name string) bool {
	if name == "" || name[0] < 'A' || name[0] > 'Z' || len(name) > 64 {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	for _, prefix := range []string{
		"CODE_", "CONTAINER_", "COREDUMP", "DOCUMENTATION", "ERRNO", "IMAGE_NAME", "INVOCATION_", "JOB_", "MESSAGE", "OBJECT_", "PRIORITY", "SYSLOG_", "TID", "UNIT", "USER_",
	} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return true
}

// isName: the engine gives no other names, and the keeper writes them into its own log.
func isName(s string) bool {
	for i, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c != '-' && c != '_' && c != '.') {
			return false
		}
	}
	return s != "" && len(s) <= 200
}

// isNamespace: it becomes a part of a path.
func isNamespace(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return len(s) <= 64 && s[0] != '.'
}
