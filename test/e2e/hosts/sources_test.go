package hosts

import (
	"slices"
	"strings"
	"testing"
)

func TestDebianSources(t *testing.T) {
	tests := []struct {
		name, codename string
		files          map[string]string
		want           []string
	}{
		{"one line", "bookworm", map[string]string{"/etc/apt/sources.list": `
deb http://mirror.test/debian bookworm main contrib
deb-src http://mirror.test/debian bookworm main
deb [arch=amd64 trusted=yes] http://mirror.test/debian bookworm-updates main # comment
# deb http://mirror.test/debian bookworm-backports main
deb http://mirror.test/debian bookworm-backports main
`}, []string{
			"deb http://mirror.test/debian trixie main",
			"deb [trusted=yes] http://mirror.test/debian trixie-updates main",
		}},
		{"deb822", "bookworm", map[string]string{"/etc/apt/sources.list.d/debian.sources": `Types: deb
# a comment
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb deb-src
URIs: http://mirror.test/security
Suites: bookworm-security
Components: main
`}, []string{
			"deb [signed-by=/usr/share/keyrings/debian.gpg] http://mirror.test/debian trixie main",
			"deb [signed-by=/usr/share/keyrings/debian.gpg] http://mirror.test/debian trixie-updates main",
			"deb http://mirror.test/security trixie-security main",
		}},
		{"others are left out", "bookworm", map[string]string{
			"/etc/apt/sources.list": "deb http://mirror.test/debian bookworm main\n",
			"/etc/apt/sources.list.d/other.sources": "Types: deb\nURIs: http://other.test\nSuites: stable nodistro\nComponents: main\n" +
				"\nTypes: deb\nEnabled: no\nURIs: http://off.test\nSuites: bookworm\nComponents: main\n" +
				"\nTypes: deb-src\nURIs: http://source.test\nSuites: bookworm\nComponents: main\n",
		}, []string{"deb http://mirror.test/debian trixie main"}},
		{"already the suite", "trixie", map[string]string{
			"/etc/apt/sources.list": "deb http://mirror.test/debian trixie main\ndeb http://mirror.test/debian trixie-security main",
		}, []string{
			"deb http://mirror.test/debian trixie main",
			"deb http://mirror.test/debian trixie-security main",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := debianSources(test.files, test.codename)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("%v\n%s\nwant\n%s", err, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestDebianSourcesSaysWhatToDoWithoutOne(t *testing.T) {
	_, err := debianSources(map[string]string{"/etc/apt/sources.list": "deb http://x.test/ubuntu noble main"}, "bookworm")
	if err == nil || !strings.Contains(err.Error(), "BERTH_DEBIAN_MIRROR") {
		t.Errorf("error %v does not name BERTH_DEBIAN_MIRROR", err)
	}
}
