package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// An application is a set of files that were installed together and are removed together. Its list, one name a line,
// lies beside its files: .NAME.app, as Podman writes it; older releases of Podman wrote .FILE.asset beside a single file.
type application struct {
	list    string // file name of the list: ".web.app"
	members []string
}

// name is what `berth quadlet list` shows.
func (a application) name() string {
	name, _ := trackedName(a.list)
	return name
}

// trackedName is what stands between the dot and the ending.
func trackedName(file string) (string, bool) {
	name, ok := strings.CutPrefix(file, ".")
	name, app := strings.CutSuffix(name, ".app")
	name, asset := strings.CutSuffix(name, ".asset")
	return name, ok && (app || asset) && name != ""
}

// isTracking reports the names of lists of applications.
func isTracking(file string) bool {
	_, ok := trackedName(file)
	return ok
}

// maxListSize bounds a list of an application, in bytes.
const maxListSize = 1 << 20

// readApplications reads the lists of a directory. Lines that are no plain file names are passed over: what they name is
// not the application's.
func readApplications(dir string) ([]application, error) {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var apps []application
	for _, e := range entries {
		if !isTracking(e.Name()) || !e.Type().IsRegular() {
			continue
		}
		text, _, err := readRegular(filepath.Join(dir, e.Name()), maxListSize)
		if err != nil {
			return nil, &os.PathError{Op: "read", Path: filepath.Join(dir, e.Name()), Err: err}
		}
		a := application{list: e.Name()}
		if strings.HasSuffix(a.list, ".asset") {
			a.members = append(a.members, a.name())
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); checkFileName(line) == nil && !slices.Contains(a.members, line) {
				a.members = append(a.members, line)
			}
		}
		apps = append(apps, a)
	}
	return apps, nil
}

// owner is the application that a file belongs to, or nil.
func owner(apps []application, file string) *application {
	for i := range apps {
		if slices.Contains(apps[i].members, file) {
			return &apps[i]
		}
	}
	return nil
}
