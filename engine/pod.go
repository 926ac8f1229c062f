package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

// podVersion is written into each pod's file.
const podVersion = 1

// Pod is what is known of a pod: in this boot /run/berth/pods/ID/state.json. No process belongs to it as long as its
// namespaces can be held by files; those of a user, and a PID namespace, are held by a process that sleeps.
type Pod struct {
	Version   int            `json:"version"`
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	Created   time.Time      `json:"created"`
	Unit      string         `json:"unit,omitempty"` // systemd unit that has started it
	Spec      spec.Pod       `json:"spec"`
	Network   NetworkRequest `json:"network"`
	Networked bool           `json:"networked"` // Network was given to the network adapter
	Ready     bool           `json:"ready"`     // all is set up
	Holder    proc.ID        `json:"holder"`    // process that holds namespaces; zero when there is none
	Addresses []string       `json:"addresses,omitempty"`
	Attached  []Attached     `json:"attached,omitempty"`
	Started   bool           `json:"started,omitempty"` // it has been started before
	// IDs are the maps of the pod's own user namespace; IDLease is the range of them that is the pod's alone, as long as it is
	// there, and KeepUser whom its containers run as with --userns=keep-id.
	IDs      spec.IDMaps `json:"ids,omitzero"`
	IDLease  string      `json:"idLease,omitempty"`
	KeepUser string      `json:"keepUser,omitempty"`

	label string // of SELinux, for the files of the pod
}

// ErrPodRuns says that a container of the pod runs.
var ErrPodRuns = errors.New("has a container that runs")

// ErrNoPod says that there is no pod of that name or ID.
var ErrNoPod = errors.New("no such pod")

func (d Dirs) pods() string               { return filepath.Join(d.Run, "pods") }
func (d Dirs) podName(name string) string { return filepath.Join(d.pods(), "names", name) }

func (d Dirs) podState(id string) string { return filepath.Join(d.Pod(id), "state.json") }

// Pod is the state directory of one pod.
func (d Dirs) Pod(id string) string { return filepath.Join(d.pods(), id) }

// FindPod returns the pod with the given name, ID, or unambiguous beginning of an ID.
func (d Dirs) FindPod(nameOrID string) (Pod, error) {
	if spec.CheckName(nameOrID) != nil {
		return Pod{}, fmt.Errorf("%w: %q", ErrNoPod, nameOrID)
	}
	if target, err := os.Readlink(d.podName(nameOrID)); err == nil {
		p, err := d.loadPod(filepath.Base(target))
		if errors.Is(err, ErrNoPod) { // its maker was killed between taking the name and writing the state
			return Pod{ID: filepath.Base(target), Name: nameOrID}, nil
		}
		return p, err
	}
	if len(nameOrID) == wholeID { // the others need not be read
		if p, err := d.loadPod(nameOrID); !errors.Is(err, ErrNoPod) {
			return p, err
		}
	}
	ids, err := d.podIDs()
	if err != nil {
		return Pod{}, err
	}
	var found []string
	for _, id := range ids {
		if strings.HasPrefix(id, nameOrID) {
			found = append(found, id)
		} else if p, err := d.loadPod(id); err == nil && p.Name == nameOrID {
			return p, nil // kept from an earlier boot: its name is not taken in this one yet
		}
	}
	switch len(found) {
	case 0:
		return Pod{}, fmt.Errorf("%w: %q", ErrNoPod, nameOrID)
	case 1:
		return d.loadPod(found[0])
	}
	return Pod{}, fmt.Errorf("%q is the beginning of %d pod IDs; give more digits", nameOrID, len(found))
}

