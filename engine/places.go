package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-pods/berth/engine/inroot"
	"github.com/berth-pods/berth/engine/spec"
)

// maxLinks is how many links the kernel follows on the way to one file (path_resolution(7)).
const maxLinks = 40

// places knows what has been mounted in a container up to now. The files below a place are the image's, or those of
// whoever writes to the volume there: where a link of theirs leads to is looked at before the runtime follows it.
type places struct {
	root   inroot.Root
	mounts []placed
}

// placed is a mount. Only a directory of the host can hold links that somebody has put there.
type placed struct {
	at     string // with no link in it
	source string // "" for a file system of the kernel's own
}

// checkPlaces refuses mounts that an image or a volume leads by a link to where none may be.
func checkPlaces(rootfs string, mounts []specs.Mount) error {
	root, err := inroot.Open(rootfs)
	if err != nil {
		return fmt.Errorf("root file system: %w", err)
	}
	defer root.Close()
	p := places{root: root}
	for _, m := range mounts {
		at, err := p.resolve(m.Destination)
		if err != nil {
			return fmt.Errorf("mount on %s: %w", m.Destination, err)
		}
		if at != path.Clean(m.Destination) {
			if err := misled(m, at); err != nil {
				return err
			}
		}
		source := ""
		if slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind") {
			source = m.Source
		}
		p.mounts = append(p.mounts, placed{at, source})
	}
	return nil
}

// misled says what is wrong with a mount whose place is another one than it seems to be.
func misled(m specs.Mount, at string) error {
	switch m.Destination {
	case "/proc", "/sys", "/dev":
		return fmt.Errorf("the image's %s is a link, to %s: the runtime would take what lies there for the kernel's", m.Destination, at)
	}
	seems := m.Destination
	m.Destination = at
	if err := spec.CheckPlace(m); err != nil {
		return fmt.Errorf("%s is a link of the image's, or of a volume's, and leads to %s: %w", seems, at, err)
	}
	return nil
}

// resolve follows the links in a path. What is missing is taken as it is written.
func (p *places) resolve(name string) (string, error) {
	name = path.Clean("/" + name)
	if over, below := p.over(name); over == nil {
		if linked, err := p.root.HasLink(below); !linked || err != nil {
			return name, err
		}
	}
	at, rest, links := "/", strings.Split(name[1:], "/"), 0
	for len(rest) > 0 {
		next := path.Join(at, rest[0])
		rest = rest[1:]
		if next == at { // an empty word, or a dot
			continue
		}
		target, err := p.link(next)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return path.Join(append([]string{next}, rest...)...), nil
		case err != nil:
			return "", err
		case target == "":
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", errors.New("too many links")
		}
		if strings.HasPrefix(target, "/") {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return at, nil
}

// over finds the mount that a path lies below, nil for none, and the path as it is seen from there.
func (p *places) over(name string) (over *placed, below string) {
	below = name
	for i, m := range p.mounts { // the last one covers those before it
		if rest, ok := strings.CutPrefix(name, strings.TrimSuffix(m.at, "/")+"/"); ok {
			over, below = &p.mounts[i], rest
		}
	}
	return over, below
}

// link returns what the link at a path says, "" when there is none.
func (p *places) link(name string) (string, error) {
	over, below := p.over(name)
	switch {
	case slices.ContainsFunc(p.mounts, func(m placed) bool { return m.at == name }):
		return "", nil // a mount covers what lies there
	case over == nil:
		return p.root.Readlink(below)
	case over.source == "":
		return "", nil
	}
	root, err := inroot.Open(over.source)
	if err != nil { // a file: nothing lies below it, and the runtime will say so
		return "", nil
	}
	defer root.Close()
	return root.Readlink(below)
}
