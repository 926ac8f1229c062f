package engine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

// SubIDs reads the ranges that a file, /etc/subuid or /etc/subgid, gives to a user.
type SubIDs func(file, name string) ([]spec.IDRange, error)

const (
	subUIDFile = "/etc/subuid"
	subGIDFile = "/etc/subgid"
	// autoUser is whose ranges --userns=auto of root's containers takes, as Podman does.
	autoUser = "containers"
	// autoSize is how many IDs a container gets of its own: all that an image may have, where there are plenty.
	autoSize, autoSmall = 65536, 4096
)

// ErrNoMap says that root's containers cannot be in a namespace that lacks the caller.
var ErrNoMap = errors.New("--userns=nomap is for users: root has no ID of its own to leave out; auto gives a container a range of its own")

// userNS decides the maps of the container's user namespace. A range of its own is leased.
func (e *Engine) userNS(ctx context.Context, s *State, image Image) error {
	if s.joinUser { // that of its pod
		return nil
	}
	if err := e.decideIDs(ctx, s, image); err != nil || s.IDs.Empty() {
		return err
	}
	return e.Dirs.save(*s)
}

// decideIDs is userNS for who has no state of a container: a pod.
func (e *Engine) decideIDs(ctx context.Context, s *State, image Image) error {
	u, err := spec.ParseUserNS(s.Container)
	if err != nil {
		return err
	}
	switch u.Mode {
	case "", "host":
		return nil
	case "private":
		s.IDs.UIDs, s.IDs.GIDs = e.whole("uid_map"), e.whole("gid_map")
	case "keep-id":
		err = e.keepID(s, u)
	case "nomap":
		if !e.Host.Rootless {
			return ErrNoMap
		}
		s.IDs.UIDs, s.IDs.GIDs = noMap(e.whole("uid_map")), noMap(e.whole("gid_map"))
	case "auto":
		err = e.autoIDs(s, u, image)
	case "maps":
		err = e.givenIDs(s, u)
	case "ns", "container":
		err = e.joinUserNS(ctx, s, u)
	}
	if err == nil {
		s.IDs.UIDs = spec.SplitMap(s.IDs.UIDs, ranges(readMap("/proc/self/uid_map")))
		s.IDs.GIDs = spec.SplitMap(s.IDs.GIDs, ranges(readMap("/proc/self/gid_map")))
		err = errors.Join(spec.CheckMap(s.IDs.UIDs), spec.CheckMap(s.IDs.GIDs))
	}
	if err != nil {
		return fmt.Errorf("user namespace: %w", err)
	}
	return nil
}

// whole maps all IDs that this process knows to themselves.
func (e *Engine) whole(file string) []spec.IDMap {
	var list []spec.IDMap
	for _, m := range readMap("/proc/self/" + file) {
		list = append(list, spec.IDMap{Inside: m.Inside, Outside: m.Inside, Count: m.Count})
	}
	return spec.FillMap(list, nil, 0)
}

func ranges(maps []spec.IDMap) []spec.IDRange {
	var list []spec.IDRange
	for _, m := range maps {
		list = append(list, spec.IDRange{Start: m.Inside, Count: m.Count})
	}
	return list
}

func total(maps []spec.IDMap) uint32 {
	n := uint64(0)
	for _, m := range maps {
		n += uint64(m.Count)
	}
	return uint32(min(n, math.MaxUint32))
}

// readMap reads a uid_map or gid_map of proc(5).
func readMap(path string) []spec.IDMap {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	return parseMaps(bufio.NewScanner(f))
}

func parseMaps(lines *bufio.Scanner) []spec.IDMap {
	var list []spec.IDMap
	for lines.Scan() {
		var inside, outside, count uint32
		if n, _ := fmt.Sscan(lines.Text(), &inside, &outside, &count); n == 3 {
			list = append(list, spec.IDMap{Inside: inside, Outside: outside, Count: count})
		}
	}
	return list
}

