package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.podman.io/storage"
	"golang.org/x/sys/unix"
)

// wiped are the names that the storage library, Podman and berth give to what they keep in the store's directory.
var wiped = []string{
	"*-containers", "*-images", "*-layers", "overlay", "vfs", "btrfs", "zfs", "artifacts", "berth-pods", "cache", "db.sql", "db.sql-*", "defaultNetworkBackend",
	"libpod", "mounts", "networks", "secrets", "storage.lock", "tmp", "userns.lock", "volumes",
}

// wipedRun are those in the directory of this boot.
var wipedRun = []string{"overlay", "overlay-containers", "overlay-layers", "overlay-locks", "vfs-containers", "vfs-layers", "vfs-locks", "berth-swept"}

// Wipe removes all that is in the store: images, volumes, secrets and what containers have left. What has another name than
// those that the store gives stays, and is returned. Nothing is removed when another file system is mounted there: its files are not the
// store's.
func (s *Store) Wipe() (left []string, err error) {
	options, err := storage.DefaultStoreOptions()
	if err != nil {
		return nil, fmt.Errorf("storage configuration: %w", err)
	}
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	own, others := mountsBelow(string(info), options.GraphRoot)
	if len(others) > 0 {
		return nil, fmt.Errorf("%s is mounted in the store, and what is there is not the store's: umount it first", strings.Join(others, ", "))
	}
	for _, m := range own {
		if err := unix.Unmount(m, unix.MNT_DETACH); err != nil {
			return nil, fmt.Errorf("umount %s: %w", m, err)
		}
	}
	left, err = wipe(options.GraphRoot, wiped)
	_, errRun := wipe(options.RunRoot, wipedRun)
	return left, errors.Join(err, errRun)
}

// Strangers names the containers of the store that berth has not made. Unlike Others it does not open the store, which may be broken:
// what cannot be read names none.
func (s *Store) Strangers() (names []string, err error) {
	root, err := s.Root()
	if err != nil {
		return nil, fmt.Errorf("storage configuration: %w", err)
	}
	files, _ := filepath.Glob(filepath.Join(root, "*-containers/containers.json"))
	for _, f := range files {
		text, _ := os.ReadFile(f)
		names = append(names, strangers(text)...)
	}
	return names, nil
}

func strangers(text []byte) (names []string) {
	var list []struct {
		ID, Metadata string
		Names        []string
	}
	if json.Unmarshal(text, &list) != nil {
		return nil
	}
	for _, c := range list {
		if !marked(c.Metadata) {
			names = append(names, append(c.Names[:len(c.Names):len(c.Names)], c.ID)[0])
		}
	}
	return names
}

// wipe removes the entries of a directory whose names fit; left are the others.
func wipe(dir string, names []string) (left []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		fits := func(pattern string) bool {
			ok, _ := filepath.Match(pattern, e.Name())
			return ok
		}
		p := filepath.Join(dir, e.Name())
		if !slices.ContainsFunc(names, fits) {
			left = append(left, p)
			continue
		}
		err = errors.Join(err, os.RemoveAll(p))
	}
	return left, err
}

// mountsBelow finds in the text of /proc/self/mountinfo what is mounted below a directory: own are directories that the
// library has mounted on themselves.
func mountsBelow(info, dir string) (own, others []string) {
	for _, line := range strings.Split(info, "\n") {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		root, at := unescape(f[3]), unescape(f[4])
		below, ok := strings.CutPrefix(at, strings.TrimSuffix(dir, "/")+"/")
		switch {
		case !ok:
		case !strings.Contains(below, "/") && strings.HasSuffix(root, "/"+below):
			own = append(own, at)
		default:
			others = append(others, at)
		}
	}
	return own, others
}

// unescape reads the escapes of mountinfo (proc_pid_mountinfo(5)).
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
