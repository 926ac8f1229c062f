package sources

import (
	"os"
	"slices"
	"syscall"
)

// ExistingUnits answers whether the system has a unit of its own under a name. Links to /dev/null do not count: they are
// there to hide a unit.
func ExistingUnits(getenv func(string) string, user bool) func(string) string {
	dirs := []string{"/etc/systemd/system/", "/usr/local/lib/systemd/system/", "/usr/lib/systemd/system/"}
	if user {
		dirs = []string{"/etc/systemd/user/", "/usr/local/lib/systemd/user/", "/usr/lib/systemd/user/"}
		switch config, home := getenv("XDG_CONFIG_HOME"), getenv("HOME"); {
		case config != "":
			dirs = append(dirs, config+"/systemd/user/")
		case home != "":
			dirs = append(dirs, home+"/.config/systemd/user/")
		}
	}
	dirs = slices.DeleteFunc(dirs, func(dir string) bool { return !isThere(dir) })
	e := existing{dirs: dirs}
	return e.find
}

// existing looks for units in directories: by name, and from the manyUnits-th time on in lists that are read once.
type existing struct {
	dirs  []string
	asked int
	lists []map[string]bool
}

const manyUnits = 64

func (e *existing) find(unit string) string {
	if e.asked++; e.asked == manyUnits {
		for _, dir := range e.dirs {
			e.lists = append(e.lists, listNames(dir))
		}
	}
	for i, dir := range e.dirs {
		if e.lists != nil && !e.lists[i][unit] {
			continue
		}
		var stat syscall.Stat_t
		if syscall.Lstat(dir+unit, &stat) == nil && !isNull(dir+unit) {
			return dir + unit
		}
	}
	return ""
}

func listNames(dir string) map[string]bool {
	names := map[string]bool{}
	d, err := os.Open(dir)
	if err != nil {
		return names
	}
	defer d.Close()
	list, _ := d.Readdirnames(-1)
	for _, name := range list {
		names[name] = true
	}
	return names
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
