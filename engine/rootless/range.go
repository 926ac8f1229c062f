package rootless

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/berth-pods/berth/engine/atomicfile"
)

const (
	// firstSubID and userCount are those of useradd(8), login.defs(5).
	firstSubID, userCount = 100000, 65536
	// autoUser has the upper half of all IDs, as Podman proposes; its containers take ranges from there.
	autoUser, autoStart, autoCount = "containers", math.MaxInt32, math.MaxInt32 + 1
)

// SubID is a range of subordinate IDs.
type SubID struct {
	Name         string
	Start, Count int64
}

// readSubIDs reads the ranges in a file like /etc/subuid whose names are wanted; none when it is not there.
func readSubIDs(file string, wanted func(name string) bool) ([]SubID, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseSubIDs(file, string(text), wanted)
}

// parseSubIDs reads lines NAME:START:COUNT (subuid(5)). A wanted one with other numbers than the kernel takes (user_namespaces(7)) is an
// error: as 0, which other readers take it for, it would be root.
func parseSubIDs(file, text string, wanted func(name string) bool) ([]SubID, error) {
	var list []SubID
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		fields := strings.Split(line, ":")
		if line == "" || line[0] == '#' || !wanted(fields[0]) {
			continue
		}
		var start, count uint64
		err := errors.New("not three fields")
		if len(fields) == 3 {
			start, err = strconv.ParseUint(fields[1], 10, 32)
		}
		if err == nil {
			count, err = strconv.ParseUint(fields[2], 10, 32)
		}
		if err != nil || start+count > math.MaxUint32 {
			return nil, fmt.Errorf("%s:%d: %q is not NAME:START:COUNT with IDs below %d", file, i+1, line, uint32(math.MaxUint32))
		}
		if count > 0 {
			list = append(list, SubID{fields[0], int64(start), int64(count)})
		}
	}
	return list, nil
}

// AddRange gives a name a range in the file, /etc/subuid or /etc/subgid, and returns the line; "" when it has one. With dry
// it only says which.
func AddRange(file, name string, dry bool) (string, error) {
	if name == "" || name[0] == '#' || name != strings.TrimSpace(name) || strings.ContainsAny(name, ":\n") {
		return "", fmt.Errorf("%q is no name of a user", name)
	}
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	list, err := parseSubIDs(file, string(text), func(string) bool { return true })
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(list, func(s SubID) bool { return s.Name == name }) {
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
func freeRange(list []SubID, name string) (start, count int64, err error) {
	start, count = firstSubID, userCount
	if name == autoUser {
		start, count = autoStart, autoCount
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Start < list[j].Start })
	for _, s := range list {
		if s.Start < start+count && start < s.Start+s.Count {
			start = s.Start + s.Count
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
