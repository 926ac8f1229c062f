package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// scope is where a template is worked out: what the dot and the variables are.
type scope struct {
	out  *bytes.Buffer
	dot  any
	vars []variable
}

type variable struct {
	name  string
	value any
}

// errNoField is no error in a condition: a field that is left out because it is empty is false.
var errNoField = errors.New("there is no field")

func (s *scope) run(nodes []node) error {
	depth := len(s.vars)
	defer func() { s.vars = s.vars[:depth] }()
	for _, n := range nodes {
		if n.kind == text {
			s.out.WriteString(n.text)
			continue
		}
		v, err := s.pipe(n.pipe)
		if err != nil && !(n.kind != printed && n.kind != set && errors.Is(err, errNoField)) {
			return err
		}
		switch n.kind {
		case printed:
			s.out.WriteString(show(v))
		case set:
			s.assign(n.names[0], v)
		default:
			if err := s.block(n, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// assign gives the variable a value, or makes it.
func (s *scope) assign(name string, v any) {
	for i := len(s.vars) - 1; i >= 0; i-- {
		if s.vars[i].name == name {
			s.vars[i].value = v
			return
		}
	}
	s.vars = append(s.vars, variable{name, v})
}

func (s *scope) block(n node, v any) error {
	inner := scope{out: s.out, dot: s.dot, vars: slices.Clone(s.vars)}
	if n.kind == rangeBlock {
		return inner.each(n, v)
	}
	if len(n.names) > 0 {
		inner.vars = append(inner.vars, variable{n.names[0], v})
	}
	if !truth(v) {
		return inner.run(n.other)
	}
	if n.kind == withBlock {
		inner.dot = v
	}
	err := inner.run(n.body)
	for i := range s.vars { // what the block has assigned counts after it
		s.vars[i].value = inner.vars[i].value
	}
	return err
}

// each runs the body of a range for the items of a list, or of a map in the order of its keys.
func (s *scope) each(n node, v any) error {
	var keys, values []any
	switch v := v.(type) {
	case []any:
		for i, item := range v {
			keys, values = append(keys, json.Number(strconv.Itoa(i))), append(values, item)
		}
	case map[string]any:
		for _, key := range sortedKeys(v) {
			keys, values = append(keys, key), append(values, v[key])
		}
	case nil:
	default:
		return fmt.Errorf("range over %q, which is no list", show(v))
	}
	if len(values) == 0 {
		return s.run(n.other)
	}
	depth := len(s.vars)
	for i, value := range values {
		s.dot, s.vars = value, s.vars[:depth]
		switch len(n.names) {
		case 1:
			s.vars = append(s.vars, variable{n.names[0], value})
		case 2:
			s.vars = append(s.vars, variable{n.names[0], keys[i]}, variable{n.names[1], value})
		}
		if err := s.run(n.body); err != nil {
			return err
		}
	}
	return nil
}

func (s *scope) pipe(p pipe) (v any, err error) {
	for i, c := range p {
		var last []any
		if i > 0 {
			last = []any{v}
		}
		if v, err = s.command(c, last); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (s *scope) command(c command, last []any) (any, error) {
	first := c[0]
	if first.kind == function && (first.name == "and" || first.name == "or") {
		return s.logic(first.name, c[1:], last)
	}
	if first.kind != function && len(c)+len(last) == 1 {
		return s.operand(first)
	}
	var args []any
	for _, o := range c[1:] {
		v, err := s.operand(o)
		if err != nil {
			return nil, err
		}
		args = append(args, v)
	}
	args = append(args, last...)
	if first.kind == function {
		v, err := functions[first.name](args)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", first.name, err)
		}
		return v, nil
	}
	if n := len(first.path); n > 0 && strings.EqualFold(first.path[n-1], "Label") && len(args) == 1 { // {{.Label "name"}}
		first.path = append(slices.Clone(first.path[:n-1]), "Labels")
		labels, err := s.operand(first)
		if err != nil {
			return nil, err
		}
		return functions["index"]([]any{labels, args[0]})
	}
	if n := len(first.path); n > 1 && first.path[n-1] == "Format" && len(args) == 1 { // {{.Created.Format "2006"}}
		first.path = first.path[:n-1]
		v, err := s.operand(first)
		if err != nil {
			return nil, err
		}
		t, err := timeOf(show(v))
		if err != nil {
			return nil, err
		}
		return t.Format(show(args[0])), nil
	}
	return nil, errors.New("a value that is no function has arguments")
}

// logic works and and or out; what stands behind the operand that decides is not looked at.
func (s *scope) logic(name string, operands []operand, last []any) (v any, err error) {
	for _, o := range operands {
		if v, err = s.operand(o); err != nil && !errors.Is(err, errNoField) {
			return nil, err
		}
		if truth(v) == (name == "or") {
			return v, nil
		}
	}
	if len(last) > 0 {
		v = last[0]
	}
	return v, nil
}

func (s *scope) operand(o operand) (any, error) {
	switch o.kind {
	case constant:
		return o.value, nil
	case function:
		return functions[o.name](nil)
	case dot:
		return find(s.dot, o.path)
	case group:
		v, err := s.pipe(o.group)
		if err != nil {
			return nil, err
		}
		return find(v, o.path)
	}
	for i := len(s.vars) - 1; i >= 0; i-- {
		if s.vars[i].name == o.name {
			return find(s.vars[i].value, o.path)
		}
	}
	return nil, fmt.Errorf("there is no variable $%s", o.name)
}

// find follows a path; a name may be written with other capitals and without underscores, as Go's fields are.
func find(v any, path []string) (any, error) {
	for i, name := range path {
		if r, ok := v.(row); ok {
			v = r.fields
		}
		if text, ok := v.(string); ok && name == "Unix" {
			t, err := timeOf(text)
			if err != nil {
				return nil, err
			}
			v = json.Number(strconv.FormatInt(t.Unix(), 10))
			continue
		}
		m, _ := v.(map[string]any)
		value, found := m[name]
		if !found {
			value, found = alike(m, name)
		}
		switch {
		case found:
			v = value
		case i > 0 && (path[i-1] == "Labels" || path[i-1] == "Annotations"): // whose names are the users' own
			v = (*absent)(nil)
		default:
			return nil, fmt.Errorf("%w %s", errNoField, name)
		}
	}
	return v, nil
}

// timeOf reads a time in its JSON form.
func timeOf(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		err = fmt.Errorf("%q is no time", text)
	}
	return t, err
}

// absent is what a map does not have, which is no error.
type absent struct{}

// otherNames are fields of Podman's that have another name in their JSON form.
var otherNames = map[string]string{"Healthcheck": "Health", "CgroupsVersion": "cgroupVersion", "DefaultCapabilities": "capabilities"}

// alike finds a field whose name is written in another way.
func alike(m map[string]any, name string) (any, bool) {
	if v, ok := m[otherNames[name]]; ok {
		return v, true
	}
	for _, key := range sortedKeys(m) {
		if strings.EqualFold(strings.ReplaceAll(key, "_", ""), strings.ReplaceAll(name, "_", "")) {
			return m[key], true
		}
	}
	return nil, false
}

// truth: the empty values are false.
func truth(v any) bool {
	switch v := v.(type) {
	case nil, *absent:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	case json.Number:
		f, err := v.Float64()
		return err != nil || f != 0
	}
	return true
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
