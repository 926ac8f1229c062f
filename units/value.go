package units

import (
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/berth-pods/berth/units/unitfile"
)

// Value is a field of a section. Its type is its grammar: how assignments add up, and how quotes and escapes are read.
type Value interface {
	// Assign takes the next assignment of the key in.
	Assign(e *unitfile.Entry, u *Unit)
	// Grammar names the value's grammar for manual pages and schemas.
	Grammar() Grammar
}

// Grammar describes a type of value.
type Grammar struct {
	Name       string // "string", "list", …
	Repeatable bool   // several assignments add up; an empty one clears
}

// Word is a piece of a value with its place.
type Word struct {
	Text string
	At   unitfile.Pos
}

// String is one value: the last assignment counts, one pair of double quotes around it is removed, there are no escapes.
type String struct {
	Text  string
	At    unitfile.Pos
	Given bool // assigned, if only to nothing
}

// Assign implements Value.
func (v *String) Assign(e *unitfile.Entry, _ *Unit) {
	*v = String{Text: unitfile.Unquote(e.Value), At: e.At, Given: true}
}

// Grammar implements Value.
func (*String) Grammar() Grammar { return Grammar{Name: "string"} }

// Raw is one value as it stands, with its quotes.
type Raw struct{ String }

// Assign implements Value.
func (v *Raw) Assign(e *unitfile.Entry, _ *Unit) {
	v.String = String{Text: e.Value, At: e.At, Given: true}
}

// List has a value for each assignment, as it stands: quotes stay and nothing is split.
type List []Word

// Assign implements Value.
func (v *List) Assign(e *unitfile.Entry, _ *Unit) {
	if e.Value == "" {
		*v = nil
		return
	}
	*v = append(*v, Word{e.Value, e.PosAt(0)})
}

// Grammar implements Value.
func (*List) Grammar() Grammar { return Grammar{Name: "list", Repeatable: true} }

// Words is split at white space; quotes group and are removed, a backslash is an ordinary character.
type Words []Word

// Assign implements Value.
func (v *Words) Assign(e *unitfile.Entry, u *Unit) {
	if e.Value == "" {
		*v = nil
		return
	}
	words, err := unitfile.SplitWords(e.Value)
	if err != nil {
		u.badQuoting(Error, e, err)
		return
	}
	for _, w := range words {
		if w.Text != "" {
			*v = append(*v, Word{w.Text, e.PosAt(w.Off)})
		}
	}
}

// Grammar implements Value.
func (*Words) Grammar() Grammar { return Grammar{Name: "words", Repeatable: true} }

// Args is split like a command line of systemd, escapes included.
type Args []Word

// Assign implements Value.
func (v *Args) Assign(e *unitfile.Entry, u *Unit) {
	if e.Value == "" {
		*v = nil
		return
	}
	if words, ok := u.splitArgs(Error, e); ok {
		*v = appendWords(*v, e, words)
	}
}

// Grammar implements Value.
func (*Args) Grammar() Grammar { return Grammar{Name: "arguments", Repeatable: true} }

func appendWords(to []Word, e *unitfile.Entry, words []unitfile.Word) []Word {
	to = slices.Grow(to, len(words))
	for _, w := range words {
		to = append(to, Word{w.Text, e.PosAt(w.Off)})
	}
	return to
}

// Pairs are words NAME=VALUE or NAME, read like Args. A later one of the same name replaces.
type Pairs []Word

// Assign implements Value.
func (v *Pairs) Assign(e *unitfile.Entry, u *Unit) {
	if e.Value == "" {
		*v = nil
		return
	}
	// Podman drops the assignment and generates the unit; existing files rely on that.
	if words, ok := u.splitArgs(Warning, e); ok {
		*v = appendWords(*v, e, words)
	}
}

// Grammar implements Value.
func (*Pairs) Grammar() Grammar { return Grammar{Name: "pairs", Repeatable: true} }

// Sorted returns the pairs ordered by name, the last of each name only.
func (v Pairs) Sorted() []Word {
	sorted := slices.Clone(v)
	sort.SliceStable(sorted, func(a, b int) bool { return pairName(sorted[a].Text) < pairName(sorted[b].Text) })
	kept := sorted[:0]
	for i, w := range sorted {
		if i+1 < len(sorted) && pairName(sorted[i+1].Text) == pairName(w.Text) {
			continue
		}
		kept = append(kept, w)
	}
	return kept
}

