package unitfile

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Word is one word of a value. Off is where it begins in the value, in bytes.
type Word struct {
	Text string
	Off  int
}

// QuoteError says what is wrong at the byte Off of a value.
type QuoteError struct {
	Off     int
	Message string
	Open    bool // it is a quote that ends with the value; the words are there nevertheless
}

func (e *QuoteError) Error() string { return e.Message }

// SplitWords splits at white space. Single and double quotes group, in mid-word too, and are removed; a backslash is an
// ordinary character. An open quote is an error.
func SplitWords(value string) ([]Word, error) {
	return split(value, false)
}

// SplitArgs splits as systemd splits a command line: like SplitWords, but escapes are decoded. An unknown escape is an error. As in
// systemd, \xHH and \OOO stand for one byte and \; for a semicolon. A quote that is left open ends with the value, as in Podman's
// generator; systemd refuses it, so the words come with an error that is Open.
func SplitArgs(value string) ([]Word, error) {
	return split(value, true)
}

func split(value string, escapes bool) ([]Word, error) {
	if strings.IndexByte(value, '"') < 0 && strings.IndexByte(value, '\'') < 0 &&
		(!escapes || strings.IndexByte(value, '\\') < 0) {
		return splitPlain(value), nil
	}
	var words []Word
	i := 0
	for {
		for i < len(value) && isSpace(value[i]) {
			i++
		}
		if i >= len(value) {
			return words, nil
		}
		if words == nil {
			words = make([]Word, 0, 1+strings.Count(value[i:], " ")/2)
		}
		text, next, err := oneWord(value, i, escapes)
		if err != nil && !err.Open {
			return nil, err
		}
		words = append(words, Word{text, i})
		if err != nil {
			return words, err
		}
		i = next
	}
}

func splitPlain(value string) []Word {
	var words []Word
	for i := 0; i < len(value); {
		if isSpace(value[i]) {
			i++
			continue
		}
		start := i
		for i < len(value) && !isSpace(value[i]) {
			i++
		}
		words = append(words, Word{value[start:i], start})
	}
	return words
}

// oneWord reads the word at i and returns the index after it.
func oneWord(value string, i int, escapes bool) (string, int, *QuoteError) {
	start := i
	for i < len(value) && !isSpace(value[i]) && value[i] != '"' && value[i] != '\'' && value[i] != '\\' {
		i++
	}
	if i == len(value) || isSpace(value[i]) {
		return value[start:i], i, nil // nearly all words have nothing to decode
	}
	text := append(make([]byte, 0, i-start+16), value[start:i]...)
	var quote byte
	opened := 0
	for ; i < len(value); i++ {
		c := value[i]
		switch {
		case c == '\\' && escapes:
			decoded, n, err := unescape(value, i)
			if err != nil {
				return "", 0, err
			}
			text = append(text, decoded...)
			i += n - 1
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			text = append(text, c)
		case c == '"' || c == '\'':
			quote, opened = c, i
		case isSpace(c):
			return string(text), i, nil
		default:
			text = append(text, c)
		}
	}
	if quote != 0 {
		return string(text), i, &QuoteError{Off: opened, Message: "unbalanced quote " + string(rune(quote)), Open: escapes}
	}
	return string(text), i, nil
}

// BadEscape begins the message for an escape that systemd does not know.
const BadEscape = "unsupported escape char"

