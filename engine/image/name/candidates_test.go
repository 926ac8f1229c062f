package name

import (
	"strings"
	"testing"
)

func TestCandidates(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("0a", 32)
	alias := map[string]string{"alpine": "docker.io/library/alpine", "team/app": "quay.io/team/app"}
	one := Registries{Aliases: alias, Search: []string{"docker.io"}}
	two := Registries{Aliases: alias, Search: []string{"quay.io", "docker.io"}, Mode: Permissive, Origin: "/etc/containers/registries.conf"}
	strict := two
	strict.Mode = Enforcing
	for _, c := range []struct {
		name        string
		s           string
		r           Registries
		pull, local string // names with spaces between them; an error that contains what follows "error:"
	}{
		{"a registry is a registry", "quay.io/x", two, "quay.io/x:latest", "quay.io/x:latest"},
		{"hub names are written out", "docker.io/x:1", two, "docker.io/library/x:1", "docker.io/library/x:1"},
		{"an alias wins", "alpine:3", two, "docker.io/library/alpine:3", "docker.io/library/alpine:3 localhost/alpine:3 quay.io/alpine:3 docker.io/library/alpine:3"},
		{"an alias keeps the digest", "alpine" + digest, one, "docker.io/library/alpine" + digest, "docker.io/library/alpine" + digest + " localhost/alpine" + digest + " docker.io/library/alpine" + digest},
		{"an alias with a slash", "team/app", one, "quay.io/team/app:latest", "quay.io/team/app:latest localhost/team/app:latest docker.io/team/app:latest"},
		{"the search order", "x", two, "quay.io/x:latest docker.io/library/x:latest", "localhost/x:latest quay.io/x:latest docker.io/library/x:latest"},
		{"one search registry is no question", "x", one, "docker.io/library/x:latest", "localhost/x:latest docker.io/library/x:latest"},
		{"several under enforcing", "x", strict, "error: can mean quay.io/x:latest or docker.io/library/x:latest: write", "localhost/x:latest quay.io/x:latest docker.io/library/x:latest"},
		{"nothing configured", "x", Registries{}, "error: write it out, as in docker.io/library/x:latest", "localhost/x:latest"},
		{"a digest beats a tag", "quay.io/x:1" + digest, one, "quay.io/x" + digest, "quay.io/x" + digest},
		{"a bad alias", "bad", Registries{Aliases: map[string]string{"bad": "x:1"}}, "error: must be REGISTRY/PATH", "error: must be REGISTRY/PATH"},
		{"a bad search registry", "x", Registries{Search: []string{"no good"}}, "error: unqualified-search-registries", "error: unqualified-search-registries"},
		{"a bad name", "X", one, "error: lower case", "error: lower case"},
	} {
		t.Run(c.name, func(t *testing.T) {
			pull, err := Candidates(c.s, c.r)
			check(t, "Candidates", pull, err, c.pull)
			local, err := LocalCandidates(c.s, c.r)
			check(t, "LocalCandidates", local, err, c.local)
		})
	}
}

func check(t *testing.T, what string, got []Name, err error, want string) {
	t.Helper()
	if words, ok := strings.CutPrefix(want, "error: "); ok {
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: error %v, want one with %q", what, err, words)
		}
		return
	}
	var all []string
	for _, n := range got {
		all = append(all, n.String())
	}
	if s := strings.Join(all, " "); err != nil || s != want {
		t.Errorf("%s: %q, %v; want %q", what, s, err, want)
	}
}