// keepID gives the caller the same number in the container as outside, or the one that was asked for.
func (e *Engine) keepID(s *State, u spec.UserNS) error {
	uid, gid := e.Host.UID, e.Host.GID
	if u.UID != nil {
		uid = *u.UID
	}
	if u.GID != nil {
		gid = *u.GID
	}
	s.keepUser = fmt.Sprintf("%d:%d", uid, gid)
	uids, gids := e.whole("uid_map"), e.whole("gid_map")
	if !e.Host.Rootless { // root's containers know all IDs as they are
		s.IDs = spec.IDMaps{UIDs: uids, GIDs: gids}
		return nil
	}
	size := func(maps []spec.IDMap) uint32 {
		if u.Size > 0 {
			return min(u.Size, total(maps))
		}
		return total(maps)
	}
	s.IDs.UIDs = spec.FillMap([]spec.IDMap{{Inside: uid, Count: 1}}, ranges(uids), size(uids))
	s.IDs.GIDs = spec.FillMap([]spec.IDMap{{Inside: gid, Count: 1}}, ranges(gids), size(gids))
	return nil
}

// noMap leaves the caller's own ID out.
func noMap(maps []spec.IDMap) []spec.IDMap {
	own := []spec.IDMap{{Inside: math.MaxUint32 - 1, Outside: 0, Count: 1}}
	list := spec.FillMap(own, ranges(maps), total(maps)-1)
	return slices.DeleteFunc(list, func(m spec.IDMap) bool { return m.Inside == math.MaxUint32-1 })
}

// givenIDs takes the maps that were given, or the ranges of a name.
func (e *Engine) givenIDs(s *State, u spec.UserNS) error {
	if u.SubUIDs != "" || u.SubGIDs != "" {
		uids, err := e.namedRanges(subUIDFile, orElse(u.SubUIDs, u.SubGIDs))
		if err != nil {
			return err
		}
		gids, err := e.namedRanges(subGIDFile, orElse(u.SubGIDs, u.SubUIDs))
		if err != nil {
			return err
		}
		s.IDs = spec.IDMaps{UIDs: spec.FillMap(nil, uids, math.MaxUint32), GIDs: spec.FillMap(nil, gids, math.MaxUint32)}
		return nil
	}
	var err error
	if s.IDs.UIDs, err = e.fixed(u.UIDMaps, u.ExtendUIDs, "uid_map"); err != nil {
		return err
	}
	s.IDs.GIDs, err = e.fixed(u.GIDMaps, u.ExtendGIDs, "gid_map")
	return err
}

