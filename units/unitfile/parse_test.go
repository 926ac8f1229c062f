package unitfile

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name, text string
		want       string // [section] key=value@line, blanks between
		errs       string
	}{
		{"plain", "[A]\nk=v\n", "[A]@1 k=v@2", ""},
		{"blanks around everything", " [A] \t\n  k \t = v w  \r\n", "[A]@1 k=v w@2", ""},
		{"empty value", "[A]\nk=\nk = \n", "[A]@1 k=@2 k=@3", ""},
		{"only the first = splits", "[A]\nk=a=b\n", "[A]@1 k=a=b@2", ""},
		{"no newline at the end", "[A]\nk=v", "[A]@1 k=v@2", ""},
		{"comments", "# c\n; d\n[A]\n  # e\nk=v # not one\n", "[A]@3 k=v # not one@5", ""},
		{"joined without a blank", "[A]\nk=a\\\nb\\\n  c\nl=1\n", "[A]@1 k=abc@2 l=1@5", ""},
		{"blank before the backslash", "[A]\nk=a \\\n  b\n", "[A]@1 k=a b@2", ""},
		{"white space after the backslash", "[A]\nk=a\\  \nb\n", "[A]@1 k=ab@2", ""},
		{"comment and blank line inside", "[A]\nk=a \\\n# c\n\n; d\n b\n", "[A]@1 k=a b@2", ""},
		{"backslash at the end", "[A]\nk=a\\", "[A]@1 k=a@2", ""},
		{"two breaks and nothing after them", "[A]\nk=a \\ \\", "[A]@1", `f:2: the value of "k" ends in a backslash, and a line after it would become part of it`},
		{"two backslashes at the end", "[A]\nk=a\\\\\nl=b\n", `[A]@1 k=a\\@2 l=b@3`, ""},
		{"three backslashes at the end", "[A]\nk=a\\\\\\\nb\n", `[A]@1 k=a\\b@2`, ""},
		{"comment does not continue", "[A]\n# c\\\nk=a\n", "[A]@1 k=a@3", ""},
		{"section twice", "[A]\nk=1\n[B]\nk=2\n[A]\nk=3\n", "[A]@1 k=1@2 k=3@6 [B]@3 k=2@4", ""},
		{"section name with blanks", "[X-A b]\nk=1\n", "[X-A b]@1 k=1@2", ""},
		{"byte order mark", "\ufeff[A]\nk=1\n", "[A]@1 k=1@2", ""},
		{"no-break space at the ends", "[A]\n\u00a0k=1\u00a0\n", "[A]@1 k=1@2", ""},
		{"key before a section", "k=1\n[A]\nl=2\n", "[A]@2 l=2@3", `f:1: "k=1" stands before the first [Section]`},
		{"no key", "[A]\n=1\n", "[A]@1", `f:2: no key before the = in "=1"`},
		{"neither", "[A]\nnothing\nk=1\n", "[A]@1 k=1@3", `f:2: "nothing" is neither KEY=VALUE nor a [Section] nor a comment`},
		{"bad headers", "[A\nx=1\n[]\n[A]b\n[B[]\n[C\x01]\n[D]\nk=1\n", "[D]@7 k=1@8",
			`f:1: invalid section header "[A"|f:3: invalid section header "[]"|f:4: invalid section header "[A]b"|f:5: invalid section header "[B[]"|f:6: invalid section header "[C` + "\x01" + `]"`},
		{"NUL", "[A]\nk=a\x00b\n# \x00\nl=1\n", "[A]@1 l=1@4", "f:2: a NUL byte; systemd would end the line there|f:3: a NUL byte; systemd would end the line there"},
		{"carriage return", "[A]\r\nk=a\rl=b\r\n# x\r[B]\nm=1\n", "[A]@1 m=1@4",
			"f:2: a carriage return inside the line; systemd would end the line there|f:3: a carriage return inside the line; systemd would end the line there"},
		{"no UTF-8", "[A]\nk=\xff\n# \xff is fine in a comment\nl=1\n", "[A]@1 l=1@4", "f:2: not valid UTF-8; systemd would ignore the line"},
		{"nothing", "", "", ""},
		{"lone backslash", "\\", "", `f:1: "" is neither KEY=VALUE nor a [Section] nor a comment`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f, errs := Parse("f", test.text)
			var got, failed []string
			for _, s := range f.Sections {
				got = append(got, fmt.Sprintf("[%s]@%d", s.Name, s.At.Line))
				for _, e := range s.Entries {
					got = append(got, fmt.Sprintf("%s=%s@%d", e.Key, e.Value, e.At.Line))
				}
			}
			for _, err := range errs {
				failed = append(failed, err.Error())
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, " "), test.want)
			}
			if strings.Join(failed, "|") != test.errs {
				t.Errorf("errors %s\nwant   %s", strings.Join(failed, "|"), test.errs)
			}
		})
	}
}

