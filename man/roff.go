package main

import (
	"fmt"
	"strings"
)

// Page is one manual page.
type Page struct {
	Name    string // "berth-run"
	Section int
	Text    string
}

// File is the name of the page's file.
func (p Page) File() string { return fmt.Sprintf("%s.%d", p.Name, p.Section) }

// roff writes a page with the man(7) macros.
type roff struct {
	strings.Builder
	inList bool // a paragraph that follows would belong to the last item
}

// date stands at the foot of each page: when the texts were last gone over. A date of the build would change the bytes.
const date = "2026-11-23"

func newPage(name string, section int, summary string) *roff {
	r := &roff{}
	fmt.Fprintf(r, ".\\\" Made from the tables of berth by `make man`; do not edit.\n")
	fmt.Fprintf(r, ".TH %s %d %s berth \"Manual of berth\"\n.nh\n.ad l\n", strings.ToUpper(name), section, date)
	r.section("NAME")
	r.paragraphs(name + " - " + summary)
	return r
}

func (r *roff) page(name string, section int) Page { return Page{name, section, r.String()} }

func (r *roff) section(title string) {
	fmt.Fprintf(r, ".SH %s\n", quoteArg(title))
	r.inList = false
}

// item is an entry of a list: a tag, already in roff, and a text.
func (r *roff) item(tag, text string) {
	fmt.Fprintf(r, ".TP\n%s\n%s\n", tag, lines(text))
	r.inList = true
}

// maxLine is how long a line of the source may be, in bytes.
const maxLine = 78

// lines is running text in lines of its own. None begins with a dot: that would be a request.
func lines(text string) string {
	var b strings.Builder
	length := 0
	for _, word := range strings.Fields(inline(text)) {
		if length > 0 && length+1+len(word) <= maxLine {
			b.WriteString(" " + word)
			length += 1 + len(word)
			continue
		}
		if length > 0 {
			b.WriteString("\n")
		}
		if strings.HasPrefix(word, ".") {
			word = `\&` + word
		}
		b.WriteString(word)
		length = len(word)
	}
	return b.String()
}

// paragraphs writes text with empty lines between its paragraphs. Those that are indented by four blanks stand as they
// are.
func (r *roff) paragraphs(text string) {
	for i, p := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if code, ok := strings.CutPrefix(p, "    "); ok {
			r.example(strings.ReplaceAll(code, "\n    ", "\n"))
			continue
		}
		if i > 0 || r.inList {
			r.WriteString(".PP\n")
		}
		r.WriteString(lines(p) + "\n")
	}
}

// example writes lines as they are.
func (r *roff) example(code string) {
	r.WriteString(".PP\n.RS 4\n.nf\n")
	for l := range strings.SplitSeq(strings.TrimRight(code, "\n"), "\n") {
		if l == "" {
			r.WriteString("\\&\n") // an empty line is no request
			continue
		}
		r.WriteString(`\&` + escape(l) + "\n")
	}
	r.WriteString(".fi\n.RE\n")
}

// bold is a word in bold.
func bold(word string) string { return `\fB` + escape(word) + `\fR` }

// placeholder is what stands for something else.
func placeholder(word string) string { return `\fI` + escape(word) + `\fR` }

// inline is running text; what stands in back quotes is bold.
func inline(text string) string {
	words := strings.Split(text, "`")
	if len(words)%2 == 0 {
		return escape(text)
	}
	var b strings.Builder
	for i, w := range words {
		if i%2 == 1 {
			b.WriteString(bold(w))
		} else {
			b.WriteString(escape(w))
		}
	}
	return b.String()
}

// escape writes every character so that it is printed as itself: a bare - becomes a hyphen that cannot be pasted, and
// quotes become curly.
func escape(text string) string {
	var b strings.Builder
	for _, c := range text {
		switch {
		case c == '\\':
			b.WriteString(`\e`)
		case c == '-':
			b.WriteString(`\-`)
		case c == '\'':
			b.WriteString(`\(aq`)
		case c == '`':
			b.WriteString(`\(ga`)
		case c == '^':
			b.WriteString(`\(ha`)
		case c == '~':
			b.WriteString(`\(ti`)
		case c > 0x7e:
			fmt.Fprintf(&b, `\[u%04X]`, c)
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// quoteArg is an argument of a macro.
func quoteArg(text string) string {
	return `"` + strings.ReplaceAll(escape(text), `"`, `\(dq`) + `"`
}

// reference names another page.
func reference(name string, section int) string { return fmt.Sprintf("%s(%d)", bold(name), section) }

// seeAlso writes the last section.
func (r *roff) seeAlso(pages ...string) {
	r.section("SEE ALSO")
	r.WriteString(strings.Join(pages, ",\n") + "\n")
}
