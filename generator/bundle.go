package generator

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/berth-pods/berth/units"
	"github.com/berth-pods/berth/units/unitfile"
)

// SplitBundle takes a .quadlets file apart: unit files with lines of --- between them, each named by a comment
// "# FileName=web". The kind is that of the first section with the name of a kind. A part with a mistake is reported and
// left out; the others count.
func SplitBundle(s *Source) (parts []Source, findings []units.Finding) {
	report := func(line int, message, hint string) {
		findings = append(findings, units.Finding{At: unitfile.Pos{Path: s.Path, Line: int32(line)}, Severity: units.Error, Message: message, Hint: hint})
	}
	if s.Problem != "" {
		report(0, s.Problem, "")
		return nil, findings
	}
	rest, skipped, empty := s.Text, 0, true
	for rest != "" {
		text, lines, remaining := cutPart(rest)
		if strings.TrimSpace(text) != "" {
			empty = false
			name, message := partName(text)
			if message == "" {
				parts = append(parts, Source{Name: name, Path: s.Path, Text: text, Skipped: skipped})
			} else {
				report(skipped+1, message, "each part needs a line # FileName=NAME and a section such as [Container]")
			}
		}
		rest, skipped = remaining, skipped+lines
	}
	if empty {
		report(0, "the bundle is empty", "")
	}
	return parts, findings
}

// cutPart returns the text up to a line of ---, the number of lines taken, and what follows.
func cutPart(text string) (part string, lines int, rest string) {
	for pos := 0; pos < len(text); {
		end := strings.IndexByte(text[pos:], '\n')
		next := pos + end + 1
		if end < 0 {
			end, next = len(text)-pos, len(text)
		}
		lines++
		if strings.TrimSpace(text[pos:pos+end]) == "---" {
			return text[:pos], lines, text[next:]
		}
		pos = next
	}
	return text, lines, ""
}

// partName finds a part's file name. The kind may be written in any case.
func partName(text string) (name, problem string) {
	var kind units.Kind
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if comment, ok := strings.CutPrefix(line, "#"); ok && name == "" {
			key, value, _ := strings.Cut(comment, "=")
			if strings.TrimSpace(key) == "FileName" {
				name = strings.TrimSpace(value)
			}
		}
		if kind == 0 && strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			kind = kindOfSection(line[1 : len(line)-1])
		}
	}
	switch {
	case name == "":
		return "", "a part of the bundle has no name"
	case kind == 0:
		return "", "the part " + quoted(name) + " has no section of any kind of unit"
	case !isFileName(name + kind.Extension()):
		return "", "a part of the bundle is called " + quoted(name) + ", which is no file name"
	}
	return name + kind.Extension(), ""
}

// isFileName tells whether a file in the directory of the bundle could have the name, and a message or a list may show it.
func isFileName(name string) bool {
	return len(name) <= 255 && utf8.ValidString(name) && !strings.ContainsAny(name, `/\`) && !strings.ContainsFunc(name, unicode.IsControl)
}

func kindOfSection(section string) units.Kind {
	for _, k := range units.Kinds {
		if strings.EqualFold(section, k.String()) {
			return k
		}
	}
	return 0
}