// TestPositions: the place of a byte is found across joined lines.
func TestPositions(t *testing.T) {
	text := "[A]\n  key =  one \\\n# no\n   two\\\n three\n"
	f, errs := Parse("f", text)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	e := f.Section("A").Last("key")
	if want := (Pos{"f", 2, 3}); e.At != want {
		t.Errorf("key at %+v, want %+v", e.At, want)
	}
	lines := strings.Split(text, "\n")
	for _, word := range []string{"one", "two", "three"} {
		pos := e.PosAt(strings.Index(e.Value, word))
		if got := lines[pos.Line-1][pos.Col-1:]; !strings.HasPrefix(got, word) {
			t.Errorf("%s found at %+v: %q", word, pos, got)
		}
	}
}

func TestTooManyErrors(t *testing.T) {
	_, errs := Parse("f", strings.Repeat("x\n", 1000))
	if len(errs) != maxErrors+1 || !strings.Contains(errs[maxErrors].Message, "too many errors") {
		t.Errorf("%d errors, the last one %v", len(errs), errs[len(errs)-1])
	}
}

// TestParserReuse: a second file does not see the first.
func TestParserReuse(t *testing.T) {
	var p Parser
	p.Parse("a", "# c\n[A]\n# c\nk=1\n[B]\nk=2\n# tail\n", 0)
	for _, text := range []string{"[A]\nk=3\n", "", "# x\n", "[A]\nk=1\n[A]\nk=2\n"} {
		got, _ := p.Parse("b", text, 7)
		want, _ := new(Parser).Parse("b", text, 7)
		if got.String() != want.String() || len(got.Sections) != len(want.Sections) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestEdit(t *testing.T) {
	f, _ := Parse("f", "[A]\na=1\nb=2\na=3\n\n[X-C]\nx=1\n[B]\nk=\n[C]\ny=2\n")
	a := f.Section("A")
	a.Set("a", "4")
	a.Set("new", "5")
	a.SetDefault("b", "no")
	a.SetDefault("c", "6")
	a.Prepend(Entry{Key: "first", Value: "0"})
	f.Rename("C", "X-C")
	f.Rename("B", "D")
	f.Rename("missing", "E")
	f.AddSection("D").Remove("k")
	f.AddSection("E").Add("z", "9")
	want := "[A]\nfirst=0\na=1\nb=2\na=4\nnew=5\nc=6\n\n[X-C]\nx=1\ny=2\n\n[D]\n\n[E]\nz=9\n"
	if got := f.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestMerge(t *testing.T) {
	f, _ := Parse("f", "[A]\nk=1\n")
	d, _ := Parse("d", "# why\n[B]\nx=1\n[A]\n# also\nk=2\n")
	f.Merge(d)
	if got, want := f.String(), "[A]\nk=1\n# also\nk=2\n\n# why\n[B]\nx=1\n"; got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if at := f.Section("A").Last("k").At; at.String() != "d:6" {
		t.Errorf("the drop-in's line is at %s", at)
	}
}

func TestSectionValues(t *testing.T) {
	f, _ := Parse("f", "[A]\nw=a \"b c\"\nw=\"open\nw=d\nc=1\nc=\nc=2\nv=\"x\"\n")
	a := f.Section("A")
	if got := a.Words("w"); !reflect.DeepEqual(got, []string{"a", "b c", "d"}) {
		t.Errorf("words %q", got)
	}
	if got := a.Words("c"); !reflect.DeepEqual(got, []string{"2"}) {
		t.Errorf("words after an empty assignment %q", got)
	}
	if got := a.Value("v"); got != "x" {
		t.Errorf("value %q", got)
	}
	var none *Section
	if none.Value("x") != "" || none.Has("x") || none.Words("x") != nil {
		t.Error("a missing section has values")
	}
}

func TestManySections(t *testing.T) {
	var text strings.Builder
	for i := range 900 {
		fmt.Fprintf(&text, "[S%d]\nk=%d\n", i, i)
	}
	for i := range 900 {
		fmt.Fprintf(&text, "[S%d]\nl=%d\n", i, i)
	}
	f, errs := Parse("f", text.String())
	if len(errs) > 0 || len(f.Sections) != 900 {
		t.Fatalf("%d sections, %v", len(f.Sections), errs)
	}
	if got := f.Section("S899").Value("l"); got != "899" {
		t.Errorf("l is %q", got)
	}
}

// FuzzParse: parsing ends, places are inside the file, and what was read is written so that it is read again.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"[A]\nk=v\n", "[A]\nk=a\\\n#c\n b\n[B]\n[A]\n", "\ufeff[A]\r\nk = \"x y\" \\", "=\n[\n]\nk", "[A]\nk=\\\n\\\n\\", "# only\n\n;x", "[0]\n0=\v\\", "[0]\n0=\\ \\      "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, errs := Parse("f", text)
		lines := int32(strings.Count(text, "\n") + 1)
		for _, s := range file.Sections {
			for i := range s.Entries {
				e := &s.Entries[i]
				for off := range e.Value {
					if pos := e.PosAt(off); pos.Line < e.At.Line || pos.Line > lines || pos.Col < 1 {
						t.Fatalf("byte %d of %q at %+v", off, e.Value, pos)
					}
				}
			}
		}
		if len(errs) > 0 {
			return
		}
		again, errs := Parse("f", file.String())
		if len(errs) > 0 {
			t.Fatalf("written %q: %v", file, errs[0])
		}
		if got, want := flatten(again), flatten(file); got != want {
			t.Fatalf("read again\n%q\nwant\n%q", got, want)
		}
	})
}

