package units

import (
	"math/bits"
	"strings"

	"github.com/berth-pods/berth/units/unitfile"
)

// Unit is a unit file that has been read, with everything that can be said about it alone.
type Unit struct {
	Name     Name
	File     *unitfile.File
	Section  Section // *Container, *Pod, …
	Quadlet  Quadlet
	Berth    Berth
	Findings []Finding

	guesses int // how often a misspelt key has been compared with others
}

// maxFindings bounds what is said about one file.
const maxFindings = 100

// Load reads the sections of a parsed file, drop-ins merged, into their types. name is the file's base name and must have
// one of the eight extensions. Findings are in the order in which they were met; call SortFindings to order them by line.
func Load(name string, f *unitfile.File, syntax []unitfile.SyntaxError) *Unit {
	return new(Loader).Load(ParseName(name), f, syntax)
}

// Loader loads many units with the memory of one: what Load returned before is invalid after the next call.
type Loader struct {
	// NamesOnly leaves all keys out but those that say what a unit is called or belongs to.
	NamesOnly bool

	unit     Unit
	sections [len(Kinds)]Section
}

// Load is like the function Load.
func (l *Loader) Load(n Name, f *unitfile.File, syntax []unitfile.SyntaxError) *Unit {
	u := &l.unit
	*u = Unit{Name: n, File: f, Section: l.section(n.Kind)}
	for _, e := range syntax {
		u.Errorf(e.At, e.Message)
	}
	u.read(KindBerth, &u.Berth, false)
	u.read(KindQuadlet, &u.Quadlet, false)
	u.read(n.Kind, u.Section, l.NamesOnly)
	return u
}

func (l *Loader) section(k Kind) Section {
	slot := &l.sections[bits.TrailingZeros16(uint16(k))]
	if *slot == nil {
		*slot = NewSection(k)
	} else {
		(*slot).reset()
	}
	return *slot
}

// Check reports what is wrong with one file by itself: text is its content, path its place. References to other files are
// the generator's matter.
func Check(path, text string) []Finding {
	f, syntax := unitfile.Parse(path, text)
	u := Load(path[strings.LastIndexByte(path, '/')+1:], f, syntax)
	u.Check()
	SortFindings(u.Findings)
	return u.Findings
}

// Check adds the findings about how the keys go together.
func (u *Unit) Check() {
	u.checkSections()
	switch s := u.Section.(type) {
	case *Container:
		checkContainer(u, s)
	case *Pod:
		checkPod(u, s)
	case *Kube:
		checkKube(u, s)
	case *Network:
		checkNetwork(u, s)
	case *Volume:
		checkVolume(u, s)
	case *Image:
		checkImage(u, s)
	case *Build:
		checkBuild(u, s)
	case *Artifact:
		checkArtifact(u, s)
	}
}

// Errorf adds an error.
func (u *Unit) Errorf(at unitfile.Pos, message string) {
	u.add(Finding{At: at, Severity: Error, Message: message})
}

// Add adds a finding.
func (u *Unit) Add(f Finding) { u.add(f) }

func (u *Unit) add(f Finding) {
	if f.At.Path == "" {
		f.At.Path = u.File.Path
	}
	if len(u.Findings) < maxFindings || f.Severity == Error && !HasErrors(u.Findings) {
		u.Findings = append(u.Findings, f)
	}
}

// splitArgs splits a value like a command line of systemd, and tells what is wrong with it; false when it cannot be read. A quote that
// is left open is read as Podman's generator reads it; systemd would refuse the line.
func (u *Unit) splitArgs(severity Severity, e *unitfile.Entry) ([]unitfile.Word, bool) {
	words, err := unitfile.SplitArgs(e.Value)
	q, ok := err.(*unitfile.QuoteError)
	switch {
	case err == nil:
		return words, true
	case ok && q.Open:
		u.add(Finding{At: e.PosAt(q.Off), Severity: Warning, Message: q.Message + " in " + e.Key + "=", Hint: "it ends with the value; write the other quote"})
		return words, true
	}
	u.badQuoting(severity, e, err)
	return nil, false
}

func (u *Unit) badQuoting(severity Severity, e *unitfile.Entry, err error) {
	at, message := e.At, err.Error()
	if q, ok := err.(*unitfile.QuoteError); ok {
		at = e.PosAt(q.Off)
	}
	hint := ""
	if strings.HasPrefix(message, unitfile.BadEscape+` \`) {
		hint = `write \\ for a backslash`
	}
	message += " in " + e.Key + "="
	if severity == Warning {
		message += ", which is left out"
	}
	u.add(Finding{At: at, Severity: severity, Message: message, Hint: hint})
}

// Pos is the place of the unit's own section, or of the file when it has none.
func (u *Unit) Pos() unitfile.Pos { return u.sectionPos() }

func (u *Unit) sectionPos() unitfile.Pos {
	if s := u.File.Section(u.Name.Kind.String()); s != nil {
		return s.At
	}
	return unitfile.Pos{Path: u.File.Path}
}

func (u *Unit) read(k Kind, into Section, namesOnly bool) {
	s := u.File.Section(k.String())
	if s == nil {
		return
	}
	for i := range s.Entries {
		e := &s.Entries[i]
		row := Lookup(k, e.Key)
		switch {
		case namesOnly && (row == nil || row.Trait != Naming):
		case row == nil:
			u.unknownKey(k, e)
		default:
			row.field(into).Assign(e, u)
			u.checkHash(row, e)
		}
	}
}

// mayGuess bounds the comparisons with all known keys, which are slow, for one file.
func (u *Unit) mayGuess() bool {
	u.guesses++
	return u.guesses <= maxFindings
}

func (u *Unit) unknownKey(k Kind, e *unitfile.Entry) {
	hint := ""
	if u.mayGuess() {
		hint = hintForKey(k, e.Key)
	}
	f := Finding{
		At: e.At, Severity: Error,
		Message: "unknown key " + e.Key + "=",
		Hint:    hint,
		Quadlet: "unsupported key '" + e.Key + "' in group '" + k.String() + "' in " + u.File.Path,
	}
	if k == KindBerth || u.Berth.UnknownKeys.Text == "warn" {
		f.Severity = Warning
	}
	u.add(f)
}

// checkHash warns of a comment after a value: unit files have none.
func (u *Unit) checkHash(row *Row, e *unitfile.Entry) {
	at := strings.Index(e.Value, " #")
	if at < 0 || strings.ContainsAny(e.Value, `"'`) || row.Name == "Exec" || strings.HasSuffix(row.Name, "Cmd") || strings.HasSuffix(row.Name, "Args") {
		return
	}
	if b, ok := row.field(u.section(row)).(*Bool); ok && b.Given {
		return // said already
	}
	u.add(Finding{At: e.PosAt(at + 1), Severity: Warning, Message: "a # after a value is part of the value", Hint: "put the comment on a line of its own"})
}

func (u *Unit) section(row *Row) Section {
	switch row.Kinds {
	case KindBerth:
		return &u.Berth
	case KindQuadlet:
		return &u.Quadlet
	}
	return u.Section
}

func trimSpace(s string) string { return strings.Trim(s, " \t\r\n") }
