package sd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/proc"
)

// Slice is a unit of this boot that groups others and limits what they use together.
type Slice struct {
	User        bool // of the user's manager, not the system's
	Name        string
	Description string
	Properties  []string // as NAME=VALUE
}

// MakeSlice makes the slice known to the manager, or changes it. It is there for who is placed in it, and goes with the last of
// them. Without a manager nothing is done.
func MakeSlice(ctx context.Context, run proc.Runner, s Slice) error {
	if !Reachable(s.User) {
		return nil
	}
	if err := s.declare(); err != nil {
		return err
	}
	if len(s.Properties) == 0 {
		return nil
	}
	return SetProperties(ctx, run, s.User, s.Name, s.Properties)
}

// declare writes the slice's file, unless it is that of a unit file's pod.
func (s Slice) declare() error {
	unit, _ := slicePlaces(s.User, s.Name)
	dir := filepath.Dir(unit)
	if _, err := os.Stat(filepath.Join(filepath.Dir(dir), "generator", s.Name)); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return atomicfile.Write(unit, []byte("[Unit]\nDescription="+s.Description+"\nStopWhenUnneeded=yes\n"), 0o644)
}

// ForgetSlice takes the slice's files away; nil when there are none.
func ForgetSlice(user bool, name string) error {
	unit, properties := slicePlaces(user, name)
	err := os.Remove(unit)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	err = errors.Join(err, os.RemoveAll(properties))
	empty := []string{filepath.Dir(properties)}
	if user { // the system's is how programs know that systemd runs (sd_booted(3))
		empty = append(empty, filepath.Dir(unit))
	}
	for _, dir := range empty {
		os.Remove(dir) // unless somebody else has something there
	}
	return err
}

// slicePlaces are the file of a slice, and the directory that the manager keeps its changed properties in (systemd.unit(5)).
func slicePlaces(user bool, name string) (unit, properties string) {
	kind := "system"
	if user {
		kind = "user"
	}
	dir := managerDir(user)
	return filepath.Join(dir, kind, name), filepath.Join(dir, kind+".control", name+".d")
}

// managerDir is where the manager has the files of units that are for this boot only.
func managerDir(user bool) string {
	if user {
		return filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "systemd")
	}
	return "/run/systemd"
}
