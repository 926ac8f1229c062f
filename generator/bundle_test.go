package generator

import (
	"strings"
	"testing"
)

// What a part is called is the name of a file in the directory of the bundle, or a mistake.
func TestNamesOfParts(t *testing.T) {
	for name, want := range map[string]string{
		"web": "", "web@": "", ".web": "", "über": "", "a b": "",
		"":                       "has no name",
		"../web":                 "no file name",
		`a\b`:                    "no file name",
		"a\x00b":                 "no file name",
		"a\tb":                   "no file name",
		"a\x1b[2Jb":              "no file name",
		"a\u009bb":               "no file name",
		"a\xffb":                 "no file name",
		strings.Repeat("a", 246): "no file name", // with .container it has 256 bytes
	} {
		parts, findings := SplitBundle(&Source{Path: "/x.quadlets", Text: "# FileName=" + name + "\n[Container]\nImage=x\n"})
		switch {
		case want == "" && (len(parts) != 1 || len(findings) > 0 || parts[0].Name != name+".container"):
			t.Errorf("%q: %v, %v", name, parts, findings)
		case want != "" && (len(parts) > 0 || len(findings) != 1 || !strings.Contains(findings[0].Message, want)):
			t.Errorf("%.20q: %v, %v; want %q", name, parts, findings, want)
		}
	}
}