// unescape decodes the escape at value[i] (a backslash) and returns how many bytes it took. A backslash at the very end
// stands for itself.
func unescape(value string, i int) (decoded []byte, n int, err *QuoteError) {
	if i+1 >= len(value) {
		return []byte{'\\'}, 1, nil
	}
	c := value[i+1]
	if plain := strings.IndexByte(`abfnrtv\"'s;`, c); plain >= 0 {
		return []byte{"\a\b\f\n\r\t\v\\\"' ;"[plain]}, 2, nil
	}
	switch {
	case c == 'x':
		return numeric(value, i, i+2, 2, 16)
	case c == 'u':
		return numeric(value, i, i+2, 4, 16)
	case c == 'U':
		return numeric(value, i, i+2, 8, 16)
	case c >= '0' && c <= '7':
		return numeric(value, i, i+1, 3, 8)
	}
	r, _ := utf8.DecodeRuneInString(value[i+1:])
	return nil, 0, &QuoteError{Off: i, Message: BadEscape + ` \` + string(r)}
}

// numeric decodes count digits at start; the escape itself begins at from.
func numeric(value string, from, start, count int, base uint32) ([]byte, int, *QuoteError) {
	var v uint32
	for j := start; j < start+count; j++ {
		d := uint32(99)
		if j < len(value) {
			d = digit(value[j])
		}
		if d >= base {
			return nil, 0, &QuoteError{Off: from, Message: BadEscape + " sequence " + clip(value[from:min(j+1, len(value))])}
		}
		v = v*base + d
	}
	n := start + count - from
	wide := count > 3
	switch {
	case v == 0:
		return nil, 0, &QuoteError{Off: from, Message: BadEscape + ": a NUL byte cannot be in a word"}
	case !wide && v > 255, wide && (v > utf8.MaxRune || !utf8.ValidRune(rune(v))):
		return nil, 0, &QuoteError{Off: from, Message: BadEscape + ": " + value[from:from+n] + " is no character"}
	case wide:
		return utf8.AppendRune(nil, rune(v)), n, nil
	}
	return []byte{byte(v)}, n, nil
}

func digit(c byte) uint32 {
	switch {
	case c >= '0' && c <= '9':
		return uint32(c - '0')
	case c >= 'a' && c <= 'f':
		return uint32(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return uint32(c-'A') + 10
	}
	return 99
}

// AppendQuoted writes a word so that systemd reads the same word from a command line. Words with white space, quotes,
// backslashes, control characters or bytes that are no UTF-8 stand in double quotes with escapes; $ and % are left for
// systemd to expand.
func AppendQuoted(buf []byte, word string) []byte {
	if !needsQuotes(word) {
		return append(buf, word...)
	}
	const hex = "0123456789abcdef"
	buf = append(buf, '"')
	for i := 0; i < len(word); {
		r, n := utf8.DecodeRuneInString(word[i:])
		c := word[i]
		switch {
		case r == utf8.RuneError && n == 1, c < ' ' && strings.IndexByte("\a\b\f\n\r\t\v", c) < 0, c == 0x7f:
			buf = append(buf, '\\', 'x', hex[c>>4], hex[c&15])
		case c < ' ':
			buf = append(buf, '\\', "abfnrtv"[strings.IndexByte("\a\b\f\n\r\t\v", c)])
		case c == '"' || c == '\\':
			buf = append(buf, '\\', c)
		default:
			buf = append(buf, word[i:i+n]...)
		}
		i += n
	}
	return append(buf, '"')
}

// needsQuotes: an empty word would vanish and a lone semicolon would end the command.
func needsQuotes(word string) bool {
	if word == "" || word == ";" {
		return true
	}
	high := false
	for i := 0; i < len(word); i++ {
		c := word[i]
		if c <= ' ' || c == '"' || c == '\'' || c == '\\' || c == 0x7f {
			return true
		}
		high = high || c >= utf8.RuneSelf
	}
	return high && !utf8.ValidString(word)
}

// QuoteWord is AppendQuoted for one word.
func QuoteWord(word string) string {
	if !needsQuotes(word) {
		return word
	}
	return string(AppendQuoted(nil, word))
}

// JoinWords quotes and joins words with blanks.
func JoinWords(words []string) string { return string(AppendWords(nil, words)) }

// AppendWords appends words, quoted and joined with blanks.
func AppendWords(buf []byte, words []string) []byte {
	n := 0
	for _, w := range words {
		n += len(w) + 1
	}
	buf = slices.Grow(buf, n+16)
	for i, w := range words {
		if i > 0 {
			buf = append(buf, ' ')
		}
		buf = AppendQuoted(buf, w)
	}
	return buf
}
