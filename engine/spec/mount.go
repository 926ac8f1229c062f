package spec

import (
	"fmt"
	"strings"
)

// ParseMount reads a --mount word, KEY=VALUE,… as one record of CSV, and writes it as the --volume or --tmpfs word that
// means the same: one of the two is empty.
func ParseMount(s string) (volume, tmpfs string, err error) {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("mount %q: "+format, append([]any{s}, args...)...)
	}
	fields, err := mountFields(s)
	if err != nil {
		return "", "", wrong("%w", err)
	}
	m := mountWords{kind: "volume"}
	for _, field := range fields {
		if err := m.add(field); err != nil {
			return "", "", wrong("%w", err)
		}
	}
	switch {
	case m.target == "":
		return "", "", wrong("it has no target=")
	case strings.Contains(m.source+m.target, ":"):
		return "", "", wrong("a path with a colon cannot be mounted")
	}
	switch m.kind {
	case "tmpfs":
		return "", m.word(m.target, m.tmpfs), nil
	case "bind":
		if m.source == "" {
			return "", "", wrong("it has no source=")
		}
		if !strings.HasPrefix(m.source, "/") && !strings.HasPrefix(m.source, ".") {
			m.source = "./" + m.source // or it would be the name of a volume
		}
	case "volume":
		if strings.HasPrefix(m.source, "/") {
			return "", "", wrong("source= of a volume is its name; type=bind shows a path of the host")
		}
	default:
		return "", "", wrong("type=%s is not supported; bind, volume, tmpfs, ramfs, devpts, glob and image are", m.kind)
	}
	if m.source == "" {
		return m.target, "", nil
	}
	return m.word(m.source+":"+m.target, m.options), "", nil
}

// mountWords are the parts of a --mount.
type mountWords struct {
	kind, source, target string
	options, tmpfs       []string // as --volume and as --tmpfs take them
}

func (m *mountWords) word(head string, options []string) string {
	if len(options) == 0 {
		return head
	}
	return head + ":" + strings.Join(options, ",")
}

func (m *mountWords) add(field string) error {
	key, value, hasValue := strings.Cut(field, "=")
	on := !hasValue || isTrue(value)
	both := func(option string) {
		m.options, m.tmpfs = append(m.options, option), append(m.tmpfs, option)
	}
	switch key {
	case "type":
		m.kind = value
	case "src", "source":
		m.source = value
	case "dst", "dest", "destination", "target":
		m.target = value
	case "ro", "readonly":
		if on {
			both("ro")
		} else {
			both("rw")
		}
	case "rw":
		both("rw")
	case "nosuid", "suid", "nodev", "dev", "noexec", "exec":
		both(key)
	case "U", "chown":
		if on {
			m.options = append(m.options, "U")
		}
	case "z", "Z", "nocopy", "copy":
		m.options = append(m.options, key)
	case "relabel":
		m.options = append(m.options, map[string]string{"shared": "z", "private": "Z"}[value])
	case "bind-propagation":
		m.options = append(m.options, value)
	case "bind-nonrecursive":
		if on {
			m.options = append(m.options, "bind")
		}
	case "tmpfs-size":
		m.tmpfs = append(m.tmpfs, "size="+value)
	case "tmpfs-mode":
		m.tmpfs = append(m.tmpfs, "mode="+value)
	case "noatime", "noswap", "tmpcopyup", "notmpcopyup":
		m.tmpfs = append(m.tmpfs, key)
	case "idmap":
		m.options = append(m.options, field)
	case "subpath", "volume-subpath":
		m.options = append(m.options, "subpath="+value)
	case "volume-driver", "volume-label", "volume-opt":
		return fmt.Errorf("%s= is of a new volume; `berth volume create` makes one", key)
	case "consistency", "no-dereference": // no effect here
	default:
		return fmt.Errorf("unknown key %q", key)
	}
	return nil
}

// mountFields divides a record of CSV (RFC 4180), of which the library for it has ten times as much to say.
func mountFields(s string) (fields []string, err error) {
	for {
		if !strings.HasPrefix(s, `"`) {
			field, rest, more := strings.Cut(s, ",")
			if strings.Contains(field, `"`) {
				return nil, fmt.Errorf("a quotation mark stands within %s, not around it", field)
			}
			if fields = append(fields, field); !more {
				return fields, nil
			}
			s = rest
			continue
		}
		var field strings.Builder
		for s = s[1:]; ; {
			before, rest, ended := strings.Cut(s, `"`)
			field.WriteString(before)
			if s = rest; !ended {
				return nil, fmt.Errorf("a quotation mark is not closed")
			}
			if !strings.HasPrefix(s, `"`) {
				break
			}
			field.WriteByte('"') // two are one
			s = s[1:]
		}
		if fields = append(fields, field.String()); s == "" {
			return fields, nil
		}
		if s[0] != ',' {
			return nil, fmt.Errorf("after a quotation mark, %q begins without a comma", s)
		}
		s = s[1:]
	}
}
