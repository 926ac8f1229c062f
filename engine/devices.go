package engine

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/spec"
)

// hostDevices looks up what the devices asked for are on the host.
func hostDevices(c spec.Container) ([]spec.Device, error) {
	var list []spec.Device
	for _, word := range c.Devices {
		d, err := spec.ParseDevice(word)
		if err != nil {
			return nil, err
		}
		var st unix.Stat_t
		if err := unix.Stat(d.Source, &st); err != nil {
			return nil, fmt.Errorf("device %s: %w; is its driver loaded, is it plugged in?", d.Source, err)
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFCHR:
			d.Type = "c"
		case unix.S_IFBLK:
			d.Type = "b"
		default:
			return nil, fmt.Errorf("device %s is no device; Volume= shows files and directories", d.Source)
		}
		d.Major, d.Minor, d.Mode = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev)), st.Mode&0o777
		list = append(list, d)
	}
	return list, nil
}

// blockDevices looks up the numbers of the devices whose use is limited.
func blockDevices(c spec.Container) (map[string]spec.DeviceNumber, error) {
	var numbers map[string]spec.DeviceNumber
	for _, path := range c.BlockDevices() {
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			return nil, fmt.Errorf("limit of device %s: %w", path, err)
		}
		if st.Mode&unix.S_IFMT != unix.S_IFBLK {
			return nil, fmt.Errorf("limit of device %s: it is no block device", path)
		}
		if numbers == nil {
			numbers = map[string]spec.DeviceNumber{}
		}
		numbers[path] = spec.DeviceNumber{Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev))}
	}
	return numbers, nil
}
