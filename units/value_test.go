package units

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/berth-pods/berth/units/unitfile"
)

func parse(text string) (*unitfile.File, []unitfile.SyntaxError) { return unitfile.Parse("f", text) }

func equal(a, b Value) bool { return reflect.DeepEqual(a, b) }

func texts(words []Word) string {
	var parts []string
	for _, w := range words {
		parts = append(parts, "<"+w.Text+">")
	}
	return strings.Join(parts, "")
}

// TestGrammars: one key of each grammar, with what several assignments come to.
func TestGrammars(t *testing.T) {
	get := func(u *Unit, key string) string {
		switch v := Lookup(u.Name.Kind, key).Value(u.Section).(type) {
		case *String:
			return fmt.Sprintf("%v %s", v.Given, v.Text)
		case *Raw:
			return fmt.Sprintf("%v %s", v.Given, v.Text)
		case *List:
			return texts(*v)
		case *Words:
			return texts(*v)
		case *Args:
			return texts(*v)
		case *Pairs:
			return texts(v.Sorted())
		case *Command:
			return fmt.Sprintf("%v %v %s", v.Given, v.Broken, texts(v.Words))
		case *Bool:
			return fmt.Sprintf("%v %v", v.Given, v.On)
		case *Number:
			return fmt.Sprintf("%v %d", v.Given, v.N)
		case *ID:
			return fmt.Sprintf("%v %d", v.Given, v.N)
		}
		return "?"
	}
	tests := []struct {
		kind     Kind
		key      string
		values   string // lines, | between
		want     string
		findings int
	}{
		{KindContainer, "HostName", "a|b", "true b", 0},
		{KindContainer, "HostName", `"a b"`, "true a b", 0},
		{KindContainer, "HostName", `'a'`, "true 'a'", 0},
		{KindContainer, "HostName", "a|", "true ", 0},
		{KindContainer, "RemapUsers", `"auto"`, `true "auto"`, 0},
		{KindContainer, "DNS", `a b|"c"||d`, "<d>", 0},
		{KindContainer, "DNS", `a b|"c"`, `<a b><"c">`, 0},
		{KindContainer, "DropCapability", `a "b c" d\n`, `<a><b c><d\n>`, 0},
		{KindContainer, "DropCapability", `a|"open|b`, `<a><b>`, 1},
		{KindContainer, "DropCapability", `a ""|`, ``, 0},
		{KindContainer, "PodmanArgs", `a "b\tc" ''|d`, "<a><b\tc><><d>", 0},
		{KindContainer, "PodmanArgs", `a|\d|b`, "<a><b>", 1},
		{KindContainer, "Label", `b=1 a=2|b=3 c`, "<a=2><b=3><c>", 0},
		{KindContainer, "Label", `a=1|b=\z|c=2`, "<a=1><c=2>", 1},
		{KindContainer, "Label", `a=1||c=2`, "<c=2>", 0},
		{KindContainer, "Exec", `a|b "c d"`, "true false <b><c d>", 0},
		{KindContainer, "Exec", `a|`, "true false ", 0},
		{KindContainer, "Exec", `a|\d`, "true true ", 1},
		{KindContainer, "ReadOnly", `YES`, "true true", 0},
		{KindContainer, "ReadOnly", `"on"`, "true true", 0},
		{KindContainer, "ReadOnly", `t`, "true true", 0},
		{KindContainer, "ReadOnly", `0`, "true false", 0},
		{KindContainer, "ReadOnly", `yes|`, "false false", 0},
		{KindContainer, "ReadOnly", `what`, "true false", 1},
		{KindContainer, "RemapUidSize", `0x10`, "true 16", 0},
		{KindContainer, "RemapUidSize", `010`, "true 8", 0},
		{KindContainer, "RemapUidSize", `+7`, "true 7", 0},
		{KindContainer, "RemapUidSize", `-7`, "true 0", 1},
		{KindContainer, "RemapUidSize", `4294967296`, "true 0", 1},
		{KindContainer, "RemapUidSize", `7|`, "false 0", 0},
		{KindVolume, "User", `root`, "true 0", 0},
		{KindVolume, "User", `33`, "true 33", 0},
		{KindVolume, "User", `alice`, "true 0", 1},
		{KindVolume, "User", `1|`, "false 0", 0},
	}
	for _, test := range tests {
		var text strings.Builder
		text.WriteString("[" + test.kind.String() + "]\n")
		for value := range strings.SplitSeq(test.values, "|") {
			text.WriteString(test.key + "=" + value + "\n")
		}
		f, errs := parse(text.String())
		u := Load("x"+test.kind.Extension(), f, errs)
		if got := get(u, test.key); got != test.want || len(u.Findings) != test.findings {
			t.Errorf("%s=%s: got %s, want %s; %v", test.key, test.values, got, test.want, u.Findings)
		}
	}
}

// TestPlaces: words and findings know their line and column, in drop-ins too.
func TestPlaces(t *testing.T) {
	f, _ := unitfile.Parse("web.container", "[Container]\nSecret=one \\\n  two\n")
	d, _ := unitfile.Parse("web.container.d/10.conf", "\n[Container]\nSecret= three\nFoo=1\n")
	f.Merge(d)
	u := Load("web.container", f, nil)
	c := u.Section.(*Container)
	want := []Word{
		{"one", unitfile.Pos{Path: "web.container", Line: 2, Col: 8}},
		{"two", unitfile.Pos{Path: "web.container", Line: 3, Col: 3}},
		{"three", unitfile.Pos{Path: "web.container.d/10.conf", Line: 3, Col: 9}},
	}
	if !reflect.DeepEqual([]Word(c.Secret), want) {
		t.Errorf("got %+v", c.Secret)
	}
	if len(u.Findings) != 1 || !strings.HasPrefix(u.Findings[0].String(), "web.container.d/10.conf:4: unknown key Foo=") {
		t.Errorf("%v", u.Findings)
	}
}

func TestFindingsAreBounded(t *testing.T) {
	f, _ := parse("[Container]\n" + strings.Repeat("Foo=1\n", 10_000))
	if u := Load("x.container", f, nil); len(u.Findings) != maxFindings {
		t.Errorf("%d findings", len(u.Findings))
	}
}

// FuzzCheck: no text makes the checks fail or run away.
func FuzzCheck(f *testing.F) {
	f.Add("[Container]\nImage=a\nExec=\\x41 'b\nLabel=a=\"b\"\n[Service]\nRestart=x # y\n", uint8(5))
	f.Add("[Build]\nFile=a\nSetWorkingDirectory=file\n[X-Berth]\nUnknownKeys=warn\nQ=\n", uint8(4))
	f.Fuzz(func(t *testing.T, text string, kind uint8) {
		k := Kinds[int(kind)%len(Kinds)]
		for _, finding := range Check("/d/x"+k.Extension(), text) {
			if finding.Message == "" || finding.At.Path == "" {
				t.Fatalf("a finding that says nothing: %+v", finding)
			}
		}
	})
}
