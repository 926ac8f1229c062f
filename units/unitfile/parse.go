package unitfile

import (
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
// The rules are Quadlet's: white space around a line does not count; a line that ends in a backslash is joined with the
// next one and nothing is put in between; comment and blank lines inside a continuation are skipped. A byte order mark at
// the start is passed over, as systemd does.
func Parse(path, text string) (*File, []SyntaxError) {
	return ParsePart(path, text, 0)
}

// ParsePart reads a part of a file that stands after the given number of lines.
func ParsePart(path, text string, skipped int) (*File, []SyntaxError) {
	p := parser{file: &File{Path: path}, lineno: int32(skipped)}
	p.text = strings.TrimPrefix(text, byteOrderMark)
	for p.pos < len(p.text) && len(p.errs) < maxErrors {
		p.line()
	}
	if len(p.errs) >= maxErrors {
		p.fail(Pos{Path: path, Line: p.lineno}, "too many errors; the rest of the file was not read")
	}
	p.file.Tail = p.comments
	return p.file, p.errs
}

type parser struct {
	file     *File
	text     string
	pos      int
	lineno   int32
	section  *Section
	orphaned bool // inside a section that could not be read
	comments []string
	errs     []SyntaxError
}

func (p *parser) fail(at Pos, message string) {
	p.errs = append(p.errs, SyntaxError{at, message})
}

// next returns the next physical line without white space around it, and the column of its first byte.
func (p *parser) next() (line string, col int32) {
	raw := p.text[p.pos:]
	if i := strings.IndexByte(raw, '\n'); i >= 0 {
		raw = raw[:i]
		p.pos++
	}
	p.pos += len(raw)
	p.lineno++
	line = strings.TrimLeft(raw, " \t\r\v\f")
	col = int32(len(raw)-len(line)) + 1
	trimmed := strings.TrimSpace(line)
	if len(trimmed) < len(line) {
		// TrimSpace knows more kinds of white space at the front than TrimLeft above.
		col += int32(strings.Index(line, trimmed))
	}
	return trimmed, col
}

func isComment(line string) bool { return line == "" || line[0] == '#' || line[0] == ';' }

func (p *parser) line() {
	line, col := p.next()
	at := Pos{Path: p.file.Path, Line: p.lineno, Col: col}
	if isComment(line) {
		if strings.IndexByte(line, 0) >= 0 {
			p.fail(at, "a NUL byte; systemd would end the line there")
			return
		}
		p.comments = append(p.comments, line)
		return
	}
	var joins []joint
	if line[len(line)-1] == '\\' {
		line, joins = p.joinLines(line[:len(line)-1])
	}
	if !p.checkBytes(at, line) {
		p.comments = nil
		return
	}
	if line != "" && line[0] == '[' {
		p.header(at, line)
		return
	}
	p.assignment(at, line, joins)
}

// joinLines appends the lines that continue head.
func (p *parser) joinLines(head string) (string, []joint) {
	var joined strings.Builder
	joined.WriteString(head)
	var joins []joint
	for p.pos < len(p.text) {
		line, col := p.next()
		if isComment(line) {
			continue
		}
		joins = append(joins, joint{int32(joined.Len()), p.lineno, col})
		if line[len(line)-1] != '\\' {
			joined.WriteString(line)
			break
		}
		joined.WriteString(line[:len(line)-1])
	}
	return joined.String(), joins
}

func (p *parser) checkBytes(at Pos, line string) bool {
	if i := strings.IndexByte(line, 0); i >= 0 {
		at.Col += int32(i)
		p.fail(at, "a NUL byte; systemd would end the line there")
		return false
	}
	if !utf8.ValidString(line) {
		p.fail(at, "not valid UTF-8; systemd would ignore the line")
		return false
	}
	return true
}

func (p *parser) header(at Pos, line string) {
	name, ok := sectionName(line)
	if !ok {
		p.fail(at, "invalid section header "+clip(line))
		p.section, p.orphaned, p.comments = nil, true, nil
		return
	}
	p.orphaned = false
	if s := p.file.Section(name); s != nil {
		p.section = s
		return // comments go to its next line
	}
	if len(p.file.Sections) >= maxSections {
		p.fail(at, "more than 1000 sections")
		p.section, p.orphaned, p.comments = nil, true, nil
		return
	}
	p.section = p.file.AddSection(name)
	p.section.At, p.section.Comments, p.comments = at, p.comments, nil
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

func (p *parser) assignment(at Pos, line string, joins []joint) {
	comments := p.comments
	p.comments = nil
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
	key := strings.TrimRight(line[:eq], " \t\r\v\f")
	if key == "" {
		p.fail(at, "no key before the = in "+clip(line))
		return
	}
	value := strings.TrimSpace(line[eq+1:])
	start := eq + 1 + strings.Index(line[eq+1:], value)
	entry := Entry{Key: key, Value: value, At: at, Comments: comments, col: at.Col + int32(start)}
	for _, j := range joins {
		entry.joins = append(entry.joins, joint{max(j.off-int32(start), 0), j.line, j.col + max(int32(start)-j.off, 0)})
	}
	p.section.Entries = append(p.section.Entries, entry)
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
