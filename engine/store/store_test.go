package store

import "testing"

func TestIsOf(t *testing.T) {
	for _, c := range []struct {
		name, repository string
		want             bool
	}{
		{"host:5000/web:1", "host:5000/web", true},
		{"host:5000/web@sha256:00", "host:5000/web", true},
		{"host:5000/web:1", "host", false},
		{"host:5000/website:1", "host:5000/web", false},
		{"other/web:1", "host/web", false},
	} {
		if got := isOf([]string{"x/y:1", c.name}, c.repository); got != c.want {
			t.Errorf("isOf(%q, %q) = %t", c.name, c.repository, got)
		}
	}
}
