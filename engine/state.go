package engine

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/keeper"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

// stateVersion is written into each state file. A file of a newer version is refused, never rewritten.
const stateVersion = 1

// State is what is known of a container in this boot: /run/berth/ID/state.json.
type State struct {
	Version   int            `json:"version"`
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	Image     string         `json:"image"`
	ImageID   string         `json:"imageID"`
	Created   time.Time      `json:"created"`
	Init      proc.ID        `json:"init"`              // the container's PID 1; zero until it is created
	Renamed   bool           `json:"renamed,omitempty"` // it may have more names than one
	Maker     proc.ID        `json:"maker,omitzero"`    // who has it made and starts it then
	Unit      string         `json:"unit,omitempty"`    // systemd unit that it belongs to
	Cgroup    string         `json:"cgroup,omitempty"`  // of the container, below the root of the cgroup2 file system
	Command   []string       `json:"command"`           // with the entry point
	Entry     int            `json:"entry,omitempty"`   // how many words of it are that one, and what starts it
	Runtime   string         `json:"runtime,omitempty"` // program that made it, and knows it
	Network   NetworkRequest `json:"network"`
	Networked bool           `json:"networked"` // Network was given to the network adapter
	Addresses []string       `json:"addresses,omitempty"`
	Attached  []Attached     `json:"attached,omitempty"` // the networks that Addresses are of
	Pod       string         `json:"pod,omitempty"`      // ID of the pod that it is in
	NetFiles  string         `json:"netFiles,omitempty"` // directory of /etc/hosts and resolv.conf, when they are another's
	Mounts    []VolumeMount  `json:"mounts,omitempty"`   // volumes and paths of the host that the container sees
	IDs       spec.IDMaps    `json:"ids,omitzero"`       // of the container's own user namespace
	Label     spec.Label     `json:"label,omitzero"`     // of SELinux
	IDLease   string         `json:"idLease,omitempty"`  // range of IDs that is this container's alone
	Container spec.Container `json:"container"`
	Started   time.Time      `json:"started,omitzero"`
	Finished  time.Time      `json:"finished,omitzero"`
	Exit      *Exit          `json:"exit,omitempty"` // nil while it has not ended, or nobody has seen its end
	Log       spec.Log       `json:"log"`
	Health    *spec.Health   `json:"health,omitempty"`
	Kept      bool           `json:"kept,omitempty"`     // the keeper reads its output
	Existing  bool           `json:"existing,omitempty"` // it was started, not made: its writable layer was there
	Checked   bool           `json:"checked,omitempty"`  // it has been seen since its last end that it can be started
	StopTime  time.Duration  `json:"stopTimeout"`
	StopSig   string         `json:"stopSignal"`

	stays        bool       // when it is removed: see RemoveOptions.Returns
	locks        []*os.File // of who makes or starts it
	notify       *os.File   // the socket at which the container tells its state, if that is not systemd's own
	output       *output    // handle of Run on the container's output
	terminal     *os.File   // the side of the container's terminal that is not the container's
	probing      *keeper.Health
	handles      []*os.File // what else must be open until the runtime has made the container
	podShm       string     // the pod's directory for /dev/shm
	netns        *os.File   // handle of Run on the network namespace
	hostCgroups  string     // where all control groups are seen, for who asks for them
	cgroupInside string     // Cgroup as the runtime sees it
	rootfs       string     // where the runtime finds the root file system
	files        string     // where it is mounted without a map of owners
	filesInside  bool       // files there are owned by the IDs of the container, not by those outside
	userns       *os.File   // user namespace to join, or one with the same maps
	joinUser     bool       // userns is to be joined
	keepUser     string     // user of --userns=keep-id
	staging      string     // the tmpfs for mounts and secrets; "" as long as it is not there
	atRest       bool       // it is a record: nothing of it is in this boot
}

// Terminal is the side of the container's terminal that people see; nil where there is none or the keeper has it. The caller
// of Run or Start closes it.
func (s State) Terminal() *os.File { return s.terminal }

// OnItsWay reports whether the container is being made or started, or is about to be started by who has it made.
func (s State) OnItsWay() bool {
	return s.Init.PID == 0 && (!s.atRest || s.Started.IsZero() && s.Exit == nil && s.Maker.PID > 0 && s.Maker.Running())
}

// Running reports whether the container's PID 1 is there.
func (s State) Running() bool { return s.Init.PID > 0 && s.Init.Running() }