func pairName(text string) string {
	name, _, _ := strings.Cut(text, "=")
	return name
}

// Command is one command line: the last assignment counts, read like Args. Broken is set when it cannot be read; Words is
// empty then.
type Command struct {
	Words  []Word
	At     unitfile.Pos
	Given  bool
	Broken bool
}

// Assign implements Value.
func (v *Command) Assign(e *unitfile.Entry, u *Unit) {
	*v = Command{At: e.At, Given: true}
	// A warning only: the file must go on to work as it does with Podman, which starts it without the command.
	words, ok := u.splitArgs(Warning, e)
	v.Words, v.Broken = appendWords(nil, e, words), !ok
}

// Grammar implements Value.
func (*Command) Grammar() Grammar { return Grammar{Name: "command"} }

// Bool is a switch with three positions: not given, on, off. An empty assignment takes the key back.
type Bool struct {
	On    bool
	Given bool
	At    unitfile.Pos
}

// Assign implements Value.
func (v *Bool) Assign(e *unitfile.Entry, u *Unit) {
	text := unitfile.Unquote(e.Value)
	if text == "" {
		*v = Bool{}
		return
	}
	on, ok := ParseBool(text)
	if !ok {
		u.add(Finding{At: e.At, Severity: Warning, Message: e.Key + "=" + text + " is neither yes nor no and counts as no", Hint: boolHint(text)})
	}
	*v = Bool{On: on, Given: true, At: e.At}
}

// Grammar implements Value.
func (*Bool) Grammar() Grammar { return Grammar{Name: "boolean"} }

// Or is the value, or what holds when the key is not given.
func (v Bool) Or(absent bool) bool {
	if v.Given {
		return v.On
	}
	return absent
}

// ParseBool reads a boolean as systemd does, in any case: 1 yes y true t on, 0 no n false f off.
func ParseBool(text string) (on, ok bool) {
	switch strings.ToLower(text) {
	case "1", "yes", "y", "true", "t", "on":
		return true, true
	case "0", "no", "n", "false", "f", "off":
		return false, true
	}
	return false, false
}

func boolHint(text string) string {
	if strings.Contains(text, "#") {
		return "a # after a value is part of the value"
	}
	return "use yes or no"
}

// Number is an unsigned number in C notation (0x10, 010, 16), at most 32 bits.
type Number struct {
	N     uint32
	Given bool
	At    unitfile.Pos
}

// Assign implements Value.
func (v *Number) Assign(e *unitfile.Entry, u *Unit) {
	text := unitfile.Unquote(e.Value)
	if text == "" {
		*v = Number{}
		return
	}
	n, ok := parseNumber(text)
	if !ok {
		u.add(Finding{At: e.At, Severity: Warning, Message: e.Key + "=" + text + " is not a number from 0 to 4294967295 and counts as 0"})
	}
	*v = Number{N: n, Given: true, At: e.At}
}

func parseNumber(text string) (n uint32, ok bool) {
	wide, err := strconv.ParseUint(strings.TrimPrefix(text, "+"), 0, 32)
	if err != nil {
		return 0, false
	}
	return uint32(wide), true
}

// Grammar implements Value.
func (*Number) Grammar() Grammar { return Grammar{Name: "number"} }

// ID is a user or group number of a volume; root is taken as 0.
type ID struct{ Number }

// Assign implements Value.
func (v *ID) Assign(e *unitfile.Entry, u *Unit) {
	text := unitfile.Unquote(e.Value)
	if text == "" {
		v.Number = Number{}
		return
	}
	n, ok := parseNumber(text)
	if !ok && text != "root" {
		// Podman reads any name as 0: the volume would silently belong to root.
		u.add(Finding{At: e.At, Severity: Error, Message: e.Key + "=" + text + " must be a number",
			Hint: "the owner of a volume is given by number, as id -u and id -g print it"})
	}
	v.Number = Number{N: n, Given: true, At: e.At}
}
