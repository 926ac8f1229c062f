package engine

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/user"

	"github.com/berth-pods/berth/engine/inroot"
	"github.com/berth-pods/berth/engine/spec"
)

// resolveUser looks the user and groups up in the container's own files.
func resolveUser(root inroot.Root, c spec.Container, imageUser string) (spec.Process, error) {
	passwd, err := optional(root, "etc/passwd")
	if err != nil {
		return spec.Process{}, err
	}
	group, err := optional(root, "etc/group")
	if err != nil {
		return spec.Process{}, err
	}
	return process(c, imageUser, passwd, group)
}

// process is who runs, with these files of the container's.
func process(c spec.Container, imageUser string, passwd, group []byte) (spec.Process, error) {
	passwd, group = numbered(passwd, 2, 3), numbered(group, 2)
	who := c.User
	if who == "" {
		who = imageUser
	}
	if strings.Count(who, ":") > 1 {
		return spec.Process{}, fmt.Errorf("user %q is not USER[:GROUP]; %w", who, ErrNoUser)
	}
	u, err := user.GetExecUser(who, &user.ExecUser{Home: "/"}, bytes.NewReader(passwd), bytes.NewReader(group))
	if err != nil {
		return spec.Process{}, fmt.Errorf("user %q: %w; %w", who, err, ErrNoUser)
	}
	p := spec.Process{UID: uint32(u.Uid), GID: uint32(u.Gid), Home: u.Home}
	if c.KeepGroups() {
		return p, nil
	}
	extra, err := user.GetAdditionalGroups(c.Groups, bytes.NewReader(group))
	if err != nil {
		return spec.Process{}, fmt.Errorf("group-add: %w; %w", err, ErrNoUser)
	}
	for _, g := range append(u.Sgids, extra...) {
		p.Groups = append(p.Groups, uint32(g))
	}
	return p, nil
}

// numbered is the file without the lines that have no ID of the kernel's in these fields, which the C library passes over too
// (passwd(5), group(5)). For the library that reads the rest they would be root's: what is no number is 0 there.
func numbered(text []byte, fields ...int) []byte {
	var lines [][]byte
	for _, line := range bytes.Split(text, []byte("\n")) {
		words := bytes.Split(bytes.TrimSpace(line), []byte(":"))
		if !slices.ContainsFunc(fields, func(i int) bool { return i >= len(words) || !isID(string(words[i])) }) {
			lines = append(lines, line)
		}
	}
	return bytes.Join(lines, []byte("\n"))
}

// isID tells whether a word is an ID. The largest number is none: it stands for nobody's (setresuid(2)).
func isID(word string) bool {
	n, err := strconv.ParseUint(word, 10, 32)
	return err == nil && n < math.MaxUint32
}

// addAccounts adds to the container's /etc/passwd and /etc/group who is missing there. The files of a container that is
// not to be written to are replaced by others; a root file system that is not ours is one of those.
func (e *Engine) addAccounts(root inroot.Root, s State, p spec.Process) ([]spec.Mount, error) {
	host, err := hostAccounts(s.Container.HostUsers)
	if err != nil {
		return nil, err
	}
	var mounts []spec.Mount
	for _, f := range []struct {
		name  string
		lines func(text string) (string, error)
	}{
		{"passwd", func(text string) (string, error) { return spec.PasswdLines(s.Container, text, p, host) }},
		{"group", func(text string) (string, error) { return spec.GroupLines(s.Container, text, p) }},
	} {
		text, err := optional(root, "etc/"+f.name)
		if err != nil {
			return nil, err
		}
		lines, err := f.lines(string(text))
		switch {
		case err != nil:
			return nil, err
		case text == nil || lines == "": // an image without the file has no use for it
		case s.Container.ReadOnly || s.Container.Rootfs:
			path := filepath.Join(e.Dirs.Container(s.ID), f.name)
			if err := createFile(path, string(text)+lines); err != nil {
				return nil, err
			}
			mounts = append(mounts, spec.Mount{Source: path, Destination: "/etc/" + f.name, Options: []string{"bind", "rprivate", "rw", "nosuid", "noexec", "nodev"}})
		default:
			if err := root.Append("etc/"+f.name, lines); err != nil {
				return nil, err
			}
		}
	}
	return mounts, nil
}

// hostAccounts looks accounts of the host up, by name or number.
func hostAccounts(names []string) ([]spec.Account, error) {
	if len(names) == 0 {
		return nil, nil
	}
	f, err := os.Open("/etc/passwd")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	users, err := user.ParsePasswd(f)
	if err != nil {
		return nil, err
	}
	var list []spec.Account
	for _, name := range names {
		found := false
		for _, u := range users {
			if u.Name == name || strconv.Itoa(u.Uid) == name {
				list, found = append(list, spec.Account{Name: u.Name, UID: u.Uid, GID: u.Gid, Gecos: u.Gecos, Home: u.Home}), true
				break
			}
		}
		if !found {
			return nil, fmt.Errorf("host user %q is not in the host's /etc/passwd", name)
		}
	}
	return list, nil
}
