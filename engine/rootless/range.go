package rootless

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"sort"
	"strings"

	sysuser "github.com/moby/sys/user"

	"github.com/berth-pods/berth/engine/atomicfile"
)

const (
	// firstSubID and userCount are those of useradd(8), login.defs(5).
	firstSubID, userCount = 100000, 65536
	// autoUser has the upper half of all IDs, as Podman proposes; its containers take ranges from there.
	autoUser, autoStart, autoCount = "containers", math.MaxInt32, math.MaxInt32 + 1
)

// AddRange gives a name a range in the file, /etc/subuid or /etc/subgid, and returns the line; "" when it has one. With dry
// it only says which.
func AddRange(file, name string, dry bool) (string, error) {
	if name == "" || strings.ContainsAny(name, ":\n") {
		return "", fmt.Errorf("%q is no name of a user", name)
	}
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	list, err := sysuser.ParseSubID(strings.NewReader(string(text)))
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	if slices.ContainsFunc(list, func(s sysuser.SubID) bool { return s.Name == name }) {
		return "", nil
	}
	start, count, err := freeRange(list, name)
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	line := fmt.Sprintf("%s:%d:%d", name, start, count)
	if dry {
		return line, nil
	}
	if len(text) > 0 && !strings.HasSuffix(string(text), "\n") {
		text = append(text, '\n')
	}
	return line, atomicfile.Write(file, append(text, line+"\n"...), 0o644)
}

// freeRange finds a range that overlaps no other.
func freeRange(list []sysuser.SubID, name string) (start, count int64, err error) {
	start, count = firstSubID, userCount
	if name == autoUser {
		start, count = autoStart, autoCount
	}
	sort.Slice(list, func(i, j int) bool { return list[i].SubID < list[j].SubID })
	for _, s := range list {
		if s.SubID < start+count && start < s.SubID+s.Count {
			start = s.SubID + s.Count
		}
	}
	if start+count > math.MaxUint32 {
		if name == autoUser && start+autoCount/1024 <= math.MaxUint32 { // a smaller one will do
			return start, autoCount / 1024, nil
		}
		return 0, 0, errors.New("no range of IDs is free")
	}
	return start, count, nil
}
