// Package format writes lists in the form that --format asks for: the part of Go's templates that people use on a command
// line, without the library, which would cost each start of a container. Values are looked at in their JSON form.
package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"
	"text/tabwriter"
	"unicode"
)

// Named is a row that has other fields for templates than in its JSON form: Podman's {{.ID}} of a container is short, for
// one. A field that it does not have is looked for in the JSON form. Fields may be Named, too, and lists of such.
type Named interface{ Fields() map[string]any }

// Rows writes one line for each row by the template, such as "{{.Name}}\t{{json .Labels}}". A word "table" before it asks
// for a line of headings and for columns. The rows' fields are named as in their JSON form, or by their own names there.
func Rows[T any](w io.Writer, template string, rows []T) error {
	return RowsUnder(w, template, nil, rows)
}

// RowsUnder is Rows with the headings that some fields have, by their names. A table under the empty heading of "" has no
// line of headings.
func RowsUnder[T any](w io.Writer, template string, headings map[string]string, rows []T) error {
	return write(w, template, headings, anyRows{len(rows), func(i int) any { return rows[i] }})
}

// anyRows are rows of any type: what works on one is in the program once, and not for each type again.
type anyRows struct {
	length int
	at     func(int) any
}

func write(w io.Writer, template string, headings map[string]string, rows anyRows) error {
	template = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(template)
	template, table := cutTable(template)
	nodes, err := parse(template)
	if err != nil {
		return fmt.Errorf("format %q: %w", template, err)
	}
	var b bytes.Buffer
	if _, bare := headings[""]; table && !bare {
		b.WriteString(heading(nodes, headings) + "\n")
	}
	for i := range rows.length {
		v, err := rowOf(rows.at(i))
		if err != nil {
			return err
		}
		s := scope{out: &b, dot: v, vars: []variable{{"", v}}}
		if err := s.run(nodes); err != nil {
			return fmt.Errorf("format %q: %w", template, err)
		}
		b.WriteString("\n")
	}
	if !table {
		_, err = b.WriteTo(w)
		return err
	}
	columns := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if _, err := b.WriteTo(columns); err != nil {
		return err
	}
	return columns.Flush()
}

// cutTable finds out whether columns are wanted. Fields with one space between them are columns, too.
func cutTable(template string) (string, bool) {
	for _, space := range []string{" ", "\t"} {
		if rest, ok := strings.CutPrefix(template, "table"+space); ok {
			return strings.ReplaceAll(rest, "}} {{", "}}\t{{"), true
		}
	}
	return template, false
}

// row is a value with other fields than in its JSON form.
type row struct {
	fields map[string]any
	plain  any
}

// MarshalJSON is the JSON form alone.
func (r row) MarshalJSON() ([]byte, error) { return encode(r.plain) }

func rowOf(v any) (any, error) {
	if list, ok := v.([]any); ok {
		rows := make([]any, len(list))
		for i, item := range list {
			var err error
			if rows[i], err = rowOf(item); err != nil {
				return nil, err
			}
		}
		return rows, nil
	}
	out, err := plain(v)
	named, ok := v.(Named)
	if !ok || err != nil {
		return out, err
	}
	fields := map[string]any{}
	if own, ok := out.(map[string]any); ok {
		maps.Copy(fields, own)
	}
	for name, f := range named.Fields() {
		if fields[name], err = rowOf(f); err != nil {
			return nil, err
		}
	}
	return row{fields, out}, nil
}

// plain turns a value into maps, lists, strings and numbers.
func plain(v any) (any, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var out any
	return out, d.Decode(&out)
}

// heading is the line above the columns: the names of the fields, by words and in capitals.
func heading(nodes []node, headings map[string]string) string {
	var b strings.Builder
	for _, n := range nodes {
		if n.kind == text {
			b.WriteString(n.text)
			continue
		}
		name := n.pipe.field()
		if known, ok := headings[name]; ok {
			b.WriteString(known)
			continue
		}
		var before rune
		for _, r := range name {
			if unicode.IsUpper(r) && unicode.IsLower(before) {
				b.WriteByte(' ')
			}
			b.WriteRune(unicode.ToUpper(r))
			before = r
		}
	}
	return b.String()
}

// show writes a value as templates do.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case *absent:
		return "<no value>"
	case string:
		return v
	case row:
		return show(v.plain)
	case []any:
		words := make([]string, len(v))
		for i, item := range v {
			words[i] = show(item)
		}
		return "[" + strings.Join(words, " ") + "]"
	case map[string]any:
		words := make([]string, 0, len(v))
		for _, key := range sortedKeys(v) {
			words = append(words, key+":"+show(v[key]))
		}
		return "map[" + strings.Join(words, " ") + "]"
	}
	return fmt.Sprint(v)
}
