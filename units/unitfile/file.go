// Package unitfile reads and writes the syntax that systemd unit files share: sections, assignments, comments and
// continued lines, with the place of every token kept.
//
// It knows nothing of any key. What a value means (one string, a list of words, a command) is the reader's choice; the
// functions Unquote, SplitWords and SplitArgs read the three quoting styles, and QuoteWord writes the one that systemd
// reads back.
package unitfile

import (
	"bytes"
	"slices"
	"strconv"
)

// Pos is a place in a file. Line and Col count from 1, Col in bytes; a Line of 0 means the file as a whole.
type Pos struct {
	Path string
	Line int32
	Col  int32
}

// String is "path:line", or the path alone for the file as a whole.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.Path
	}
	return p.Path + ":" + strconv.Itoa(int(p.Line))
}

// File is a unit file, or one with its drop-ins merged.
type File struct {
	Path     string
	Sections []*Section

	// Tail holds the comment and blank lines after the last assignment.
	Tail []string

	index map[string]*Section // made when there are many sections
}

// Section is a group of assignments. A name that occurs twice in a file is one section with the lines in order.
type Section struct {
	Name     string
	At       Pos
	Comments []string // lines before the section header
	Entries  []Entry
}

// Entry is one assignment, continued lines already joined.
type Entry struct {
	Key      string
	Value    string
	At       Pos      // of the key
	Comments []string // comment and blank lines before it

	col   int32   // of the value's first byte
	joins []joint // where the value goes on in a later line
}

// joint says that the value's byte at off stands in the given line and column.
type joint struct {
	off, line, col int32
}

// PosAt is the place of the value's byte at off.
func (e *Entry) PosAt(off int) Pos {
	pos := Pos{Path: e.At.Path, Line: e.At.Line, Col: e.col + int32(off)}
	for _, j := range e.joins {
		if int(j.off) > off {
			break
		}
		pos.Line, pos.Col = j.line, j.col+int32(off)-j.off
	}
	return pos
}

// indexAbove is the number of sections from which a map pays; files of usual size have three to six.
const indexAbove = 16

