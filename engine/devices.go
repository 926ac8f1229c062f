package engine

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/spec"
)

// hostDevices looks up what the devices asked for are on the host; a directory stands for all devices below it. A
// privileged container of root gets all that the host has.
func (e *Engine) hostDevices(c spec.Container) ([]spec.Device, error) {
	var list []spec.Device
	if c.Privileged && !e.Host.Rootless {
		all, err := devicesBelow(spec.Device{Source: "/dev", Destination: "/dev", Access: "rwm"})
		if err != nil {
			return nil, err
		}
		list = all
	}
	for _, word := range c.Devices {
		if spec.IsCDI(word) {
			continue
		}
		d, err := spec.ParseDevice(word)
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(d.Source)
		if err != nil {
			return nil, fmt.Errorf("device %s: %w; is its driver loaded, is it plugged in?", d.Source, err)
		}
		if info.IsDir() {
			below, err := devicesBelow(d)
			if err != nil {
				return nil, err
			}
			if len(below) == 0 {
				return nil, fmt.Errorf("device %s is a directory without devices", d.Source)
			}
			list = append(list, below...)
			continue
		}
		if ok, err := lookAt(&d); err != nil || !ok {
			return nil, fmt.Errorf("device %s is no device; Volume= shows files and directories", d.Source)
		}
		list = append(list, d)
	}
	return list, nil
}

// ownPlaces are what each container has a /dev/… of its own for.
var ownPlaces = []string{"console", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "tty", "urandom", "zero"}

// devicesBelow lists the devices in a directory and its directories.
func devicesBelow(dir spec.Device) ([]spec.Device, error) {
	var list []spec.Device
	err := filepath.WalkDir(dir.Source, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			if path == dir.Source {
				return err
			}
			return nil // it was unplugged meanwhile
		}
		rel := strings.TrimPrefix(strings.TrimPrefix(path, dir.Source), "/")
		for _, own := range ownPlaces {
			if dir.Source == "/dev" && rel == own {
				if entry.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
		}
		d := spec.Device{Source: path, Destination: filepath.Join(dir.Destination, rel), Access: dir.Access}
		if entry.IsDir() || entry.Type()&fs.ModeSymlink != 0 {
			return nil
		}
		if ok, err := lookAt(&d); err == nil && ok {
			list = append(list, d)
		}
		return nil
	})
	return list, err
}

// lookAt fills in what the device is; false for what is none.
func lookAt(d *spec.Device) (bool, error) {
	var st unix.Stat_t
	if err := unix.Stat(d.Source, &st); err != nil {
		return false, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFCHR:
		d.Type = "c"
	case unix.S_IFBLK:
		d.Type = "b"
	default:
		return false, nil
	}
	d.Major, d.Minor, d.Mode = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev)), st.Mode&0o777
	return true, nil
}

// cdi reads what the vendors of the devices that are known by name ask for.
func (e *Engine) cdi(c spec.Container) ([]spec.CDIEdits, error) {
	names, err := spec.CDINames(c)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	var files []spec.CDISpec
	err = describing(e.CDIDirs, func(path string, text []byte) error {
		f, err := spec.ParseCDI(path, text)
		files = append([]spec.CDISpec{f}, files...) // a later one counts more
		return err
	})
	if err != nil {
		return nil, err
	}
	edits, err := spec.FindCDI(names, files)
	for _, e := range edits {
		for i := range e.Nodes {
			n := &e.Nodes[i]
			d := spec.Device{Source: n.Path}
			if n.HostPath != "" {
				d.Source = n.HostPath
			}
			if n.Type != "" {
				continue
			}
			if ok, err := lookAt(&d); err != nil || !ok {
				return nil, fmt.Errorf("device node %s, which CDI names, is no device of the host", d.Source)
			}
			n.Type, n.Major, n.Minor = d.Type, d.Major, d.Minor
		}
	}
	return edits, err
}

// blockDevices looks up the numbers of the devices whose use is limited.
func blockDevices(c spec.Container) (map[string]spec.DeviceNumber, error) {
	var numbers map[string]spec.DeviceNumber
	for _, path := range c.BlockDevices() {
		d := spec.Device{Source: path}
		ok, err := lookAt(&d)
		if err != nil {
			return nil, fmt.Errorf("limit of device %s: %w", path, err)
		}
		if !ok || d.Type != "b" {
			return nil, fmt.Errorf("limit of device %s: it is no block device", path)
		}
		if numbers == nil {
			numbers = map[string]spec.DeviceNumber{}
		}
		numbers[path] = spec.DeviceNumber{Major: d.Major, Minor: d.Minor}
	}
	return numbers, nil
}
