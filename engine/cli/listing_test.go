package cli

import (
	"strings"
	"testing"
)

// calls counts how often it is written to.
type calls struct {
	strings.Builder
	n int
}

func (c *calls) Write(p []byte) (int, error) {
	c.n++
	return c.Builder.Write(p)
}

// TestListIsWrittenAtOnce: a thousand containers are no ten thousand system calls.
func TestListIsWrittenAtOnce(t *testing.T) {
	rows := make([]string, 1000)
	for i := range rows {
		rows[i] = "row"
	}
	list := table[string]{headings: []string{"NAME", "AGAIN"}, cells: func(r string) []string { return []string{r, r} }, key: func(r string) string { return r }}
	for name, l := range map[string]listing{"table": {}, "quiet": {quiet: true}} {
		var out calls
		if err := printList(&out, l, rows, list); err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(out.String(), "\n"); lines < len(rows) || out.n > lines/100 {
			t.Errorf("%s: %d lines in %d writes", name, lines, out.n)
		}
	}
}
