package spec

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// option reads an option with a value.
func (v *Volume) option(o string) error {
	key, value, _ := strings.Cut(o, "=")
	switch key {
	case "upperdir":
		v.Upper = value
	case "workdir":
		v.Work = value
	case "idmap":
		v.IDMap = &value
	case "subpath", "volume-subpath":
		v.Subpath = value
	default:
		return fmt.Errorf("unknown option %q", o)
	}
	return nil
}

// check refuses options that contradict each other.
func (v *Volume) check(s string) error {
	wrong := func(text string) error { return fmt.Errorf("volume %q: %w", s, errors.New(text)) }
	switch {
	case (v.Upper != "" || v.Work != "") && !v.Overlay:
		return wrong("upperdir= and workdir= belong to the option O")
	case (v.Upper == "") != (v.Work == ""):
		return wrong("upperdir= and workdir= are given together: both on one file system")
	case v.Upper != "" && !(path.IsAbs(v.Upper) && path.IsAbs(v.Work)):
		return wrong("upperdir= and workdir= are absolute paths")
	case v.Subpath != "" && !v.Named():
		return wrong("subpath= is for volumes; of a path of the host, give the longer path")
	case v.Source == "" && v.Subpath != "":
		return wrong("an anonymous volume has no subpath")
	case v.Overlay && v.Chown && v.Upper == "" && slices.Contains(v.Options, "ro"):
		return wrong("U changes owners, and cannot go with ro")
	}
	return nil
}

// withDefaults adds nosuid and nodev, unless the opposite is asked for.
func withDefaults(options []string) []string {
	for _, o := range []string{"nosuid", "nodev"} {
		if !slices.Contains(options, o) && !slices.Contains(options, o[2:]) {
			options = append(options, o)
		}
	}
	return options
}

// dangerous are the directories of a host that option U does not give away, as a whole, to a container's user.
var dangerous = []string{
	"/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/media", "/mnt", "/opt", "/proc", "/root", "/run", "/sbin", "/srv", "/sys", "/tmp",
	"/usr", "/usr/bin", "/usr/lib", "/usr/local", "/usr/sbin", "/usr/share", "/var", "/var/lib", "/var/log", "/var/tmp",
}

// CheckChown refuses to let option U give a directory of the system away.
func CheckChown(source string) error {
	if slices.Contains(dangerous, path.Clean(source)) {
		return fmt.Errorf("option U would give %s of the host, and all that is in it, to the container's user; take a directory below it", source)
	}
	return nil
}

// CheckRelabel refuses to let the options z and Z label a directory of the system for containers, which its own programs could no
// longer use then.
func CheckRelabel(source string) error {
	if clean := path.Clean(source); slices.Contains(dangerous, clean) || strings.HasPrefix(clean, "/proc/") || strings.HasPrefix(clean, "/sys/") {
		return fmt.Errorf("options z and Z would label %s of the host, and all that is in it, for containers; take a directory below it, or --security-opt label=disable", source)
	}
	return nil
}

// ParseIDMapOption reads the value of the option idmap: uids=DISK-HOST-COUNT[#…][;gids=…]. An @ before HOST says that it is
// an ID of the container.
func ParseIDMapOption(s string, container IDMaps) (IDMaps, error) {
	var maps IDMaps
	for _, part := range splitNonEmpty(s, ";") {
		kind, list, _ := strings.Cut(part, "=")
		to, translate := &maps.UIDs, container.UID
		if kind == "gids" {
			to, translate = &maps.GIDs, container.GID
		} else if kind != "uids" {
			return maps, fmt.Errorf("option idmap=%s is not uids=DISK-HOST-COUNT[#…];gids=DISK-HOST-COUNT[#…]", s)
		}
		for _, word := range splitNonEmpty(list, "#") {
			m, _, err := parseMap(strings.ReplaceAll(word, "-", ":"))
			if err == nil && m.Host {
				var ok bool
				if m.Outside, ok = translate(m.Outside); !ok {
					err = errors.New("the container has no such ID")
				}
			}
			if err != nil {
				return maps, fmt.Errorf("option idmap=%s: %w", s, err)
			}
			*to = append(*to, m.IDMap)
		}
	}
	if len(maps.UIDs) == 0 || len(maps.GIDs) == 0 {
		return maps, fmt.Errorf("option idmap=%s needs uids= and gids=", s)
	}
	return maps, errors.Join(CheckMap(maps.UIDs), CheckMap(maps.GIDs))
}
