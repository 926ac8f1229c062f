//go:build containers_image_openpgp

package main

import (
	"strings"
	"testing"
)

func TestScpArgs(t *testing.T) {
	for typed, want := range map[string]string{
		"web":               "|web|",
		"web a@localhost::": "|web|a@localhost",
		"a@localhost::web":  "a@localhost|web|",
		"a@localhost::h:5/web:1 root@localhost::": "a@localhost|h:5/web:1|root@localhost",
		"web a@elsewhere::":                       `"a@elsewhere::": images are copied between users of this machine only`,
		"elsewhere::web":                          `"elsewhere::": images are copied between users of this machine only`,
		"web other":                               "write the destination as USER@localhost::",
		"a@localhost::":                           "say which image",
	} {
		from, image, to, err := scpArgs(strings.Fields(typed))
		got := string(from) + "|" + image + "|" + string(to)
		if err != nil {
			got = err.Error()
		}
		if got != want && (err == nil || !strings.Contains(got, want)) {
			t.Errorf("%s: %s, want %s", typed, got, want)
		}
	}
}
