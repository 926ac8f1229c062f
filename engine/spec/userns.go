package spec

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// IDMap maps Count IDs of the container, from Inside on, to IDs of the namespace that berth is in, from Outside on.
type IDMap struct {
	Inside  uint32 `json:"inside"`
	Outside uint32 `json:"outside"`
	Count   uint32 `json:"count"`
}

// IDMaps are the maps of a user namespace.
type IDMaps struct {
	UIDs []IDMap `json:"uids,omitempty"`
	GIDs []IDMap `json:"gids,omitempty"`
}

// Empty reports whether the container has no user namespace of its own.
func (m IDMaps) Empty() bool { return len(m.UIDs) == 0 && len(m.GIDs) == 0 }

// Identity reports whether all IDs are what they are outside.
func (m IDMaps) Identity() bool {
	same := func(l []IDMap) bool {
		return !slices.ContainsFunc(l, func(r IDMap) bool { return r.Inside != r.Outside })
	}
	return same(m.UIDs) && same(m.GIDs)
}

// UID and GID translate an ID of the container; false when it is not mapped.
func (m IDMaps) UID(id uint32) (uint32, bool) { return outside(m.UIDs, id) }

// GID is UID for groups.
func (m IDMaps) GID(id uint32) (uint32, bool) { return outside(m.GIDs, id) }

func outside(maps []IDMap, id uint32) (uint32, bool) {
	if len(maps) == 0 {
		return id, true
	}
	for _, m := range maps {
		if id >= m.Inside && id-m.Inside < m.Count {
			return m.Outside + (id - m.Inside), true
		}
	}
	return 0, false
}

// InsideIDs translates IDs of the outside to those of the container; an ID that is not mapped becomes the container's 0.
func (m IDMaps) InsideIDs(uid, gid uint32) (uint32, uint32) {
	return inside(m.UIDs, uid), inside(m.GIDs, gid)
}

func inside(maps []IDMap, id uint32) uint32 {
	if len(maps) == 0 {
		return id
	}
	for _, m := range maps {
		if id >= m.Outside && id-m.Outside < m.Count {
			return m.Inside + (id - m.Outside)
		}
	}
	return 0
}

// IDRange is a range of IDs that may be used.
type IDRange struct{ Start, Count uint32 }

// UserNS is what the options about the user namespace ask for.
type UserNS struct {
	Mode   string // "" or host: none; private, keep-id, auto, nomap, ns, container, maps
	Target string // of ns and container
	// UID, GID and Size are those of keep-id and auto; nil and 0: not said.
	UID, GID *uint32
	Size     uint32
	// UIDMaps and GIDMaps are fixed maps; Extend says that they stand in the default map, and do not replace it.
	UIDMaps, GIDMaps       []FixedMap
	ExtendUIDs, ExtendGIDs bool
	SubUIDs, SubGIDs       string // names in /etc/subuid and /etc/subgid
}

// FixedMap is a map as it was given. With Host, Outside is an ID of the machine, and not of the user's namespace.
type FixedMap struct {
	IDMap
	Host bool
}

// OwnUsers reports whether the container was given anything about a user namespace.
func OwnUsers(c Container) bool {
	return c.UserNS != "" || len(c.UIDMaps) > 0 || len(c.GIDMaps) > 0 || c.SubUIDName != "" || c.SubGIDName != ""
}

// Own reports whether that is another user namespace than the one without a word of it.
func (u UserNS) Own() bool { return u.Mode != "" && u.Mode != "host" }

// ParseUserNS reads --userns, --uidmap, --gidmap, --subuidname and --subgidname.
func ParseUserNS(c Container) (UserNS, error) {
	mode, rest, _ := strings.Cut(c.UserNS, ":")
	u := UserNS{Mode: mode, SubUIDs: c.SubUIDName, SubGIDs: c.SubGIDName}
	var err error
	switch mode {
	case "", "host", "private", "nomap":
		if rest != "" {
			return u, fmt.Errorf("userns %q: %s has no options", c.UserNS, mode)
		}
	case "keep-id", "auto":
		err = u.options(rest)
	case "ns", "container":
		if u.Target = rest; rest == "" {
			err = fmt.Errorf("it names nothing after %s:", mode)
		}
	default:
		err = fmt.Errorf("known are host, private, keep-id, auto, nomap, ns:PATH and container:NAME")
	}
	if err != nil {
		return u, fmt.Errorf("userns %q: %w", c.UserNS, err)
	}
	if len(c.UIDMaps)+len(c.GIDMaps) == 0 && u.SubUIDs == "" && u.SubGIDs == "" {
		return u, nil
	}
	if mode != "" && mode != "private" {
		return u, fmt.Errorf("--userns=%s and maps (--uidmap, --gidmap, --subuidname, --subgidname) exclude each other", mode)
	}
	if (u.SubUIDs != "" || u.SubGIDs != "") && len(c.UIDMaps)+len(c.GIDMaps) > 0 {
		return u, fmt.Errorf("--uidmap and --gidmap exclude --subuidname and --subgidname")
	}
	u.Mode = "maps"
	return u, u.maps(c)
}