// unlock lets others have what who makes or starts the container has locked.
func (s *State) unlock() {
	for _, f := range s.locks {
		f.Close()
	}
	s.locks = nil
}

// Dirs is where the engine keeps the state of this boot.
type Dirs struct {
	Run  string // /run/berth, or $XDG_RUNTIME_DIR/berth
	Keep string // where the store has a directory for each container; "" keeps none
	// KeepPods is where pods that outlive a boot have a file each; "" keeps none.
	KeepPods string
}

// Container is the state directory of one container.
func (d Dirs) Container(id string) string { return filepath.Join(d.Run, id) }

func (d Dirs) stateFile(id string) string { return filepath.Join(d.Container(id), "state.json") }

// runtimeRoot is where the OCI runtime keeps its own state.
func (d Dirs) runtimeRoot() string { return filepath.Join(d.Run, "runtime") }

func (d Dirs) names() string           { return filepath.Join(d.Run, "names") }
func (d Dirs) name(name string) string { return filepath.Join(d.names(), name) }

// ErrNoContainer says that there is no container of that name or ID.
var ErrNoContainer = errors.New("no such container")

// ErrNameInUse says that a container of that name is there.
var ErrNameInUse = errors.New("name is in use")

// ErrDamaged says that what is written of a container cannot be read. Find gives the ID beside it of one that can be removed nevertheless.
var ErrDamaged = errors.New("is damaged")

// Find returns the container with the given name, ID, or unambiguous beginning of an ID.
func (d Dirs) Find(nameOrID string) (State, error) { return d.find(nameOrID, 1) }

// FindSurely is Find for those whom nobody watches, units above all: the beginning of an ID must have the twelve digits
// that `ps` prints. A shorter one may be another container's name.
func (d Dirs) FindSurely(nameOrID string) (State, error) { return d.find(nameOrID, enoughDigits) }

// Known tells whether a container or pod still has a right to its leases. One that has ended keeps them until it is removed: the
// rules that use them are there until then. So does one whose state cannot be read.
func (d Dirs) Known(id string) bool {
	if _, err := d.Load(id); !errors.Is(err, ErrNoContainer) {
		return true
	}
	if _, err := d.loadPod(id); !errors.Is(err, ErrNoPod) {
		return true
	}
	_, err := os.Stat(d.Pod(id)) // of one that is being made
	return err == nil
}

func (d Dirs) find(nameOrID string, digits int) (State, error) {
	if spec.CheckName(nameOrID) != nil {
		return State{}, fmt.Errorf("%w: %q", ErrNoContainer, nameOrID)
	}
	if target, err := os.Readlink(d.name(nameOrID)); err == nil {
		return d.loadNamed(filepath.Base(target), nameOrID)
	}
	if len(nameOrID) == wholeID { // the others need not be looked at
		if s, err := d.loadNamed(nameOrID, ""); err != nil || s.Name != "" {
			return s, err
		}
	}
	ids, err := d.ids()
	if err != nil {
		return State{}, err
	}
	found := beginning(ids, nameOrID, digits)
	if len(found) == 1 && len(nameOrID) >= enoughDigits {
		return d.loadNamed(found[0], "")
	}
	return d.findKept(nameOrID, digits, found)
}

// enoughDigits of an ID are what ps prints: who gives so many means no name.
const enoughDigits = 12

// beginning are those of the IDs that begin so, if that has enough digits.
func beginning(ids []string, digitsOfID string, enough int) (found []string) {
	for _, id := range ids {
		if len(digitsOfID) >= enough && strings.HasPrefix(id, digitsOfID) {
			found = append(found, id)
		}
	}
	return found
}

// loadNamed is Load for a container that is there, though without a state: it may just have ended, and then its record says
// how; or its maker was killed between taking the name and writing the state, and then all that is known are ID and name. name is "" where
// the caller has found it by something else: it is looked for when nothing else tells it, as that takes the longer the more containers run.
func (d Dirs) loadNamed(id, name string) (State, error) {
	s, err := d.Load(id)
	if errors.Is(err, ErrNoContainer) {
		if s, err = d.kept(id); errors.Is(err, ErrNoContainer) {
			s, err = State{ID: id}, nil
		}
		s.Name = cmp.Or(s.Name, name)
		if s.Name == "" {
			s.Name = d.nameOf(id)
		}
	}
	return s, err
}

