package spec

import (
	"strings"
	"testing"
)

func TestMountFields(t *testing.T) {
	for s, want := range map[string]string{
		`a`: `a`, `a,b`: `a|b`, ``: ``, `a,,b,`: `a||b|`, `"a,b",c`: `a,b|c`, `"a""b"`: `a"b`, `""`: ``, `"a",`: `a|`,
		`a"b`: `error a quotation`, `"a`: `error a quotation`, `"a"b`: `error after`, `a,"`: `error a quotation`, `"a""`: `error a quotation`,
	} {
		fields, err := mountFields(s)
		got := strings.Join(fields, "|")
		if err != nil {
			got = "error " + err.Error()
		}
		if got != want && (err == nil || !strings.HasPrefix(got, want)) {
			t.Errorf("%s: %s, want %s", s, got, want)
		}
	}
}
