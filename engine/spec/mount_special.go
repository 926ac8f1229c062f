package spec

import (
	"fmt"
	"path"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// SpecialMount is a --mount of a kind that --volume and --tmpfs cannot say.
type SpecialMount struct {
	Type        string // devpts, ramfs, glob, image
	Source      string // pattern or image
	Destination string
	Options     []string
	ReadWrite   bool
	Subpath     string // of an image
}

// specialMounts are the keys that each type knows beside type and the path.
var specialMounts = map[string][]string{
	"devpts": {"uid", "gid", "mode", "max"},
	"ramfs":  {"tmpfs-mode", "ro", "readonly", "noexec", "exec", "dev", "nodev", "suid", "nosuid"},
	"glob":   {"src", "source", "ro", "readonly", "bind-propagation"},
	"image":  {"src", "source", "rw", "readwrite", "subpath"},
}

// ParseSpecialMount reads a --mount of one of the special types; ok is false for all others.
func ParseSpecialMount(word string) (m SpecialMount, ok bool, err error) {
	fields, err := mountFields(word)
	if err != nil {
		return m, false, fmt.Errorf("mount %q: %w", word, err)
	}
	for _, f := range fields {
		if kind, ok := strings.CutPrefix(f, "type="); ok {
			m.Type = kind
		}
	}
	known, ok := specialMounts[m.Type]
	if !ok {
		return m, false, nil
	}
	for _, f := range fields {
		key, value, hasValue := strings.Cut(f, "=")
		on := !hasValue || isTrue(value)
		switch key {
		case "type":
			continue
		case "dst", "dest", "destination", "target":
			m.Destination = value
			continue
		}
		if !slices.Contains(known, key) {
			return m, true, fmt.Errorf("mount %q: unknown key %q for type=%s", word, key, m.Type)
		}
		switch key {
		case "src", "source":
			m.Source = value
		case "rw", "readwrite":
			m.ReadWrite = on
		case "ro", "readonly":
			if on {
				m.Options = append(m.Options, "ro")
			}
		case "subpath":
			m.Subpath = value
		case "tmpfs-mode":
			m.Options = append(m.Options, "mode="+value)
		case "bind-propagation":
			m.Options = append(m.Options, value)
		case "uid", "gid", "mode", "max":
			m.Options = append(m.Options, f)
		default:
			m.Options = append(m.Options, key)
		}
	}
	return m, true, m.check(word)
}

func (m *SpecialMount) check(word string) error {
	switch {
	case m.Source == "" && (m.Type == "glob" || m.Type == "image"):
		return fmt.Errorf("mount %q: it has no source=", word)
	case m.Type == "glob" && !path.IsAbs(m.Source):
		return fmt.Errorf("mount %q: the pattern is an absolute path", word)
	case m.Type == "glob" && m.Destination == "":
		m.Destination = path.Dir(m.Source)
	}
	if !path.IsAbs(m.Destination) || path.Clean(m.Destination) == "/" && m.Type != "glob" {
		return fmt.Errorf("mount %q: target= is an absolute path in the container, and not the whole of it", word)
	}
	m.Destination = path.Clean(m.Destination)
	return nil
}

// kernelMount is a mount that only the kernel is asked for; ok is false for those of the host's files.
func (m SpecialMount) kernelMount() (mount specs.Mount, ok bool) {
	switch m.Type {
	case "devpts":
		options := append([]string{"nosuid", "noexec", "newinstance", "ptmxmode=0666"}, m.Options...)
		return specs.Mount{Destination: m.Destination, Type: "devpts", Source: "devpts", Options: options}, true
	case "ramfs":
		return specs.Mount{Destination: m.Destination, Type: "ramfs", Source: "ramfs", Options: append([]string{"rw", "nosuid", "nodev"}, m.Options...)}, true
	}
	return specs.Mount{}, false
}
