// Package format writes lists in the form that --format asks for: the simple part of Go's templates, without the library,
// which would cost each start of a container.
package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Rows writes one line for each row by the template, such as "{{.Name}}\t{{json .Labels}}". A word "table" before it asks
// for a line of headings and for columns. The rows' fields are named as in their JSON form, or by their own names there.
func Rows[T any](w io.Writer, template string, rows []T) error {
	template = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(template)
	template, table := cutTable(template)
	nodes, rest, err := parse(template)
	if err == nil && rest != "" {
		err = fmt.Errorf("{{%s}} ends nothing", rest)
	}
	if err != nil {
		return fmt.Errorf("format %q: %w", template, err)
	}
	var b bytes.Buffer
	if table {
		b.WriteString(heading(nodes) + "\n")
	}
	for _, r := range rows {
		v, err := plain(r)
		if err != nil {
			return err
		}
		if err := write(&b, nodes, v); err != nil {
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

func cutTable(template string) (string, bool) {
	for _, space := range []string{" ", "\t"} {
		if rest, ok := strings.CutPrefix(template, "table"+space); ok {
			return rest, true
		}
	}
	return template, false
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

// A node is a piece of a template: text, a field, or a field's items.
type node struct {
	text string
	path []string // of a field; empty for the row itself
	kind int
	body []node // of range
}

const (
	text = iota
	field
	asJSON
	each
)

// parse reads a template up to its end or to a word that ends a block, which it returns.
func parse(s string) (list []node, end string, err error) {
	nodes, _, end, err := parseBlock(s)
	return nodes, end, err
}

func parseBlock(s string) (list []node, rest, end string, err error) {
	for {
		before, after, ok := strings.Cut(s, "{{")
		if before != "" {
			list = append(list, node{text: before})
		}
		if !ok {
			return list, "", "", nil
		}
		action, after, ok := strings.Cut(after, "}}")
		if !ok {
			return nil, "", "", errors.New("{{ without }}")
		}
		s = after
		words := strings.Fields(strings.Trim(action, "-"))
		switch {
		case len(words) == 1 && words[0] == "end":
			return list, s, "end", nil
		case len(words) == 1 && strings.HasPrefix(words[0], "."):
			list = append(list, node{kind: field, path: path(words[0])})
		case len(words) == 2 && words[0] == "json" && strings.HasPrefix(words[1], "."):
			list = append(list, node{kind: asJSON, path: path(words[1])})
		case len(words) == 2 && words[0] == "range" && strings.HasPrefix(words[1], "."):
			body, rest, end, err := parseBlock(s)
			if err == nil && end != "end" {
				err = errors.New("{{range}} without {{end}}")
			}
			if err != nil {
				return nil, "", "", err
			}
			list, s = append(list, node{kind: each, path: path(words[1]), body: body}), rest
		default:
			return nil, "", "", fmt.Errorf("{{%s}} is not known; {{.Field}}, {{json .Field}} and {{range .Field}}…{{end}} are", action)
		}
	}
}

func path(word string) []string {
	return strings.FieldsFunc(word, func(r rune) bool { return r == '.' })
}

func heading(nodes []node) string {
	var b strings.Builder
	for _, n := range nodes {
		switch {
		case n.kind == text:
			b.WriteString(n.text)
		case len(n.path) > 0:
			b.WriteString(strings.ToUpper(n.path[len(n.path)-1]))
		}
	}
	return b.String()
}

func write(b *bytes.Buffer, nodes []node, v any) error {
	for _, n := range nodes {
		if n.kind == text {
			b.WriteString(n.text)
			continue
		}
		value, err := find(v, n.path)
		if err != nil {
			return err
		}
		switch n.kind {
		case field:
			b.WriteString(show(value))
		case asJSON:
			data, err := json.Marshal(value)
			if err != nil {
				return err
			}
			b.Write(data)
		case each:
			items, _ := value.([]any)
			for _, item := range items {
				if err := write(b, n.body, item); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// find follows a path; a name may be written with other capitals and without underscores, as Go's fields are.
func find(v any, path []string) (any, error) {
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("there is no field %s", name)
		}
		found := false
		for key := range m {
			if key == name {
				v, found = m[key], true
			}
		}
		for key := range m {
			if !found && strings.EqualFold(strings.ReplaceAll(key, "_", ""), strings.ReplaceAll(name, "_", "")) {
				v, found = m[key], true
			}
		}
		if !found {
			return nil, fmt.Errorf("there is no field %s", name)
		}
	}
	return v, nil
}

// show writes a value as templates do.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []any:
		words := make([]string, len(v))
		for i, item := range v {
			words[i] = show(item)
		}
		return "[" + strings.Join(words, " ") + "]"
	case map[string]any:
		data, _ := json.Marshal(v) // maps are sorted in it
		return string(data)
	}
	return fmt.Sprint(v)
}