func flatten(f *File) string {
	var text strings.Builder
	for _, s := range f.Sections {
		fmt.Fprintf(&text, "[%q]\n", s.Name)
		for _, e := range s.Entries {
			fmt.Fprintf(&text, "%q=%q\n", e.Key, e.Value)
		}
	}
	return text.String()
}

func BenchmarkParse(b *testing.B) {
	text := "[Unit]\nDescription=x\n" + strings.Repeat("[Container]\nEnvironment=A=1 B=\"two words\"\n# c\nExec=a \\\n  b\n", 5)
	var p Parser
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		p.Parse("f", text, 0)
	}
}

// TestReopenedSection: sections that go on later keep their lines apart, room for additions included.
func TestReopenedSection(t *testing.T) {
	f, _ := Parse("f", "[A]\na=1\n[B]\nb=1\n[A]\na=2\n[B]\nb=2\n[A]\na=3\n")
	f.Section("A").Add("a", "4")
	f.Section("B").Add("b", "3")
	f.Section("A").Prepend(Entry{Key: "a", Value: "0"})
	if got, want := f.String(), "[A]\na=0\na=1\na=2\na=3\na=4\n\n[B]\nb=1\nb=2\nb=3\n"; got != want {
		t.Errorf("got:\n%s", got)
	}
}

// BenchmarkReopen: a file that goes back and forth between two sections must not cost more than its length.
func BenchmarkReopen(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		text := strings.Repeat("[a]\nk=1\n[b]\nk=1\n", n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				Parse("f", text)
			}
		})
	}
}
