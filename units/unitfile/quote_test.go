package unitfile

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func words(split []Word) string {
	var texts []string
	for _, w := range split {
		texts = append(texts, "<"+w.Text+">")
	}
	return strings.Join(texts, "")
}

func TestSplitWords(t *testing.T) {
	for value, want := range map[string]string{
		"":                "",
		"  a\tb \n c ":    "<a><b><c>",
		`"a b" 'c "d"'`:   `<a b><c "d">`,
		`x"y z"w`:         "<xy zw>",
		`a\n \"`:          `error unbalanced quote "`,
		`a\n b\\`:         `<a\n><b\\>`,
		`"" a ''`:         "<><a><>",
		`'open`:           `error unbalanced quote '`,
		`"it's" 'a"b'"c"`: `<it's><a"bc>`,
	} {
		got, err := SplitWords(value)
		if err != nil {
			got = []Word{{Text: ""}}
			if text := "error " + err.Error(); text != want {
				t.Errorf("%s: %s, want %s", value, text, want)
			}
			continue
		}
		if words(got) != want {
			t.Errorf("%s: %s, want %s", value, words(got), want)
		}
	}
}

func TestSplitArgs(t *testing.T) {
	for value, want := range map[string]string{
		`a "b\tc" \x41\101`:        "<a><b\tc><AA>",
		`\a\b\f\n\r\t\v\\\"\'\s\;`: "<\a\b\f\n\r\t\v\\\"' ;>",
		`'\n'`:                     "<\n>",
		`\u00e9 \U0001f600`:        "<é><😀>",
		`\xc3\xa9`:                 "<é>",
		`a "open end`:              `<a><open end> error unbalanced quote " at 2`,
		`it's`:                     `<its> error unbalanced quote ' at 2`,
		`a "" b`:                   "<a><><b>",
		`end\`:                     `<end\>`,
		`; \; ";"`:                 "<;><;><;>",
		`\d`:                       `error unsupported escape char \d`,
		`\é`:                       `error unsupported escape char \é`,
		`\x4`:                      `error unsupported escape char sequence "\x4"`,
		`\xzz`:                     `error unsupported escape char sequence "\xz"`,
		`\00`:                      `error unsupported escape char sequence "\00"`,
		`\000`:                     "error unsupported escape char: a NUL byte cannot be in a word",
		`\777`:                     `error unsupported escape char: \777 is no character`,
		`\Uffffffff`:               `error unsupported escape char: \Uffffffff is no character`,
		`\ud800`:                   `error unsupported escape char: \ud800 is no character`,
	} {
		got, err := SplitArgs(value)
		text := words(got)
		if q, ok := err.(*QuoteError); ok && q.Open {
			text += fmt.Sprintf(" error %v at %d", err, q.Off)
		} else if err != nil {
			text = "error " + err.Error()
		}
		if text != want {
			t.Errorf("%s: %s, want %s", value, text, want)
		}
	}
}

func TestOffsets(t *testing.T) {
	value := `a  "b c"   d`
	for _, split := range []func(string) ([]Word, error){SplitWords, SplitArgs} {
		got, err := split(value)
		if err != nil || len(got) != 3 || got[0].Off != 0 || got[1].Off != 3 || got[2].Off != 11 {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestUnquote(t *testing.T) {
	for value, want := range map[string]string{`"a"`: "a", `"a`: `"a`, `a"`: `a"`, `'a'`: `'a'`, `""`: "", `"`: `"`, `"a b"  `: "a b", `"a" "b"`: `a" "b`} {
		if got := Unquote(value); got != want {
			t.Errorf("%s: %s, want %s", value, got, want)
		}
	}
}

func TestQuoteWord(t *testing.T) {
	for word, want := range map[string]string{
		"plain":        "plain",
		"":             `""`,
		";":            `";"`,
		"a;b":          "a;b",
		"a b":          `"a b"`,
		`a"b`:          `"a\"b"`,
		"a'b":          `"a'b"`,
		`a\b`:          `"a\\b"`,
		"$X %n ${Y}":   `"$X %n ${Y}"`,
		"$X%n":         "$X%n",
		"a\nb\x01\x7f": `"a\nb\x01\x7f"`,
		"é😀":           "é😀",
		"\xff":         `"\xff"`,
		"é \xc3":       `"é \xc3"`,
	} {
		if got := QuoteWord(word); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
}

// FuzzQuote: every word is read back as it was, alone and among others, and stays on its line.
func FuzzQuote(f *testing.F) {
	for _, seed := range []string{"", " ", ";", `\`, `"`, "'", "a\nb", "\xff\xfe", "é", "%n$X", "\\x41", "\u2028"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, word string) {
		if strings.IndexByte(word, 0) >= 0 {
			return // no command line can have it
		}
		line := JoinWords([]string{"a", word, "b c"})
		if strings.ContainsAny(line, "\n\r\x00") || !utf8.ValidString(line) {
			t.Fatalf("%q is written as %q", word, line)
		}
		got, err := SplitArgs(line)
		if err != nil || words(got) != "<a><"+word+"><b c>" {
			t.Fatalf("%q is written as %q and read as %s, %v", word, line, words(got), err)
		}
		file, errs := Parse("f", "[A]\nk="+line+"\n")
		if len(errs) > 0 || file.Section("A").Last("k").Value != line {
			t.Fatalf("%q does not survive in a file: %v", line, errs)
		}
	})
}

// FuzzSplit: splitting ends, and offsets are in order and inside.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{`a "b c" 'd'`, `\x41\u1234\`, `"`, `'" "'`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, split := range []func(string) ([]Word, error){SplitWords, SplitArgs} {
			got, err := split(value)
			last := -1
			for _, w := range got {
				if w.Off <= last || w.Off >= len(value) {
					t.Fatalf("%q: offset %d after %d", value, w.Off, last)
				}
				last = w.Off
			}
			if q, ok := err.(*QuoteError); ok && (q.Off < 0 || q.Off >= len(value)) {
				t.Fatalf("%q: error at %d", value, q.Off)
			}
		}
	})
}