func orElse(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// fixed translates IDs of the machine, and lets the maps stand in the default one where that was asked for.
func (e *Engine) fixed(maps []spec.FixedMap, extend bool, file string) ([]spec.IDMap, error) {
	own := readMap("/proc/self/" + file)
	var list []spec.IDMap
	for _, m := range maps {
		if m.Host {
			i := slices.IndexFunc(own, func(o spec.IDMap) bool {
				return m.Outside >= o.Outside && uint64(m.Outside)+uint64(m.Count) <= uint64(o.Outside)+uint64(o.Count)
			})
			if i < 0 {
				return nil, fmt.Errorf("ID %d of the machine is not yours to map; /etc/subuid and /etc/subgid say which are", m.Outside)
			}
			m.Outside = m.Outside - own[i].Outside + own[i].Inside
		}
		list = append(list, m.IDMap)
	}
	if err := spec.CheckMap(list); err != nil || !extend {
		return list, err
	}
	all := e.whole(file)
	return spec.FillMap(list, ranges(all), total(all)), nil
}

func (e *Engine) namedRanges(file, name string) ([]spec.IDRange, error) {
	if e.Host.Rootless {
		return nil, errors.New("--subuidname and --subgidname are for root; a user has the ranges of the user's own name")
	}
	list, err := e.SubIDs(file, name)
	if err == nil && len(list) == 0 {
		err = missingRange(file, name)
	}
	return list, err
}

func missingRange(file, name string) error {
	start := "100000:65536"
	if name == autoUser {
		start = "2147483647:2147483648"
	}
	return fmt.Errorf("%s gives no range to %q: add the line \"%s:%s\" to it, or let `berth setup userns` do so", file, name, name, start)
}

// autoIDs leases a range that no other container has.
func (e *Engine) autoIDs(s *State, u spec.UserNS, image Image) error {
	var uids, gids []spec.IDRange
	var err error
	if e.Host.Rootless {
		uids, gids = above0(e.whole("uid_map")), above0(e.whole("gid_map"))
		if len(uids) == 0 || len(gids) == 0 {
			return missingRange(subUIDFile, e.Host.UserName)
		}
	} else if uids, err = e.namedRanges(subUIDFile, autoUser); err != nil {
		return err
	} else if gids, err = e.namedRanges(subGIDFile, autoUser); err != nil {
		return err
	}
	both := intersect(uids, gids)
	size := u.Size
	if size == 0 {
		size = autoSmall
		if count(both) >= 8*autoSize {
			size = autoSize
		}
		if n, ok := numericUser(orElse(s.Container.User, image.Config.User)); ok && n >= size {
			size = n + 1
		}
	}
	leased, err := e.leaseIDs(s, both, size)
	if err != nil {
		return err
	}
	lease, size := []spec.IDRange{leased}, leased.Count
	var fixedUIDs, fixedGIDs []spec.IDMap
	if fixedUIDs, err = e.fixed(u.UIDMaps, false, "uid_map"); err != nil {
		return err
	}
	if fixedGIDs, err = e.fixed(u.GIDMaps, false, "gid_map"); err != nil {
		return err
	}
	s.IDs = spec.IDMaps{UIDs: spec.FillMap(fixedUIDs, lease, size), GIDs: spec.FillMap(fixedGIDs, lease, size)}
	return nil
}

// above0 are the IDs of a user's namespace but the user's own.
func above0(maps []spec.IDMap) []spec.IDRange {
	var list []spec.IDRange
	for _, r := range ranges(maps) {
		if r.Start == 0 {
			r.Start, r.Count = 1, r.Count-1
		}
		if r.Count > 0 {
			list = append(list, r)
		}
	}
	return list
}

func count(list []spec.IDRange) uint64 {
	n := uint64(0)
	for _, r := range list {
		n += uint64(r.Count)
	}
	return n
}

// intersect returns what both lists have. One number leases users and groups alike.
func intersect(a, b []spec.IDRange) []spec.IDRange {
	var list []spec.IDRange
	for _, x := range a {
		for _, y := range b {
			start := max(x.Start, y.Start)
			end := min(uint64(x.Start)+uint64(x.Count), uint64(y.Start)+uint64(y.Count))
			if uint64(start) < end {
				list = append(list, spec.IDRange{Start: start, Count: uint32(end - uint64(start))})
			}
		}
	}
	return list
}

func numericUser(user string) (uint32, bool) {
	name, _, _ := strings.Cut(user, ":")
	n, err := strconv.ParseUint(name, 10, 31)
	return uint32(n), err == nil
}

// ids are the leases of ranges of IDs, among all leases.
const ids = "ids"

func (d Dirs) idLeases() string { return filepath.Join(d.Run, "leases", ids) }

// leaseIDs takes a free range of this size. A lease is a symbolic link START-SIZE whose text is the ID of the container or pod,
// as those of addresses are; one of who is no longer there is taken away. Ranges of any size must not overlap, so those who
// look for one take turns. Who has had a range, and kept files that belong to it, gets it back.
func (e *Engine) leaseIDs(s *State, of []spec.IDRange, size uint32) (spec.IDRange, error) {
	unlock, err := lockDir(e.Dirs.Run) // the directory of leases goes with the last one
	if err != nil {
		return spec.IDRange{}, err
	}
	defer unlock()
	take := func(r spec.IDRange) (spec.IDRange, error) {
		dir := e.Dirs.idLeases()
		s.IDLease = leaseName(r)
		return r, atomicfile.InDir(dir, 0o700, func() error { return os.Symlink(s.ID, filepath.Join(dir, s.IDLease)) })
	}
	leased, own, err := e.leasedIDs(s.ID)
	if err != nil {
		return spec.IDRange{}, err
	}
	if r, ok := parseLease(orElse(own, s.IDLease)); ok {
		if s.IDLease = leaseName(r); own != "" {
			return r, nil
		}
		if len(intersect(leased, []spec.IDRange{r})) == 0 {
			return take(r)
		}
	}
	taken, err := e.Store.UsedIDs()
	if err != nil {
		return spec.IDRange{}, err
	}
	start, ok := lastFree(of, append(leased, taken...), size)
	if !ok {
		return spec.IDRange{}, fmt.Errorf("no %d IDs in a row are free in the ranges %v; take a smaller size (auto:size=N), or give more in %s and %s", size, of, subUIDFile, subGIDFile)
	}
	return take(spec.IDRange{Start: start, Count: size})
}

// leasedIDs are the ranges that others have, and the name of the lease that has this ID; "" when it has none.
func (e *Engine) leasedIDs(id string) (ranges []spec.IDRange, own string, err error) {
	dir := e.Dirs.idLeases()
	entries, err := entriesOf(dir)
	if err != nil {
		return nil, "", err
	}
	for _, entry := range entries {
		r, ok := parseLease(entry.Name())
		if !ok {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		holder, err := os.Readlink(path)
		if err != nil {
			continue
		}
		if holder == id {
			own = entry.Name()
			continue
		}
		if !e.Dirs.Known(holder) {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, "", err
			}
			continue
		}
		ranges = append(ranges, r)
	}
	return ranges, own, nil
}

// leaseName is how a lease of the range is called; parseLease reads that.
func leaseName(r spec.IDRange) string { return fmt.Sprintf("%d-%d", r.Start, r.Count) }

func parseLease(name string) (r spec.IDRange, ok bool) {
	n, _ := fmt.Sscanf(name, "%d-%d", &r.Start, &r.Count)
	return r, n == 2
}

// lastFree finds the highest start of size IDs in a row that nobody has. Podman takes the lowest.
func lastFree(of, taken []spec.IDRange, size uint32) (uint32, bool) {
	sort.Slice(taken, func(a, b int) bool { return taken[a].Start > taken[b].Start })
	for _, r := range slices.Backward(of) {
		end := uint64(r.Start) + uint64(r.Count)
		for _, t := range taken {
			if uint64(t.Start) < end && uint64(t.Start)+uint64(t.Count)+uint64(size) > end {
				end = uint64(t.Start)
			}
		}
		if end >= uint64(r.Start)+uint64(size) {
			return uint32(end - uint64(size)), true
		}
	}
	return 0, false
}

// releaseIDs gives the lease back.
func (e *Engine) releaseIDs(s State) error {
	if s.IDLease == "" {
		return nil
	}
	return e.leases().Release(filepath.Join(ids, s.IDLease), s.ID)
}

// joinUserNS takes the namespace of another container, or one that has a path.
func (e *Engine) joinUserNS(ctx context.Context, s *State, u spec.UserNS) (err error) {
	if u.Mode == "container" {
		other, err := e.Dirs.Find(u.Target)
		if err != nil {
			return err
		}
		f, err := other.Init.OpenNamespace("user")
		if errors.Is(err, proc.ErrGone) {
			return fmt.Errorf("container %q does not run, and has no namespace to join", other.Name)
		}
		if s.IDs = other.IDs; err != nil || s.IDs.Empty() { // it has none of its own
			f.Close()
			return err
		}
		s.userns, s.joinUser = f, true
		return nil
	}
	// The kernel shows a map as seen from the reader, and only to who is inside as it was written.
	inside := func(file string) ([]spec.IDMap, error) {
		out, err := e.Programs(ctx, proc.Command{Path: "nsenter", Args: []string{"--user=" + u.Target, "--preserve-credentials", "cat", "/proc/self/" + file}})
		if err != nil {
			return nil, fmt.Errorf("look into %s: %w", u.Target, err)
		}
		return parseMaps(bufio.NewScanner(strings.NewReader(string(out)))), nil
	}
	if s.IDs.UIDs, err = inside("uid_map"); err != nil {
		return err
	}
	if s.IDs.GIDs, err = inside("gid_map"); err != nil {
		return err
	}
	if s.userns, err = os.Open(u.Target); err != nil {
		return err
	}
	s.joinUser = true
	return nil
}

// owner is a user of the container by the IDs that files outside can be given to.
type owner struct{ uid, gid int }

// owner translates the user of the container's program.
func (s State) owner(p spec.Process) (owner, error) { return s.outside(p.UID, p.GID) }

func (s State) outside(uid, gid uint32) (owner, error) {
	u, ok1 := s.IDs.UID(uid)
	g, ok2 := s.IDs.GID(gid)
	if !ok1 || !ok2 {
		return owner{}, fmt.Errorf("user %d:%d has no place in the container's user namespace; widen it (size=, --uidmap), or choose another user", uid, gid)
	}
	return owner{int(u), int(g)}, nil
}

// inFiles is the owner of what belongs to the container's user in its root file system.
func (s State) inFiles(p spec.Process) owner {
	if o, err := s.owner(p); err == nil && !s.filesInside {
		return o
	}
	return owner{int(p.UID), int(p.GID)}
}

// onDisk tells by which IDs the files of a new volume are owned, given those that they have in the root file system: by
// those of the container, whatever they are outside, where owners can be mapped, else by those outside.
func (e *Engine) onDisk(s *State, dir string) (func(uid, gid uint32) (uint32, uint32), error) {
	mapped, err := e.idmapped(s, dir, "")
	mapped = mapped && !e.Host.Rootless
	return func(uid, gid uint32) (uint32, uint32) {
		switch {
		case s.IDs.Empty(), mapped == s.filesInside:
		case mapped:
			return s.IDs.InsideIDs(uid, gid)
		default:
			if o, err := s.outside(uid, gid); err == nil {
				return uint32(o.uid), uint32(o.gid)
			}
		}
		return uid, gid
	}, err
}

// ownFiles gives the files that berth has made for the container to its root.
func (e *Engine) ownFiles(s State, files []spec.Mount) error {
	var paths []string
	for _, f := range files {
		if filepath.Dir(f.Source) != e.Dirs.Container(s.ID) {
			continue
		}
		paths = append(paths, f.Source)
		if name := filepath.Base(f.Source); name != "hosts" && name != "resolv.conf" { // which others may share
			if err := labelFile(f.Source, s.Label.File); err != nil {
				return err
			}
		}
	}
	return ownedByRoot(s.IDs, paths...)
}

// ownedByRoot gives files to the root of a user namespace with these maps.
func ownedByRoot(ids spec.IDMaps, paths ...string) error {
	root, err := State{IDs: ids}.outside(0, 0)
	if err != nil || ids.Empty() {
		return nil // there is no root in it, or it is the one that has them
	}
	for _, path := range paths {
		if err := os.Chown(path, root.uid, root.gid); err != nil {
			return err
		}
	}
	return nil
}

// idmapped mounts source at place with the owners mapped: what belongs to ID n on the disk belongs to n in the container.
// It reports false where the file system or the kernel cannot do it, or a user may not (mount_setattr(2)).
func (e *Engine) idmapped(s *State, source, place string) (bool, error) {
	if s.IDs.Empty() || s.IDs.Identity() {
		return false, nil
	}
	if s.userns == nil {
		var err error
		if s.userns, err = e.Store.UserNS(s.IDs); err != nil {
			return false, fmt.Errorf("make a user namespace: %w", err)
		}
	}
	tree, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return false, fmt.Errorf("take %s: %w", source, err)
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(s.userns.Fd())}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return false, nil
	}
	if place == "" {
		return true, nil
	}
	return true, unix.MoveMount(tree, "", unix.AT_FDCWD, place, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// mapRootfs maps the owners of a root file system that is not in the store. One that is belongs to the IDs of the container:
// the storage library maps the layers below the overlay, or where the kernel cannot, makes a copy of the image with other
// owners, once for each map.
func (e *Engine) mapRootfs(s *State, path string) (string, error) {
	s.files, s.filesInside = path, true
	if s.IDs.Empty() || s.IDs.Identity() {
		return path, nil
	}
	place, err := e.rootfsPlace(s)
	if err != nil {
		return "", err
	}
	mapped, err := e.idmapped(s, path, place)
	if err == nil && !mapped {
		err = fmt.Errorf("root file system %s cannot map owners, and its files would be nobody's; give them to the container's IDs outside, or take --userns=host", path)
	}
	return place, err
}
