package store

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-pods/berth/engine"
)

// SetOptions takes the options that a volume is made with: type, device and o, as mount(8) has them, and in o= also uid=
// and gid= of the owner.
func (vol *Volume) SetOptions(driver string, options map[string]string) error {
	vol.Driver, vol.Options = driver, options
	switch driver {
	case ImageDriver:
		if options["image"] == "" || len(options) > 1 {
			return errors.New("a volume of the driver image has the option image=NAME, and no other one")
		}
		return nil
	case "", "local":
	default:
		return fmt.Errorf("volume driver %q is not supported; local and image are", driver)
	}
	for name := range options {
		if !slices.Contains([]string{"type", "device", "o", "copy", "nocopy"}, name) {
			return fmt.Errorf("volume option %q is not known; type, device, o, copy and nocopy are", name)
		}
	}
	kind := options["type"]
	if kind == "" && options["device"] != "" {
		return errors.New("volume option device= needs type=: of the file system, or bind for a directory of the host")
	}
	if kind == "bind" && !filepath.IsAbs(options["device"]) {
		return errors.New("volume option type=bind needs device=, an absolute path of the host")
	}
	if _, err := vol.limits(); err != nil {
		return err
	}
	for _, o := range strings.Split(options["o"], ",") {
		name, value, _ := strings.Cut(o, "=")
		switch {
		case o == "":
		case kind != "tmpfs" && (name == "uid" || name == "gid"):
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 {
				return fmt.Errorf("volume option o=%s is not a number", o)
			}
			if name == "uid" {
				vol.UID = &n
			} else {
				vol.GID = &n
			}
		case kind == "" && (name == "size" || name == "inodes"):
		case kind == "":
			return fmt.Errorf("volume option o=%s needs type= and device=", o)
		}
	}
	return nil
}

// mountSource says what is to be mounted for a volume with options; false for one that is a directory.
func (vol Volume) mountSource() (engine.VolumeSource, bool, error) {
	kind := vol.Options["type"]
	if kind == "" {
		return engine.VolumeSource{}, false, nil
	}
	var rest []string
	for _, o := range strings.Split(vol.Options["o"], ",") {
		if name, _, _ := strings.Cut(o, "="); o != "" && (kind == "tmpfs" || name != "uid" && name != "gid") {
			rest = append(rest, o)
		}
	}
	if kind == "none" && !slices.Contains(rest, "bind") && !slices.Contains(rest, "rbind") {
		return engine.VolumeSource{}, false, fmt.Errorf("volume %q has type=none without o=bind", vol.Name)
	}
	return engine.VolumeSource{Path: vol.Path, Type: kind, Device: vol.Options["device"], Options: strings.Join(rest, ",")}, true, nil
}

// sweepVolumes removes the anonymous volumes that containers of earlier boots have left: after a power cut nobody else
// would. Only those with a record of ours are looked at. One that unused returns an error for stays: another container has it by
// --volumes-from, or by its name. It is asked for again in the next boot.
func sweepVolumes(root, boot string, unused func(name string) error) error {
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if len(e.Name()) != 64 {
			continue
		}
		data, err := os.ReadFile(filepath.Join(root, e.Name(), recordFile))
		if err != nil {
			continue
		}
		var vol Volume
		if err := json.Unmarshal(data, &vol); err != nil || vol.Boot == "" || vol.Boot == boot {
			continue
		}
		errUsed := errors.New("a container has it")
		err = removeVolume(root, e.Name(), func(vol Volume) error {
			if unused(e.Name()) == nil {
				return nil
			}
			vol.Boot = boot
			return cmp.Or(writeRecord(filepath.Join(root, e.Name()), vol), errUsed)
		})
		if err != nil && !errors.Is(err, errUsed) && !errors.Is(err, ErrNoVolume) {
			return err
		}
	}
	return nil
}
