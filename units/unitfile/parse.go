package unitfile

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// SyntaxError is a line that is no part of a unit file.
type SyntaxError struct {
	At      Pos
	Message string
}

func (e SyntaxError) Error() string { return e.At.String() + ": " + e.Message }

// maxErrors bounds what is said about one file; a binary file has an error in every line.
const maxErrors = 50

// maxSections bounds the sections of one file; more are a mistake or an attack.
const maxSections = 1000

const byteOrderMark = "\ufeff"

// Parse reads a unit file. It always returns what could be read, and an error for each line that could not, in order;
// after fifty it stops. path is only used for places.
//
// The rules are Quadlet's: white space around a line does not count; a line that ends in a backslash (not two) is joined with
// the next one and nothing is put in between; comment and blank lines inside a continuation are skipped. A byte order mark at
// the start is passed over, as systemd does.
func Parse(path, text string) (*File, []SyntaxError) {
	return new(Parser).Parse(path, text, 0)
}

// Parser reads many files with the memory of one: what Parse returned before is invalid after the next call.
type Parser struct {
	file     *File
	text     string
	pos      int
	lineno   int32
	section  *Section
	orphaned bool // inside a section that could not be read
	errs     []SyntaxError

	// Entries and comment lines of all sections stand in two arrays, one after the other; a section has a part of them.
	entries  []Entry
	first    int // entry of the current section
	lines    []string
	pending  int // comment line that belongs to what comes next
	sections []Section
}

// Parse is like the function Parse, for a part of a file that stands after the given number of lines.
func (p *Parser) Parse(path, text string, skipped int) (*File, []SyntaxError) {
	*p = Parser{
		file: &File{Path: path}, text: strings.TrimPrefix(text, byteOrderMark), lineno: int32(skipped),
		entries: p.entries[:0], lines: p.lines[:0], sections: p.sections[:0],
	}
	for p.pos < len(p.text) && len(p.errs) < maxErrors {
		p.line()
	}
	if len(p.errs) >= maxErrors {
		p.fail(Pos{Path: path, Line: p.lineno}, "too many errors; the rest of the file was not read")
	}
	p.closeSection()
	p.file.Tail = p.comments()
	return p.file, p.errs
}

// comments takes the comment lines that have been read since the last call.
func (p *Parser) comments() []string {
	lines := p.lines[p.pending:len(p.lines):len(p.lines)]
	p.pending = len(p.lines)
	return lines
}

// closeSection gives the current section its entries.
func (p *Parser) closeSection() {
	if p.section != nil {
		end := len(p.entries)
		if len(p.sections) <= spareSections && len(p.section.Entries) == 0 && end > p.first {
			p.entries = slices.Grow(p.entries, spare)[:end+spare]
		}
		entries := p.entries[p.first:end:len(p.entries)]
		if len(p.section.Entries) > 0 {
			entries = append(p.section.Entries, entries...)
		}
		p.section.Entries = entries
	}
	p.section, p.first = nil, len(p.entries)
}

// The first sections get room for assignments that are added later; generators add to [Unit] and [Service].
const (
	spare         = 12
	spareSections = 8
)

func (p *Parser) newSection(name string, at Pos) *Section {
	if len(p.sections) == cap(p.sections) {
		p.sections = make([]Section, 0, 8)
	}
	p.sections = append(p.sections, Section{Name: name, At: at, Comments: p.comments()})
	s := &p.sections[len(p.sections)-1]
	p.file.Sections = append(p.file.Sections, s)
	p.file.remember(s)
	return s
}

func (p *Parser) fail(at Pos, message string) {
	p.errs = append(p.errs, SyntaxError{at, message})
}

// next returns the next physical line without white space around it, and the column of its first byte.
func (p *Parser) next() (line string, col int32) {
	raw := p.text[p.pos:]
	if i := strings.IndexByte(raw, '\n'); i >= 0 {
		raw = raw[:i]
		p.pos++
	}
	p.pos += len(raw)
	p.lineno++
	line, start := trim(raw)
	return line, int32(start) + 1
}

// trim takes the white space around a text away, and returns where the rest begins in it.
func trim(raw string) (text string, start int) {
	for start < len(raw) && isSpace(raw[start]) {
		start++
	}
	end := len(raw)
	for end > start && isSpace(raw[end-1]) {
		end--
	}
	text = raw[start:end]
	if text != "" && (text[0] >= utf8.RuneSelf || text[len(text)-1] >= utf8.RuneSelf || text[0] < ' ' || text[len(text)-1] < ' ') {
		// Wider kinds of white space, such as the no-break space, count too.
		trimmed := strings.TrimSpace(text)
		start += strings.Index(text, trimmed)
		text = trimmed
	}
	return text, start
}

