package format

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A node is a piece of a template: text, something to print, or a block.
type node struct {
	kind        int
	text        string
	names       []string // variables that get the value: of :=, and of range
	pipe        pipe
	body, other []node // of a block, and of its {{else}}
}

const (
	text = iota
	printed
	set
	ifBlock
	rangeBlock
	withBlock
)

var blocks = map[string]int{"if": ifBlock, "range": rangeBlock, "with": withBlock}

// A pipe is commands with | between them: what one yields is the last argument of the next.
type pipe []command

// A command is a value, or a function and its arguments.
type command []operand

// An operand is a field of a value, which is the dot, a variable, a constant or what a pipe in ( ) yields.
type operand struct {
	kind  int
	name  string // of the variable or the function
	value any
	group pipe
	path  []string
}

const (
	dot = iota
	variableOperand
	constant
	function
	group
)

// field is the name that a column of the pipe has.
func (p pipe) field() string {
	for _, c := range p {
		for i := len(c) - 1; i >= 0; i-- {
			if len(c[i].path) > 0 {
				return c[i].path[len(c[i].path)-1]
			}
		}
	}
	return ""
}

// parse reads a template.
func parse(s string) ([]node, error) {
	p := parser{rest: s}
	nodes, end, err := p.block()
	if err == nil && end != "" {
		err = fmt.Errorf("{{%s}} ends nothing", end)
	}
	return nodes, err
}

type parser struct {
	rest string
	trim bool // white space before what comes next is left out
}

// block reads up to the end of the template, or to an {{end}} or {{else}}, which it returns.
func (p *parser) block() (list []node, end string, err error) {
	for {
		before, action, ok, err := p.next()
		if err != nil {
			return nil, "", err
		}
		if before != "" {
			list = append(list, node{text: before})
		}
		if !ok {
			return list, "", nil
		}
		tokens, err := tokenize(action)
		if err != nil {
			return nil, "", err
		}
		if len(tokens) == 0 {
			continue // a comment
		}
		if tokens[0] == "end" && len(tokens) == 1 || tokens[0] == "else" {
			return list, strings.TrimSpace(action), nil
		}
		n, err := p.action(tokens)
		if err != nil {
			return nil, "", err
		}
		list = append(list, n)
	}
}

// next cuts off the text before the next action, and the action.
func (p *parser) next() (before, action string, ok bool, err error) {
	before, after, ok := strings.Cut(p.rest, "{{")
	if p.trim {
		before = strings.TrimLeftFunc(before, unicode.IsSpace)
	}
	p.trim = false
	if !ok {
		p.rest = ""
		return before, "", false, nil
	}
	if strings.HasPrefix(after, "- ") {
		before, after = strings.TrimRightFunc(before, unicode.IsSpace), after[2:]
	}
	end := actionEnd(after)
	if end < 0 {
		return "", "", false, errors.New("{{ without }}")
	}
	action, p.rest = after[:end], after[end+2:]
	if strings.HasSuffix(action, " -") {
		action, p.trim = action[:len(action)-2], true
	}
	if c := strings.TrimSpace(action); strings.HasPrefix(c, "/*") && strings.HasSuffix(c, "*/") {
		action = ""
	}
	return before, action, true, nil
}

// actionEnd finds the }} that is not within a string.
func actionEnd(s string) int {
	var quote byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0 && c == '\\' && quote == '"':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '`'):
			quote = c
		case quote == 0 && strings.HasPrefix(s[i:], "}}"):
			return i
		}
	}
	return -1
}

// tokenize cuts an action into words, constants and signs.
func tokenize(s string) ([]string, error) {
	var list []string
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimLeft(s, " \t\n") {
		n := 1
		switch c := s[0]; {
		case c == '"' || c == '`':
			if n = 1 + strings.IndexByte(s[1:], c) + 1; c == '"' {
				quoted, err := strconv.QuotedPrefix(s)
				if err != nil {
					return nil, fmt.Errorf("{{%s}}: a string without an end", s)
				}
				n = len(quoted)
			} else if n == 1 {
				return nil, fmt.Errorf("{{%s}}: a string without an end", s)
			}
		case strings.HasPrefix(s, ":="):
			n = 2
		case strings.IndexByte("()|,=", c) >= 0:
		default:
			n = strings.IndexAny(s, " \t\n()|,:=\"`")
			if n < 0 {
				n = len(s)
			}
			n = max(n, 1)
		}
		list, s = append(list, s[:n]), s[n:]
	}
	return list, nil
}

