package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// functions are those that templates may call; "and" and "or" are not here, as they do not always look at all operands.
var functions = map[string]func(args []any) (any, error){
	"json": asJSON, "join": join, "len": length, "index": index, "slice": slice, "eq": equal, "printf": formatted, "truncate": truncate, "pad": pad,
	"lower":   texts(1, func(s []string) any { return strings.ToLower(s[0]) }),
	"upper":   texts(1, func(s []string) any { return strings.ToUpper(s[0]) }),
	"title":   texts(1, func(s []string) any { return title(s[0]) }),
	"split":   texts(2, func(s []string) any { return list(strings.Split(s[0], s[1])) }),
	"ne":      comparison(func(c int) bool { return c != 0 }),
	"lt":      comparison(func(c int) bool { return c < 0 }),
	"le":      comparison(func(c int) bool { return c <= 0 }),
	"gt":      comparison(func(c int) bool { return c > 0 }),
	"ge":      comparison(func(c int) bool { return c >= 0 }),
	"print":   func(args []any) (any, error) { return words(args), nil },
	"println": func(args []any) (any, error) { return words(args) + "\n", nil },
	"not": func(args []any) (any, error) {
		v, err := one(args)
		return !truth(v), err
	},
}

func functionNames() []string {
	names := []string{"and", "or"}
	for name := range functions {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// number reads a constant.
func number(word string) (json.Number, error) {
	if _, err := strconv.ParseFloat(word, 64); err != nil {
		return "", fmt.Errorf("%q is not a number", word)
	}
	return json.Number(word), nil
}

func asJSON(args []any) (any, error) {
	v, err := one(args)
	if err != nil {
		return nil, err
	}
	text, err := encode(v)
	return string(text), err
}

// encode leaves <, > and & as they are.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

func one(args []any) (any, error) {
	if len(args) != 1 {
		return nil, fmt.Errorf("takes one argument, not %d", len(args))
	}
	return args[0], nil
}

// texts is a function of strings.
func texts(count int, f func(s []string) any) func([]any) (any, error) {
	return func(args []any) (any, error) {
		if len(args) != count {
			return nil, fmt.Errorf("takes %d arguments, not %d", count, len(args))
		}
		s := make([]string, count)
		for i, a := range args {
			s[i] = show(a)
		}
		return f(s), nil
	}
}

func list(words []string) any {
	out := make([]any, len(words))
	for i, w := range words {
		out[i] = w
	}
	return out
}

func join(args []any) (any, error) {
	if len(args) != 2 {
		return nil, errors.New("takes a list and a separator")
	}
	items, _ := args[0].([]any)
	words := make([]string, len(items))
	for i, item := range items {
		words[i] = show(item)
	}
	return strings.Join(words, show(args[1])), nil
}

func length(args []any) (any, error) {
	v, err := one(args)
	n := 0
	switch v := v.(type) {
	case string:
		n = len(v)
	case []any:
		n = len(v)
	case map[string]any:
		n = len(v)
	case nil:
	default:
		err = fmt.Errorf("%q has no length", show(v))
	}
	return json.Number(strconv.Itoa(n)), err
}

// index looks into lists and maps; what a map does not have is empty.
func index(args []any) (any, error) {
	if len(args) == 0 {
		return nil, errors.New("takes a list or a map, and where to look")
	}
	v := args[0]
	for _, at := range args[1:] {
		switch in := v.(type) {
		case map[string]any:
			v = in[show(at)]
		case []any:
			i, err := strconv.Atoi(show(at))
			if err != nil || i < 0 || i >= len(in) {
				return nil, fmt.Errorf("%s is not within a list of %d", show(at), len(in))
			}
			v = in[i]
		case nil:
			return nil, nil
		default:
			return nil, fmt.Errorf("%q is neither a list nor a map", show(v))
		}
	}
	return v, nil
}

// slice is a part of a string or a list.
func slice(args []any) (any, error) {
	if len(args) == 0 || len(args) > 3 {
		return nil, errors.New("takes a string or a list, and where to begin and to end")
	}
	s, isText := args[0].(string)
	items, _ := args[0].([]any)
	size := len(items)
	if isText {
		size = len(s)
	}
	bounds := [2]int{0, size}
	for i, a := range args[1:] {
		n, err := strconv.Atoi(show(a))
		if err != nil || n < 0 || n > size {
			return nil, fmt.Errorf("%s is not within 0 to %d", show(a), size)
		}
		bounds[i] = n
	}
	if bounds[0] > bounds[1] {
		return nil, fmt.Errorf("%d is behind %d", bounds[0], bounds[1])
	}
	if isText {
		return s[bounds[0]:bounds[1]], nil
	}
	return items[bounds[0]:bounds[1]], nil
}

// compare puts two values in order: numbers by size, all else as text.
func compare(a, b any) int {
	x, err1 := strconv.ParseFloat(show(a), 64)
	y, err2 := strconv.ParseFloat(show(b), 64)
	switch {
	case err1 != nil || err2 != nil:
		return strings.Compare(show(a), show(b))
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func comparison(holds func(int) bool) func([]any) (any, error) {
	return func(args []any) (any, error) {
		if len(args) != 2 {
			return nil, fmt.Errorf("compares two values, not %d", len(args))
		}
		return holds(compare(args[0], args[1])), nil
	}
}

// equal compares the first with any of the others.
func equal(args []any) (any, error) {
	if len(args) < 2 {
		return nil, errors.New("compares two values or more")
	}
	for _, b := range args[1:] {
		if compare(args[0], b) == 0 {
			return true, nil
		}
	}
	return false, nil
}

func formatted(args []any) (any, error) {
	if len(args) == 0 {
		return nil, errors.New("takes a format")
	}
	values := make([]any, 0, len(args))
	for _, a := range args[1:] {
		if n, ok := a.(json.Number); ok {
			if i, err := n.Int64(); err == nil {
				values = append(values, i)
				continue
			}
			f, _ := n.Float64()
			values = append(values, f)
			continue
		}
		if b, ok := a.(bool); ok {
			values = append(values, b)
			continue
		}
		values = append(values, show(a))
	}
	return fmt.Sprintf(show(args[0]), values...), nil
}

func words(args []any) string {
	list := make([]string, len(args))
	for i, a := range args {
		list[i] = show(a)
	}
	return strings.Join(list, " ")
}

func truncate(args []any) (any, error) {
	if len(args) != 2 {
		return nil, errors.New("takes a string and a length")
	}
	n, err := strconv.Atoi(show(args[1]))
	if err != nil || n < 0 {
		return nil, fmt.Errorf("%q is not a length", show(args[1]))
	}
	s := show(args[0])
	return s[:min(n, len(s))], nil
}

// pad puts spaces before and behind a string that is not empty.
func pad(args []any) (any, error) {
	if len(args) != 3 {
		return nil, errors.New("takes a string and two numbers of spaces")
	}
	s := show(args[0])
	before, err1 := strconv.Atoi(show(args[1]))
	after, err2 := strconv.Atoi(show(args[2]))
	if err1 != nil || err2 != nil || before < 0 || after < 0 || before > 1000 || after > 1000 {
		return nil, errors.New("takes a string and two numbers of spaces")
	}
	if s == "" {
		return s, nil
	}
	return strings.Repeat(" ", before) + s + strings.Repeat(" ", after), nil
}

func title(s string) string {
	var b strings.Builder
	for _, w := range strings.SplitAfter(s, " ") {
		if w != "" {
			b.WriteString(strings.ToUpper(w[:1]) + w[1:])
		}
	}
	return b.String()
}
