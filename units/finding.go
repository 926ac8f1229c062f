package units

import (
	"sort"

	"github.com/berth-pods/berth/units/unitfile"
)

// Severity says what a finding means for the unit.
type Severity uint8

const (
	// Warning: the unit is generated.
	Warning Severity = iota
	// Error: a unit is generated whose start fails with the finding.
	Error
)

func (s Severity) String() string {
	if s == Error {
		return "error"
	}
	return "warning"
}

// Finding is something that is wrong, or probably wrong, with a file.
type Finding struct {
	At       unitfile.Pos
	Severity Severity
	Message  string // "unknown key Publishport="
	Hint     string // "did you mean PublishPort=?"; may be empty

	// Quadlet is the wording that tools written for Podman's generator look for, when it differs. It is said only in
	// the generator's log.
	Quadlet string
}

// String is "path:line: message; hint".
func (f Finding) String() string {
	s := f.At.String() + ": " + f.Message
	if f.Hint != "" {
		s += "; " + f.Hint
	}
	return s
}

// HasErrors reports whether a finding is an error.
func HasErrors(findings []Finding) bool {
	for _, f := range findings {
		if f.Severity == Error {
			return true
		}
	}
	return false
}

// SortFindings orders findings by file, line and column; those of one place stay in their order.
func SortFindings(findings []Finding) {
	sort.SliceStable(findings, func(i, j int) bool {
		a, b := findings[i].At, findings[j].At
		if a.Path != b.Path {
			return a.Path < b.Path
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Col < b.Col
	})
}
