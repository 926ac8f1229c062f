package hosts

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroupMounts returns where cgroup v2 is mounted, and systemd's own version 1 hierarchy or "" when there is none
// (systemd-nspawn makes the machine's directories in both on such a host).
func cgroupMounts() (v2, v1 string, err error) {
	f, err := os.Open("/proc/self/mounts")
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 {
			continue
		}
		switch {
		case fields[2] == "cgroup2" && v2 == "":
			v2 = fields[1]
		case fields[2] == "cgroup" && slices.Contains(strings.Split(fields[3], ","), "name=systemd"):
			v1 = fields[1]
		}
	}
	if v2 == "" {
		return "", "", errors.New("cgroup v2 is not mounted")
	}
	return v2, v1, nil
}

// ownCgroup is this process's place in cgroup v2, "/" at the root.
func ownCgroup() (string, error) {
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSpace(path), nil
		}
	}
	return "", errors.New("this process is in no cgroup v2")
}

// machineCgroups returns the cgroup directories of the machine with this name; the first is the one of cgroup v2.
func machineCgroups(name string) ([]string, error) {
	v2, v1, err := cgroupMounts()
	if err != nil {
		return nil, err
	}
	own, err := ownCgroup()
	if err != nil {
		return nil, err
	}
	dirs := []string{filepath.Join(v2, own, name)}
	if v1 != "" {
		dirs = append(dirs, filepath.Join(v1, own, name))
	}
	return dirs, nil
}

// hasPidsController says whether machines below this process can have limits of their own.
func hasPidsController() bool {
	v2, _, err := cgroupMounts()
	if err != nil {
		return false
	}
	data, err := os.ReadFile(filepath.Join(v2, "cgroup.controllers"))
	return err == nil && slices.Contains(strings.Fields(string(data)), "pids")
}

// removeCgroups kills whatever is left in the machine's cgroups and removes them.
func removeCgroups(name string) error {
	dirs, err := machineCgroups(name)
	if err != nil {
		return err
	}
	var errs []error
	for i, dir := range dirs {
		if !exists(dir) {
			continue
		}
		if i == 0 {
			errs = append(errs, emptyCgroup(dir))
		}
		errs = append(errs, removeCgroupTree(dir))
	}
	return errors.Join(errs...)
}

// emptyCgroup kills the processes in a cgroup tree and waits until the kernel reports it unpopulated.
func emptyCgroup(dir string) error {
	// cgroup.kill exists since kernel 5.14.
	if err := os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0); err != nil {
		return fmt.Errorf("kill cgroup: %w", err)
	}
	events, err := os.Open(filepath.Join(dir, "cgroup.events"))
	if err != nil {
		return err
	}
	defer events.Close()
	for {
		buf := make([]byte, 256)
		n, err := events.ReadAt(buf, 0)
		if n == 0 {
			return err
		}
		if strings.Contains(string(buf[:n]), "populated 0") {
			return nil
		}
		// A change of cgroup.events is told as POLLPRI.
		fds := []unix.PollFd{{Fd: int32(events.Fd()), Events: unix.POLLPRI}}
		if _, err := unix.Poll(fds, 1000); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// removeCgroupTree removes cgroup directories from the leaves up; their files go with them.
func removeCgroupTree(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	for _, d := range slices.Backward(dirs) {
		err = errors.Join(err, unix.Rmdir(d))
	}
	return err
}