func isComment(line string) bool { return line == "" || line[0] == '#' || line[0] == ';' }

func (p *Parser) line() {
	line, col := p.next()
	at := Pos{Path: p.file.Path, Line: p.lineno, Col: col}
	if isComment(line) {
		if p.endsEarly(at, line) {
			return
		}
		p.lines = append(p.lines, line)
		return
	}
	var joins []joint
	if continues(line) {
		line, joins = p.joinLines(line[:len(line)-1])
	}
	if !p.checkBytes(at, line) {
		return
	}
	if line != "" && line[0] == '[' {
		p.header(at, line)
		return
	}
	p.assignment(at, line, joins)
}

// continues reports a line that ends in a backslash which no other backslash escapes, as systemd counts.
func continues(line string) bool {
	n := len(line)
	for n > 0 && line[n-1] == '\\' {
		n--
	}
	return (len(line)-n)%2 == 1
}

// joinLines appends the lines that continue head.
func (p *Parser) joinLines(head string) (string, []joint) {
	var joined strings.Builder
	joined.WriteString(head)
	var joins []joint
	for p.pos < len(p.text) {
		line, col := p.next()
		if isComment(line) {
			continue
		}
		joins = append(joins, joint{int32(joined.Len()), p.lineno, col})
		if !continues(line) {
			joined.WriteString(line)
			break
		}
		joined.WriteString(line[:len(line)-1])
	}
	return joined.String(), joins
}

func (p *Parser) checkBytes(at Pos, line string) bool {
	if p.endsEarly(at, line) {
		return false
	}
	if !utf8.ValidString(line) {
		p.fail(at, "not valid UTF-8; systemd would ignore the line")
		return false
	}
	return true
}

// endsEarly finds the bytes that end a line for systemd and not for Quadlet; what follows them would be another directive.
func (p *Parser) endsEarly(at Pos, line string) bool {
	if i := strings.IndexByte(line, 0); i >= 0 {
		at.Col += int32(i)
		p.fail(at, "a NUL byte; systemd would end the line there")
		return true
	}
	if i := strings.IndexByte(line, '\r'); i >= 0 {
		at.Col += int32(i)
		p.fail(at, "a carriage return inside the line; systemd would end the line there")
		return true
	}
	return false
}

func (p *Parser) header(at Pos, line string) {
	p.closeSection()
	name, ok := sectionName(line)
	if ok && p.file.Section(name) == nil && len(p.file.Sections) >= maxSections {
		p.fail(at, "more than 1000 sections")
		p.orphaned = true
		return
	}
	if !ok {
		p.fail(at, "invalid section header "+clip(line))
	}
	if p.orphaned = !ok; p.orphaned {
		return
	}
	// Comments before a section that goes on stay for its next line.
	if p.section = p.file.Section(name); p.section == nil {
		p.section = p.newSection(name, at)
	}
}

func sectionName(line string) (name string, ok bool) {
	end := strings.IndexByte(line, ']')
	if end < 2 || strings.Trim(line[end+1:], " \t") != "" {
		return "", false
	}
	name = line[1:end]
	for i := 0; i < len(name); i++ {
		if name[i] < ' ' || name[i] == 0x7f || name[i] == '[' {
			return "", false
		}
	}
	return name, true
}

func (p *Parser) assignment(at Pos, line string, joins []joint) {
	eq := strings.IndexByte(line, '=')
	switch {
	case eq < 0:
		p.fail(at, clip(line)+" is neither KEY=VALUE nor a [Section] nor a comment")
		return
	case p.orphaned:
		return
	case p.section == nil:
		p.fail(at, clip(line)+" stands before the first [Section]")
		return
	}
	key := trimRight(line[:eq])
	if key == "" {
		p.fail(at, "no key before the = in "+clip(line))
		return
	}
	value, start := trim(line[eq+1:])
	start += eq + 1
	if continues(value) { // only what stands last in a file: everywhere else the next line has been joined
		p.fail(at, "the value of "+clip(key)+" ends in a backslash, and a line after it would become part of it")
		return
	}
	entry := Entry{Key: key, Value: value, At: at, Comments: p.comments(), col: at.Col + int32(start)}
	for _, j := range joins {
		entry.joins = append(entry.joins, joint{max(j.off-int32(start), 0), j.line, j.col + max(int32(start)-j.off, 0)})
	}
	p.entries = append(p.entries, entry)
}

func trimRight(s string) string {
	for s != "" && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// clip quotes a line for a message and shortens it when it is long.
func clip(line string) string {
	const limit = 60
	if len(line) <= limit {
		return `"` + line + `"`
	}
	end := limit
	for end > 0 && !utf8.RuneStart(line[end]) {
		end--
	}
	return `"` + line[:end] + `…"`
}