// nameOf is the name that was taken for the container with this ID; "" when there is none.
func (d Dirs) nameOf(id string) string {
	entries, _ := os.ReadDir(d.names())
	for _, e := range entries {
		if target, err := os.Readlink(d.name(e.Name())); err == nil && target == "../"+id {
			return e.Name()
		}
	}
	return ""
}

// Load reads the state of the container with exactly this ID.
func (d Dirs) Load(id string) (State, error) {
	var s State
	err := d.load(&s, id)
	return s, err
}

func (d Dirs) load(s *State, id string) error {
	path := d.stateFile(id)
	data, err := atomicfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %q", ErrNoContainer, id)
	}
	if err != nil {
		return err
	}
	return s.decode(id, path, data, fmt.Sprintf("; kill the container's processes and remove %s, or reboot", filepath.Dir(path)))
}

// decode is decode for the container with this ID: what is removed with it is found by the ID that the file says.
func (s *State) decode(id, path string, data []byte, remedy string) error {
	err := decode(s, path, data, stateVersion, remedy)
	if err == nil && s.ID != id {
		err = fmt.Errorf("%s %w: it has the ID %q%s", path, ErrDamaged, s.ID, remedy)
		*s = State{}
	}
	return err
}

func (s State) version() int { return s.Version }

func (s *State) setCommand(args []string, image spec.ImageConfig) {
	s.Command, s.Entry = args, len(args)-len(spec.Command(s.Container, image))
}

// decode reads what a state file says into v, and refuses one that a newer berth has written; v is empty then. remedy is for one
// that is damaged.
func decode[T interface{ version() int }](v *T, path string, data []byte, known int, remedy string) error {
	err := json.Unmarshal(data, v)
	if err != nil {
		err = fmt.Errorf("%s %w: %w%s", path, ErrDamaged, err, remedy)
	} else if is := (*v).version(); is > known {
		err = fmt.Errorf("%s has version %d, this berth knows up to %d: use the newer berth that wrote it", path, is, known)
	}
	if err != nil {
		*v = *new(T)
	}
	return err
}

// List returns the containers of this boot, oldest first. Those that are being made or removed right now, or whose
// state is damaged, are left out: List never waits and never fails because of one of them.
func (d Dirs) List() ([]State, error) {
	list, _, err := d.Listed(false)
	return list, err
}

// Listed is All, or List; unread tells of the containers that are left out, and of those that are listed as their records have them, for
// what this boot knows of them cannot be read.
func (d Dirs) Listed(all bool) (list []State, unread, err error) {
	ids, err := d.ids()
	if err != nil {
		return nil, nil, err
	}
	if !all {
		list, unread = loadAll(ids, d.load)
		return list, unread, nil
	}
	kept, err := idsIn(d.Keep)
	if err != nil {
		return nil, nil, err
	}
	here := map[string]bool{}
	for _, id := range ids {
		here[id] = true
	}
	ids = append(ids, slices.DeleteFunc(kept, func(id string) bool { return here[id] })...)
	list, unread = loadAll(ids, func(s *State, id string) error {
		err := ErrNoContainer
		if here[id] {
			err = d.load(s, id)
		}
		if err == nil {
			return nil
		}
		kept := d.loadKept(s, id)
		if errors.Is(err, ErrNoContainer) {
			return kept
		}
		return err
	})
	return list, unread, nil
}

// loadAll loads states on all processors, oldest first: with a thousand containers most of the time goes into reading JSON, and as
// much would go into memory if they were copied. unread tells of those that are there and cannot be read.
func loadAll(ids []string, load func(s *State, id string) error) (list []State, unread error) {
	list = make([]State, len(ids))
	errs := make([]error, len(ids))
	var workers sync.WaitGroup
	var next atomic.Int64
	for range min(runtime.GOMAXPROCS(0), len(ids)/16+1) {
		workers.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(ids); i = next.Add(1) - 1 {
				if err := load(&list[i], ids[i]); err != nil && !errors.Is(err, ErrNoContainer) {
					errs[i] = err
				}
			}
		})
	}
	workers.Wait()
	n := 0
	for i := range list {
		if list[i].ID != "" {
			if i != n {
				list[n] = list[i]
			}
			n++
		}
	}
	list = list[:n]
	sort.Slice(list, func(i, j int) bool { // this sort calls by index: the states are large
		a, b := &list[i], &list[j]
		return a.Created.Before(b.Created) || a.Created.Equal(b.Created) && a.ID < b.ID
	})
	return list, errors.Join(errs...)
}

