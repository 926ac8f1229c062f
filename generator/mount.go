package generator

import (
	"strings"

	"github.com/berth-pods/berth/units"
)

// mounts writes each Mount= with the type in front and the source resolved.
func (c *conversion) mounts(cmd *command, mounts units.Args) {
	for _, m := range mounts {
		cmd.add("--mount", c.mount(m))
	}
}

func (c *conversion) mount(m units.Word) string {
	fields, ok := splitCSV(m.Text)
	if !ok {
		c.Errorf(m.At, "Mount="+m.Text+" has an unbalanced quote")
		return ""
	}
	kind, fields := mountType(fields)
	switch kind {
	case "volume", "bind", "glob", "image", "artifact":
	default:
		return m.Text
	}
	at, source := -1, ""
	for i, field := range fields {
		key, value, hasValue := strings.Cut(field, "=")
		if key != "source" && key != "src" {
			continue
		}
		if !hasValue {
			c.Errorf(m.At, "source parameter does not include a value in Mount="+m.Text)
			return ""
		}
		at, source = i, value
	}
	if at < 0 && kind != "volume" {
		c.Errorf(m.At, "source parameter is required for mount type "+kind)
		return ""
	}
	if at >= 0 {
		fields[at] = "source=" + c.mountSource(units.Word{Text: source, At: m.At})
	}
	return joinCSV(append([]string{"type=" + kind}, fields...))
}

func (c *conversion) mountSource(source units.Word) string {
	return c.storage(source, units.KindVolume|units.KindArtifact|units.KindImage)
}

// mountType takes the first type= out of the fields; without one it is a volume.
func mountType(fields []string) (kind string, rest []string) {
	found := false
	for _, field := range fields {
		if !found && strings.HasPrefix(field, "type=") && strings.Count(field, "=") == 1 {
			kind, found = field[len("type="):], true
			continue
		}
		rest = append(rest, field)
	}
	if !found {
		kind = "volume"
	}
	return kind, rest
}

// splitCSV reads one record of comma-separated fields; a field in double quotes may have commas and doubled quotes in it.
func splitCSV(record string) (fields []string, ok bool) {
	for {
		if !strings.HasPrefix(record, `"`) {
			field, rest, more := strings.Cut(record, ",")
			if strings.Contains(field, `"`) {
				return nil, false
			}
			fields = append(fields, field)
			if !more {
				return fields, true
			}
			record = rest
			continue
		}
		field, rest, closed := quotedField(record[1:])
		if !closed || rest != "" && rest[0] != ',' {
			return nil, false
		}
		fields = append(fields, field)
		if rest == "" {
			return fields, true
		}
		record = rest[1:]
	}
}

func quotedField(s string) (field, rest string, closed bool) {
	var text strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '"' {
			text.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == '"' {
			text.WriteByte('"')
			i++
			continue
		}
		return text.String(), s[i+1:], true
	}
	return "", "", false
}

// joinCSV quotes fields with commas, quotes, line ends or a blank in front.
func joinCSV(fields []string) string {
	var text strings.Builder
	for i, field := range fields {
		if i > 0 {
			text.WriteByte(',')
		}
		if strings.ContainsAny(field, "\",\r\n") || strings.HasPrefix(field, " ") || strings.HasPrefix(field, "\t") {
			text.WriteString(`"` + strings.ReplaceAll(field, `"`, `""`) + `"`)
			continue
		}
		text.WriteString(field)
	}
	return text.String()
}