func (u *UserNS) options(rest string) error {
	for _, o := range splitNonEmpty(rest, ",") {
		key, value, _ := strings.Cut(o, "=")
		switch {
		case key == "size", u.Mode == "keep-id" && (key == "uid" || key == "gid"):
			n, err := parseID(value)
			if err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			switch key {
			case "uid":
				u.UID = &n
			case "gid":
				u.GID = &n
			case "size":
				u.Size = n
			}
		case u.Mode == "auto" && (key == "uidmapping" || key == "gidmapping"):
			m, _, err := parseMap(value)
			if err != nil {
				return err
			}
			if key == "uidmapping" {
				u.UIDMaps = append(u.UIDMaps, m)
			} else {
				u.GIDMaps = append(u.GIDMaps, m)
			}
		default:
			return fmt.Errorf("unknown option %q", o)
		}
	}
	return nil
}

// maps reads the maps. Those of one kind stand for both when there are none of the other.
func (u *UserNS) maps(c Container) error {
	read := func(words []string, uids, gids bool) error {
		for _, word := range words {
			m, flags, err := parseMap(word)
			if err != nil {
				return err
			}
			only := strings.ContainsAny(flags, "ug")
			extend := strings.Contains(flags, "+")
			if uids && (!only || strings.Contains(flags, "u")) || strings.Contains(flags, "u") {
				u.UIDMaps, u.ExtendUIDs = append(u.UIDMaps, m), u.ExtendUIDs || extend
			}
			if gids && (!only || strings.Contains(flags, "g")) || strings.Contains(flags, "g") {
				u.GIDMaps, u.ExtendGIDs = append(u.GIDMaps, m), u.ExtendGIDs || extend
			}
		}
		return nil
	}
	if err := read(c.UIDMaps, true, len(c.GIDMaps) == 0); err != nil {
		return err
	}
	return read(c.GIDMaps, len(c.UIDMaps) == 0, true)
}

// parseMap reads [FLAGS]INSIDE:OUTSIDE[:COUNT]; an @ before OUTSIDE says that it is an ID of the machine.
func parseMap(word string) (FixedMap, string, error) {
	wrong := func() (FixedMap, string, error) {
		return FixedMap{}, "", fmt.Errorf("map %q is not [+ug]CONTAINER:[@]HOST[:COUNT]", word)
	}
	text := strings.TrimLeft(word, "+ug")
	flags := word[:len(word)-len(text)]
	parts := strings.Split(text, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return wrong()
	}
	m := FixedMap{IDMap: IDMap{Count: 1}}
	from, host := strings.CutPrefix(parts[1], "@")
	m.Host = host
	var err error
	if m.Inside, err = parseID(parts[0]); err != nil {
		return wrong()
	}
	if m.Outside, err = parseID(from); err != nil {
		return wrong()
	}
	if len(parts) == 3 {
		if m.Count, err = parseID(parts[2]); err != nil || m.Count == 0 {
			return wrong()
		}
	}
	if uint64(m.Inside)+uint64(m.Count) > math.MaxUint32 || uint64(m.Outside)+uint64(m.Count) > math.MaxUint32 {
		return wrong()
	}
	return m, flags, nil
}

func parseID(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == math.MaxUint32 {
		return 0, fmt.Errorf("%q is not an ID", s)
	}
	return uint32(n), nil
}

