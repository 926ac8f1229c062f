package autoupdate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/berth-pods/berth/engine/atomicfile"
)

// Event is one thing that an update did.
type Event struct {
	Time   time.Time `json:"time"`
	Unit   string    `json:"unit"`
	Image  string    `json:"image"`
	From   string    `json:"from"` // IDs
	To     string    `json:"to"`
	Mark   string    `json:"mark"` // digest at the registry, or ID of a local image; "" when nobody saw whether it works
	Result string    `json:"result"`
	Reason string    `json:"reason,omitempty"`
}

// String is one line for the journal.
func (e Event) String() string {
	s := fmt.Sprintf("%s: %s from %s to %s: %s", e.Unit, e.Image, short(e.From), short(e.To), map[string]string{Yes: "updated", RolledBack: "rolled back", Failed: "failed"}[e.Result])
	if e.Reason != "" {
		s += " (" + e.Reason + ")"
	}
	return s
}

// History is the file with what was done.
type History struct{ Path string }

// keepEvents is how many are kept.
const keepEvents = 500

type historyFile struct {
	Version int     `json:"version"`
	Events  []Event `json:"events"`
}

// Load returns the events, the oldest first.
func (h History) Load() ([]Event, error) {
	data, err := os.ReadFile(h.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var f historyFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w; remove it", h.Path, err)
	}
	if f.Version > 1 {
		return nil, fmt.Errorf("%s has version %d, this berth knows 1: use the newer berth that wrote it", h.Path, f.Version)
	}
	return f.Events, nil
}

// Add writes one more event.
func (h History) Add(e Event) error {
	all, err := h.Load()
	if err != nil {
		return err
	}
	all = append(all, e)
	data, err := json.MarshalIndent(historyFile{1, all[max(0, len(all)-keepEvents):]}, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(h.Path), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(h.Path, append(data, '\n'), 0o600)
}

// Lock waits for other updates of this user to end.
func (h History) Lock() (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(h.Path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(h.Path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := atomicfile.Lock(f); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}
