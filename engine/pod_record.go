package engine

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/proc"
)

// A pod that was made by hand outlives a reboot, as its containers do: KeepPods/ID.json is the pod without what belongs to one
// boot. That of a unit has no such record, for its unit makes it anew.

// podRecord is the file of a pod that is kept; "" when none are.
func (d Dirs) podRecord(id string) string {
	if d.KeepPods == "" {
		return ""
	}
	return filepath.Join(d.KeepPods, id+".json")
}

// keepPod writes the pod's record.
func (d Dirs) keepPod(p Pod) error {
	path := d.podRecord(p.ID)
	if path == "" || !p.Spec.Kept {
		return nil
	}
	p.Version, p.Unit, p.Ready, p.Networked, p.Holder, p.Addresses, p.Attached = podVersion, "", false, false, proc.ID{}, nil, nil
	p.Network.NetNS = ""
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return atomicfile.InDir(d.KeepPods, 0o700, func() error { return atomicfile.Write(path, append(data, '\n'), 0o600) })
}

// podRecords lists the IDs of the pods that are kept.
func (d Dirs) podRecords() ([]string, error) {
	entries, err := entriesOf(d.KeepPods)
	var ids []string
	for _, e := range entries {
		if id, ok := trimID(e.Name()); ok {
			ids = append(ids, id)
		}
	}
	return ids, err
}

// trimID is the ID in the name of a record.
func trimID(name string) (id string, ok bool) {
	const suffix = ".json"
	if len(name) != 64+len(suffix) || name[64:] != suffix {
		return "", false
	}
	return name[:64], true
}

// wakePod gives a pod that is kept from an earlier boot its name and directory in this one.
func (d Dirs) wakePod(p Pod) error {
	if !d.asleep(p.ID) {
		return nil
	}
	return d.reservePod(p, true)
}

// asleep tells whether a pod is kept and not woken in this boot. One that is gone, or was never kept, is not: what comes next says so.
func (d Dirs) asleep(id string) bool {
	if _, err := os.Stat(d.podState(id)); err == nil || d.podRecord(id) == "" {
		return false
	}
	_, err := os.Stat(d.podRecord(id))
	return err == nil
}
