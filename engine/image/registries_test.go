//go:build containers_image_openpgp

package image

import (
	"slices"
	"testing"

	"go.podman.io/image/v5/types"

	"github.com/berth-pods/berth/engine/image/name"
)

// What registries.conf says reaches the rules of package name.
func TestRegistries(t *testing.T) {
	isolate(t)
	setRegistries(t, `unqualified-search-registries = ["quay.io", "docker.io"]
short-name-mode = "permissive"
[aliases]
"alpine" = "docker.io/library/alpine"
"team/app" = "registry.example:5000/team/app"
`)
	for s, want := range map[string][]string{
		"web:1":         {"quay.io/web:1", "docker.io/library/web:1"},
		"alpine:3":      {"docker.io/library/alpine:3"},
		"team/app":      {"registry.example:5000/team/app:latest"},
		"localhost/x:1": {"localhost/x:1"},
	} {
		known, err := registries(&types.SystemContext{}, s)
		if err != nil {
			t.Fatal(err)
		}
		got, err := name.Candidates(s, known)
		if err != nil || !slices.Equal(texts(got), want) {
			t.Errorf("%s: %q, %v; want %q", s, texts(got), err, want)
		}
	}
	setRegistries(t, "short-name-mode = \"enforcing\"\nunqualified-search-registries = [\"a.io\", \"b.io\"]\n")
	known, err := registries(&types.SystemContext{}, "web")
	if err != nil || known.Mode != name.Enforcing || known.Origin == "" {
		t.Errorf("%+v, %v; want enforcing, and the file it came from", known, err)
	}
	setRegistries(t, "not toml")
	if _, err := registries(&types.SystemContext{}, "web"); err == nil {
		t.Error("a registries.conf that cannot be read was passed over")
	}
}