// action reads what stands between {{ and }}, and for a block all up to its {{end}}.
func (p *parser) action(tokens []string) (node, error) {
	kind, isBlock := blocks[tokens[0]]
	if !isBlock {
		n := node{kind: printed}
		if len(tokens) > 2 && strings.HasPrefix(tokens[0], "$") && (tokens[1] == ":=" || tokens[1] == "=") {
			n.kind, n.names, tokens = set, []string{tokens[0][1:]}, tokens[2:]
		}
		var err error
		n.pipe, err = parsePipe(tokens)
		return n, err
	}
	n := node{kind: kind}
	tokens = tokens[1:]
	if at := slices.Index(tokens, ":="); at > 0 {
		for _, t := range tokens[:at] {
			if t != "," {
				n.names = append(n.names, strings.TrimPrefix(t, "$"))
			}
		}
		tokens = tokens[at+1:]
	}
	var err error
	if n.pipe, err = parsePipe(tokens); err != nil {
		return n, err
	}
	return n, p.blockBody(&n)
}

func (p *parser) blockBody(n *node) error {
	word := [...]string{ifBlock: "if", rangeBlock: "range", withBlock: "with"}[n.kind]
	var end string
	var err error
	if n.body, end, err = p.block(); err != nil {
		return err
	}
	if rest, ok := strings.CutPrefix(end, "else"); ok && strings.TrimSpace(rest) != "" { // {{else if …}} shares its {{end}}
		tokens, err := tokenize(rest)
		if err != nil {
			return err
		}
		inner, err := p.action(tokens)
		n.other = []node{inner}
		return err
	}
	if end == "else" {
		if n.other, end, err = p.block(); err != nil {
			return err
		}
	}
	if end != "end" {
		return fmt.Errorf("{{%s}} without {{end}}", word)
	}
	return nil
}

func parsePipe(tokens []string) (pipe, error) {
	p, rest, err := pipeUpTo(tokens)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%q is too much", rest[0])
	}
	return p, err
}

// pipeUpTo reads a pipe up to a ), which it leaves.
func pipeUpTo(tokens []string) (p pipe, rest []string, err error) {
	var c command
	for len(tokens) > 0 && tokens[0] != ")" {
		if tokens[0] == "|" {
			if len(c) == 0 {
				return nil, nil, errors.New("nothing stands before |")
			}
			p, c, tokens = append(p, c), nil, tokens[1:]
			continue
		}
		var o operand
		if o, tokens, err = parseOperand(tokens); err != nil {
			return nil, nil, err
		}
		c = append(c, o)
	}
	if len(c) == 0 {
		return nil, nil, errors.New("a value is missing")
	}
	return append(p, c), tokens, nil
}

func parseOperand(tokens []string) (o operand, rest []string, err error) {
	word := tokens[0]
	rest = tokens[1:]
	switch {
	case word == "(":
		o.kind = group
		if o.group, rest, err = pipeUpTo(rest); err != nil {
			return o, nil, err
		}
		if len(rest) == 0 {
			return o, nil, errors.New("( without )")
		}
		rest = rest[1:]
		if len(rest) > 0 && strings.HasPrefix(rest[0], ".") && len(rest[0]) > 1 {
			o.path, rest = path(rest[0]), rest[1:]
		}
	case word[0] == '.':
		o.path = path(word)
	case word[0] == '$':
		name, fields, _ := strings.Cut(word[1:], ".")
		o.kind, o.name, o.path = variableOperand, name, path(fields)
	case word[0] == '"' || word[0] == '`':
		o.kind = constant
		o.value, err = strconv.Unquote(word)
	case word == "true" || word == "false":
		o.kind, o.value = constant, word == "true"
	case word == "nil":
		o.kind = constant
	case word[0] >= '0' && word[0] <= '9' || word[0] == '-' && len(word) > 1:
		o.kind = constant
		o.value, err = number(word)
	case functions[word] != nil || word == "and" || word == "or":
		o.kind, o.name = function, word
	default:
		err = fmt.Errorf("{{%s}} is not known; known are {{.Field}}, if, range, with, and the functions %s", word, strings.Join(functionNames(), ", "))
	}
	return o, rest, err
}

func path(word string) []string {
	return strings.FieldsFunc(word, func(r rune) bool { return r == '.' })
}