// Section returns the section of that name, or nil.
func (f *File) Section(name string) *Section {
	if f.index != nil {
		return f.index[name]
	}
	for _, s := range f.Sections {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// AddSection returns the section of that name; a new one is put at the end.
func (f *File) AddSection(name string) *Section {
	if s := f.Section(name); s != nil {
		return s
	}
	s := &Section{Name: name, At: Pos{Path: f.Path}}
	f.Sections = append(f.Sections, s)
	f.remember(s)
	return s
}

func (f *File) remember(s *Section) {
	if f.index == nil && len(f.Sections) > indexAbove {
		f.index = make(map[string]*Section, 2*len(f.Sections))
		for _, old := range f.Sections {
			f.index[old.Name] = old
		}
	}
	if f.index != nil {
		f.index[s.Name] = s
	}
}

// Rename gives a section a new name. When there is one of that name already, the lines go to its end.
func (f *File) Rename(from, to string) {
	s := f.Section(from)
	if s == nil {
		return
	}
	if other := f.Section(to); other != nil && other != s {
		other.Entries = append(other.Entries, s.Entries...)
		f.drop(s)
		return
	}
	s.Name = to
	if f.index != nil {
		delete(f.index, from)
		f.index[to] = s
	}
}

func (f *File) drop(s *Section) {
	for i, other := range f.Sections {
		if other == s {
			f.Sections = append(f.Sections[:i], f.Sections[i+1:]...)
			break
		}
	}
	delete(f.index, s.Name)
}

// Last returns the last assignment of a key, or nil.
func (s *Section) Last(key string) *Entry {
	if s == nil {
		return nil
	}
	for i := len(s.Entries) - 1; i >= 0; i-- {
		if s.Entries[i].Key == key {
			return &s.Entries[i]
		}
	}
	return nil
}

// Value is the last assignment of a key, trimmed and without a pair of double quotes around it; "" when there is none.
func (s *Section) Value(key string) string {
	if e := s.Last(key); e != nil {
		return Unquote(e.Value)
	}
	return ""
}

// Has tells whether the key is assigned at all.
func (s *Section) Has(key string) bool { return s.Last(key) != nil }

// Words returns the words of all assignments of a key since the last empty one. Assignments with an open quote are left
// out.
func (s *Section) Words(key string) []string {
	if s == nil {
		return nil
	}
	var words []string
	for i := range s.Entries {
		e := &s.Entries[i]
		if e.Key != key {
			continue
		}
		if e.Value == "" {
			words = nil
			continue
		}
		split, err := SplitWords(e.Value)
		if err != nil {
			continue
		}
		for _, w := range split {
			words = append(words, w.Text)
		}
	}
	return words
}

// Add appends an assignment. It is not laid into its many callers: berth, which has the generator in it, is to stay small.
//
//go:noinline
func (s *Section) Add(key, value string) {
	s.Entries = append(s.Entries, Entry{Key: key, Value: value})
}

// Prepend puts assignments before all others, in the order given.
func (s *Section) Prepend(entries ...Entry) {
	// By hand: slices.Insert would be compiled for entries alone, 3 KB.
	s.Entries = append(s.Entries, entries...)
	copy(s.Entries[len(entries):], s.Entries)
	copy(s.Entries, entries)
}

// Grow makes room for n assignments more.
func (s *Section) Grow(n int) { s.Entries = slices.Grow(s.Entries, n) }

// SetDefault appends the assignment unless the key has one.
func (s *Section) SetDefault(key, value string) {
	if !s.Has(key) {
		s.Add(key, value)
	}
}

// Set puts the value in place of the last assignment of the key, or appends it.
func (s *Section) Set(key, value string) {
	if e := s.Last(key); e != nil {
		e.Value, e.joins = value, nil
		return
	}
	s.Add(key, value)
}

// Remove takes all assignments of a key out.
func (s *Section) Remove(key string) {
	kept := s.Entries[:0]
	for _, e := range s.Entries {
		if e.Key != key {
			kept = append(kept, e)
		}
	}
	s.Entries = kept
}

// Merge appends the assignments of a drop-in, section by section. Comments come along.
func (f *File) Merge(dropin *File) {
	for _, s := range dropin.Sections {
		known := f.Section(s.Name) != nil
		into := f.AddSection(s.Name)
		if !known {
			into.At, into.Comments = s.At, s.Comments
		}
		into.Entries = append(into.Entries, s.Entries...)
	}
}

// Append writes the file as text after buf and returns the result.
func (f *File) Append(buf []byte) []byte {
	start := len(buf)
	for _, s := range f.Sections {
		if len(buf) > start && (len(s.Comments) == 0 || s.Comments[0] != "") && !bytes.HasSuffix(buf, []byte("\n\n")) {
			buf = append(buf, '\n')
		}
		buf = appendComments(buf, s.Comments)
		buf = append(append(append(buf, '['), s.Name...), "]\n"...)
		for i := range s.Entries {
			e := &s.Entries[i]
			buf = appendComments(buf, e.Comments)
			buf = append(append(append(append(buf, e.Key...), '='), e.Value...), '\n')
		}
	}
	return appendComments(buf, f.Tail)
}

func appendComments(buf []byte, lines []string) []byte {
	for _, line := range lines {
		buf = append(append(buf, line...), '\n')
	}
	return buf
}

// String is the file as text.
func (f *File) String() string { return string(f.Append(nil)) }

// isSpace reports the white space that separates words in unit files.
func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// Unquote trims white space at the end and removes one pair of double quotes around the whole. Single quotes and
// backslashes stay as they are.
func Unquote(s string) string {
	s = trimRight(s)
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}
