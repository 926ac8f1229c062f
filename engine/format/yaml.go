package format

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"
)

// YAML writes a JSON text as YAML, with the fields sorted by their names.
func YAML(w io.Writer, data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return err
	}
	var b bytes.Buffer
	writeYAML(&b, v, 0)
	_, err := b.WriteTo(w)
	return err
}

// writeYAML writes what stands behind a name, a dash, or at the beginning.
func writeYAML(b *bytes.Buffer, v any, depth int) {
	indent := strings.Repeat("  ", depth)
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			b.WriteString(" {}\n")
			return
		}
		if depth > 0 {
			b.WriteByte('\n')
		}
		for _, key := range sortedKeys(v) {
			b.WriteString(indent + scalar(key) + ":")
			writeYAML(b, v[key], depth+1)
		}
	case []any:
		if len(v) == 0 {
			b.WriteString(" []\n")
			return
		}
		b.WriteByte('\n')
		for _, item := range v {
			b.WriteString(indent + "-")
			writeYAML(b, item, depth+1)
		}
	case string:
		b.WriteString(" " + scalar(v) + "\n")
	case nil:
		b.WriteString(" null\n")
	default:
		b.WriteString(" " + show(v) + "\n")
	}
}

// scalar writes a text; one that YAML could take for something else stands in quotes, of which JSON's are YAML's too.
func scalar(s string) string {
	_, err := strconv.ParseFloat(s, 64)
	switch strings.ToLower(s) {
	case "", "true", "false", "null", "yes", "no", "on", "off", "~", "y", "n":
		return strconv.Quote(s)
	}
	if err == nil || strings.ContainsAny(s, "\n\t\"'\\#{}[]&*!|>%@`") || strings.Contains(s, ": ") || strings.HasSuffix(s, ":") || strings.Trim(s, " ") != s || s[0] == '-' || s[0] == '?' || s[0] == ',' || s[0] == '=' {
		text, _ := json.Marshal(s)
		return string(text)
	}
	return s
}