// FillMap maps the IDs from 0 to size-1 of a container: those that are fixed as they are said, and each other one to the
// next ID of the ranges that no fixed one has. Where the ranges end, so does the map.
func FillMap(fixed []IDMap, ranges []IDRange, size uint32) []IDMap {
	fixed = slices.Clone(fixed)
	sort.Slice(fixed, func(i, j int) bool { return fixed[i].Inside < fixed[j].Inside })
	free := without(ranges, fixed)
	list := slices.Clone(fixed)
	next := uint32(0)
	fill := func(end uint32) {
		for next < end && len(free) > 0 {
			n := min(end-next, free[0].Count)
			list = append(list, IDMap{next, free[0].Start, n})
			next += n
			free[0].Start, free[0].Count = free[0].Start+n, free[0].Count-n
			if free[0].Count == 0 {
				free = free[1:]
			}
		}
	}
	for _, f := range fixed {
		fill(min(f.Inside, size))
		next = max(next, f.Inside+f.Count)
	}
	fill(size)
	sort.Slice(list, func(i, j int) bool { return list[i].Inside < list[j].Inside })
	return joined(list)
}

// without takes the outside of maps out of ranges.
func without(ranges []IDRange, maps []IDMap) []IDRange {
	list := slices.Clone(ranges)
	for _, m := range maps {
		var rest []IDRange
		for _, r := range list {
			end, cut := uint64(r.Start)+uint64(r.Count), uint64(m.Outside)+uint64(m.Count)
			if cut <= uint64(r.Start) || uint64(m.Outside) >= end {
				rest = append(rest, r)
				continue
			}
			if m.Outside > r.Start {
				rest = append(rest, IDRange{r.Start, m.Outside - r.Start})
			}
			if cut < end {
				rest = append(rest, IDRange{uint32(cut), uint32(end - cut)})
			}
		}
		list = rest
	}
	return list
}

// joined writes neighbours as one: the kernel takes 340 lines (user_namespaces(7)).
func joined(list []IDMap) []IDMap {
	var out []IDMap
	for _, m := range list {
		if n := len(out) - 1; n >= 0 && out[n].Inside+out[n].Count == m.Inside && out[n].Outside+out[n].Count == m.Outside {
			out[n].Count += m.Count
			continue
		}
		out = append(out, m)
	}
	return out
}

// SplitMap cuts each line where one of the ranges of IDs outside ends: the kernel takes none that crosses two lines of the map
// of the namespace around it (user_namespaces(7)).
func SplitMap(maps []IDMap, outer []IDRange) []IDMap {
	var list []IDMap
	for _, m := range maps {
		for m.Count > 0 {
			n := m.Count
			for _, r := range outer {
				if m.Outside >= r.Start && m.Outside-r.Start < r.Count {
					n = min(n, r.Count-(m.Outside-r.Start))
				}
			}
			list = append(list, IDMap{m.Inside, m.Outside, n})
			m = IDMap{m.Inside + n, m.Outside + n, m.Count - n}
		}
	}
	return list
}

// maxMaps is how many lines the kernel takes for one map (user_namespaces(7)).
const maxMaps = 340

// CheckMap refuses a map in which an ID stands twice, inside or outside, and one that the kernel finds too long.
func CheckMap(maps []IDMap) error {
	if len(maps) > maxMaps {
		return fmt.Errorf("%d ranges of IDs are mapped; the kernel takes %d at most: join those that follow each other", len(maps), maxMaps)
	}
	for i, a := range maps {
		for _, b := range maps[:i] {
			overlap := func(x, y uint32) bool {
				return uint64(x) < uint64(y)+uint64(b.Count) && uint64(y) < uint64(x)+uint64(a.Count)
			}
			if overlap(a.Inside, b.Inside) {
				return fmt.Errorf("the maps %d:%d:%d and %d:%d:%d have IDs of the container in common", b.Inside, b.Outside, b.Count, a.Inside, a.Outside, a.Count)
			}
			if overlap(a.Outside, b.Outside) {
				return fmt.Errorf("the maps %d:%d:%d and %d:%d:%d have IDs of the host in common", b.Inside, b.Outside, b.Count, a.Inside, a.Outside, a.Count)
			}
		}
	}
	return nil
}

// userNamespace adds the container's user namespace to the configuration.
func userNamespace(s *specs.Linux, in Input) {
	if in.IDs.Empty() {
		return
	}
	s.Namespaces = append(s.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace, Path: in.UserNS})
	if in.UserNS != "" {
		return // it has its maps
	}
	lines := func(maps []IDMap) (list []specs.LinuxIDMapping) {
		for _, m := range maps {
			list = append(list, specs.LinuxIDMapping{ContainerID: m.Inside, HostID: m.Outside, Size: m.Count})
		}
		return list
	}
	s.UIDMappings, s.GIDMappings = lines(in.IDs.UIDs), lines(in.IDs.GIDs)
}