func (d Dirs) loadPod(id string) (Pod, error) {
	path := d.podState(id)
	data, err := os.ReadFile(path)
	if record := d.podRecord(id); errors.Is(err, fs.ErrNotExist) && record != "" {
		path = record
		data, err = os.ReadFile(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return Pod{}, fmt.Errorf("%w: %q", ErrNoPod, id)
	}
	if err != nil {
		return Pod{}, err
	}
	var p Pod
	err = decode(&p, path, data, podVersion, fmt.Sprintf("; end the pod's containers and remove %s", path))
	return p, err
}

func (p Pod) version() int { return p.Version }

// Refresh returns the pod as it is now. One whose maker was killed before the state was written, and one that is gone, stay
// as they are: both can be removed.
func (d Dirs) Refresh(p Pod) (Pod, error) {
	fresh, err := d.loadPod(p.ID)
	if errors.Is(err, ErrNoPod) {
		return p, nil
	}
	return fresh, err
}

// podIDs are those of the pods of this boot, and of those that are kept from before.
func (d Dirs) podIDs() ([]string, error) {
	ids, err := idsIn(d.pods())
	if err != nil {
		return nil, err
	}
	records, err := d.podRecords()
	ids = append(ids, records...)
	slices.Sort(ids)
	return slices.Compact(ids), err
}

// Pods returns the pods, oldest first, but for those that cannot be read.
func (d Dirs) Pods() ([]Pod, error) {
	list, _, err := d.listedPods()
	return list, err
}

// PodsSurely is Pods, with an error when a pod cannot be read: that one may have what the caller looks for.
func (d Dirs) PodsSurely() ([]Pod, error) {
	list, unread, err := d.listedPods()
	return list, errors.Join(err, unread)
}

func (d Dirs) listedPods() (list []Pod, unread, err error) {
	ids, err := d.podIDs()
	if err != nil {
		return nil, nil, err
	}
	list = make([]Pod, 0, len(ids))
	for _, id := range ids {
		p, err := d.loadPod(id)
		switch {
		case err == nil:
			list = append(list, p)
		case !errors.Is(err, ErrNoPod):
			unread = errors.Join(unread, err)
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Created.Before(list[j].Created) })
	return list, unread, nil
}

// Members are the containers of a pod, oldest first, with those that have ended and are kept.
func (d Dirs) Members(p Pod) ([]State, error) {
	all, err := d.All()
	return p.membersOf(all), err
}

// MembersSurely is Members, with an error when a container cannot be read: that one may be of the pod, and run.
func (d Dirs) MembersSurely(p Pod) ([]State, error) {
	all, err := d.AllSurely()
	if err != nil {
		err = fmt.Errorf("which containers the pod %q has: %w", p.Name, err)
	}
	return p.membersOf(all), err
}

func (p Pod) membersOf(all []State) []State {
	return slices.DeleteFunc(all, func(s State) bool { return s.Pod != p.ID })
}

func (d Dirs) savePod(p Pod) error {
	p.Version = podVersion
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return atomicfile.Write(d.podState(p.ID), append(data, '\n'), 0o600)
}

// reservePod makes the name the pod's and makes its directory, with its state as the last; wake is for one that is kept from an earlier
// boot. The name comes first: whatever a killed berth leaves is found by it. One at a time does so, and who finds no state waits: see lockPod.
func (d Dirs) reservePod(p Pod, wake bool) error {
	link := d.podName(p.Name)
	names := filepath.Dir(link)
	return atomicfile.InDir(names, 0o700, func() error {
		lock, err := atomicfile.LockDir(names)
		if err != nil {
			return err
		}
		defer lock.Close()
		if wake && !d.asleep(p.ID) {
			return nil
		}
		err = os.Symlink("../"+p.ID, link)
		if target, _ := os.Readlink(link); errors.Is(err, fs.ErrExist) && target == "../"+p.ID {
			err = nil
		} else if errors.Is(err, fs.ErrExist) {
			return podNameInUse(p.Name)
		}
		if err == nil {
			err = os.MkdirAll(d.Pod(p.ID), 0o700)
		}
		if err == nil { // who sees the state may remove it all while it is still being synced
			var own *os.File
			if own, err = atomicfile.LockDir(d.Pod(p.ID)); err == nil {
				defer own.Close()
			}
		}
		if err == nil && !wake {
			err = d.keepPod(p)
		}
		if err == nil {
			err = d.savePod(p)
		}
		return err
	})
}

// lockPod lets one at a time start, stop or remove a pod. Who makes it, and containers that enter it, are waited for.
func (d Dirs) lockPod(id string) (*os.File, error) {
	if _, err := os.Lstat(d.podState(id)); errors.Is(err, fs.ErrNotExist) {
		names, err := atomicfile.LockDir(filepath.Dir(d.podName(id)))
		if err != nil {
			return nil, err
		}
		names.Close()
	}
	return atomicfile.LockDir(d.Pod(id))
}

func podNameInUse(name string) error {
	return fmt.Errorf("pod %q: %w; `berth pod rm %s` removes the other one, --replace does so first", name, ErrNameInUse, name)
}

// CreatePod takes the name. Nothing is set up yet.
func (d Dirs) CreatePod(s spec.Pod) (Pod, error) {
	id, err := NewID()
	if err != nil {
		return Pod{}, err
	}
	if s.Name == "" {
		s.Name = "berth-pod-" + id[:12]
	}
	if err := spec.CheckPod(s); err != nil {
		return Pod{}, err
	}
	s.Common.Name, s.Share = s.Name, s.Sharing()
	p := Pod{ID: id, Name: s.Name, Created: time.Now().UTC(), Spec: s}
	if p.Network, _, err = networkRequest(id, s.Common); err != nil {
		return Pod{}, err
	}
	if p.Network.Mode == "container" || p.Network.Mode == "ns" {
		return Pod{}, fmt.Errorf("pod %q: a pod has a network of its own or the host's, not that of %s", s.Name, s.Common.Networks[0])
	}
	p.Network.Dir = d.Pod(id)
	for _, word := range s.Common.VolumesFrom {
		name, _, _ := strings.Cut(word, ":")
		if _, err := d.Find(name); err != nil {
			return Pod{}, fmt.Errorf("pod %q: volumes from %q: %w", s.Name, name, err)
		}
	}
	if _, err := d.Find(s.Name); err == nil {
		return Pod{}, fmt.Errorf("pod %q: a container of that name is there; names are unique over both", s.Name)
	}
	if other, err := d.FindPod(s.Name); err == nil && other.Name == s.Name {
		return Pod{}, podNameInUse(s.Name)
	}
	if err := d.reservePod(p, false); err != nil {
		return Pod{}, errors.Join(err, d.releasePod(p))
	}
	return p, nil
}

// releasePod removes the record and the state directory and gives the name back. The name goes last: what is left is found by it.
func (d Dirs) releasePod(p Pod) error {
	if record := d.podRecord(p.ID); record != "" {
		if err := os.Remove(record); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		os.Remove(d.KeepPods) // unless another pod has a record
	}
	if err := os.RemoveAll(d.Pod(p.ID)); err != nil {
		return err
	}
	if err := atomicfile.RemoveLink(d.podName(p.Name), "../"+p.ID); err != nil {
		return err
	}
	for _, dir := range []string{filepath.Dir(d.podName(p.Name)), d.pods()} {
		if os.Remove(dir) != nil {
			break // another pod has it
		}
	}
	return nil
}

// Live reports whether the pod's namespaces are there.
func (d Dirs) Live(p Pod) bool {
	if !p.Ready {
		return false
	}
	for _, kind := range p.kinds() {
		if p.held(kind) {
			if !p.Holder.Running() {
				return false
			}
		} else if !pinned(d.pin(p, kind)) {
			return false
		}
	}
	return true
}

// kinds are the namespaces that the pod has: all that are shared, but not the host's network or what else is not its own.
func (p Pod) kinds() []string {
	return slices.DeleteFunc(slices.Clone(p.Spec.Share), func(kind string) bool {
		return kind == "net" && p.Network.host() || p.Spec.Elsewhere(kind) != ""
	})
}

// NeedsHolder reports whether a process must hold namespaces of the pod: a PID namespace lives as long as its first process,
// and a user has no place for files that hold one.
func NeedsHolder(p Pod) bool {
	return slices.ContainsFunc(p.kinds(), func(kind string) bool { return kind == "pid" || !pinnable() })
}

// held reports whether a process holds the namespace, and not a file.
func (p Pod) held(kind string) bool { return p.Holder.PID > 0 && (kind == "pid" || !pinnable()) }

// pinnable reports whether this user can bind a namespace to a file.
func pinnable() bool { return os.Getuid() == 0 && os.Getenv("_CONTAINERS_USERNS_CONFIGURED") == "" }

// pin is the file that a namespace of the pod is bound to.
func (d Dirs) pin(p Pod, kind string) string { return filepath.Join(d.Pod(p.ID), kind) }

// Namespace is the path of a shared namespace.
func (d Dirs) Namespace(p Pod, kind string) string {
	if p.held(kind) {
		return fmt.Sprintf("/proc/%d/ns/%s", p.Holder.PID, kind)
	}
	return d.pin(p, kind)
}

// pinned reports whether the file is a namespace (its file system is nsfs, namespaces(7)).
func pinned(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.NSFS_MAGIC
}