// ids lists the container directories.
func (d Dirs) ids() ([]string, error) { return idsIn(d.Run) }

// checkID refuses what is no ID: a directory of that name is about to be removed.
func checkID(id string) error {
	if len(id) != wholeID || strings.Trim(id, "0123456789abcdef") != "" {
		return fmt.Errorf("%q is no ID of a container", id)
	}
	return nil
}

// idsIn lists the directories whose names are IDs: 64 hexadecimal digits.
func idsIn(dir string) ([]string, error) {
	entries, err := entriesOf(dir)
	var ids []string
	for _, e := range entries {
		if len(e.Name()) == 64 && e.IsDir() {
			ids = append(ids, e.Name())
		}
	}
	return ids, err
}

// entriesOf lists a directory; there is nothing in one that is not there.
func entriesOf(dir string) ([]os.DirEntry, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entries, err
}

// save writes the state file.
func (d Dirs) save(s State) error {
	s.Version = stateVersion
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return atomicfile.Write(d.stateFile(s.ID), append(data, '\n'), 0o600)
}

// reserve takes the name, or returns ErrNameInUse, and makes the state directory. The name comes first: whatever a
// killed berth leaves is found by it. The lock on the directory tells others that the container is being made; until it has a state
// the lock on the names does, for which lockAny waits, but nobody who reserves another name.
func (d Dirs) reserve(s State) (lock *os.File, err error) {
	if err := os.MkdirAll(d.names(), 0o700); err != nil {
		return nil, err
	}
	names, err := atomicfile.LockDirShared(d.names())
	if err != nil {
		return nil, err
	}
	err = os.Symlink("../"+s.ID, d.name(s.Name))
	if errors.Is(err, fs.ErrExist) {
		return nil, errors.Join(nameInUse(s.Name), names.Close())
	}
	if err == nil {
		err = os.Mkdir(d.Container(s.ID), 0o700)
	}
	if err == nil {
		lock, err = atomicfile.LockDir(d.Container(s.ID))
	}
	names.Close()
	if err == nil {
		err = d.save(s)
	}
	if err != nil {
		lock.Close() // nil is no error
		return nil, errors.Join(err, d.release(s))
	}
	return lock, nil
}

func nameInUse(name string) error {
	return fmt.Errorf("container %q: %w; `berth rm %s` removes the other one, --replace does so first", name, ErrNameInUse, name)
}

// release removes the state directory and gives the name back. The name goes last: as long as
// something is left it is found by the name.
func (d Dirs) release(s State) error {
	if err := checkID(s.ID); err != nil {
		return err
	}
	for _, dir := range []string{filepath.Join(d.runtimeRoot(), s.ID), d.Container(s.ID)} {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	if s.Name == "" { // half made, and its name was given back already
		return nil
	}
	target, err := os.Readlink(d.name(s.Name))
	if own := err == nil && target == "../"+s.ID; own && !s.Renamed { // most have one name, and need not look at all
		return atomicfile.RemoveLink(d.name(s.Name), target)
	}
	for name := d.nameOf(s.ID); name != ""; name = d.nameOf(s.ID) {
		if err := atomicfile.RemoveLink(d.name(name), "../"+s.ID); err != nil {
			return err
		}
	}
	return nil
}

// releaseLast makes room for the next run of a container that goes with its end: see RemoveOptions.Returns. Who is at what the last
// one has left, by the same ID, is waited for.
func (d Dirs) releaseLast(id string) error {
	if _, err := os.Lstat(d.stateFile(id)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	err := d.locked(id, func() error {
		last, err := d.Load(id)
		if err == nil && last.Exit != nil {
			err = d.release(last)
		}
		return err
	})
	if errors.Is(err, ErrNoContainer) {
		return nil
	}
	return err
}

// clear takes away what a reserve, or a release, that was killed half-way has left of a container without a state.
func (d Dirs) clear(s State) error {
	_, err := os.Lstat(d.Container(s.ID))
	target, _ := os.Readlink(d.name(s.Name))
	if errors.Is(err, fs.ErrNotExist) && target != "../"+s.ID {
		return nil
	}
	return d.release(s)
}
