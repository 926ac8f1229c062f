package cli

import (
	"strings"
	"testing"
)

func TestTopWords(t *testing.T) {
	for words, want := range map[string]string{
		"pid": "pid", "pid ppid,args comm": "pid ppid args comm", "-o pid,comm": "ps", "aux": "ps", "axo pid,nosuch": "ps", "--no-such-option": "ps",
		"nosuchcolumn":     "\"nosuchcolumn\" is no descriptor",
		"pid,nosuchcolumn": "\"nosuchcolumn\" is no descriptor",
		"pid nosuchcolumn": "\"nosuchcolumn\" is no descriptor",
	} {
		list, err := descriptors(strings.Fields(words))
		got := strings.Join(list, " ")
		switch {
		case err != nil:
			got = err.Error()
		case list == nil:
			got = "ps"
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", words, got, want)
		}
	}
}
