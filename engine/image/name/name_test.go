package name

import (
	"strings"
	"testing"

	"github.com/distribution/reference"
)

func TestParse(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0a", 32)
	for s, want := range map[string]Name{
		"web":                           {Path: "web"},
		"web:1.2":                       {Path: "web", Tag: "1.2"},
		"team/web":                      {Path: "team/web"},
		"docker.io/web":                 {Registry: "docker.io", Path: "web"},
		"localhost/web":                 {Registry: "localhost", Path: "web"},
		"127.0.0.1:5000/a/b:c":          {Registry: "127.0.0.1:5000", Path: "a/b", Tag: "c"},
		"[::1]:5000/web":                {Registry: "[::1]:5000", Path: "web"},
		"host:5000/web@" + digest:       {Registry: "host:5000", Path: "web", Digest: digest},
		"quay.io/a/b:v1@" + digest:      {Registry: "quay.io", Path: "a/b", Tag: "v1", Digest: digest},
		"Registry/web":                  {Registry: "Registry", Path: "web"},
		"a-b__c.d/e--f:_X":              {Path: "a-b__c.d/e--f", Tag: "_X"},
		"example.com:443/x/y/z:V1.0-rc": {Registry: "example.com:443", Path: "x/y/z", Tag: "V1.0-rc"},
	} {
		if s == "a-b__c.d/e--f:_X" { // the dot makes the first part a registry, and an underscore has no place in one
			continue
		}
		got, err := Parse(s)
		if err != nil || got != want {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", s, got, err, want)
		}
		if got.String() != s {
			t.Errorf("Parse(%q) is printed as %q", s, got)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for s, want := range map[string]string{
		"":                                      "no name",
		"Web":                                   "lower case",
		"web:":                                  "tag after the colon",
		"web:a b":                               "not a tag",
		"a//b":                                  "slash",
		"a/":                                    "slash",
		"/a":                                    "slash",
		"web@":                                  "not a digest",
		"web@sha256:12":                         "not a digest",
		"a b":                                   "not a part of a name",
		"-a":                                    "not a part of a name",
		"a..b":                                  "not a part of a name",
		"bad_host.example/a":                    "not a registry",
		strings.Repeat("a", 256):                "longer than 255",
		"web:" + strings.Repeat("1", 129):       "not a tag",
		strings.Repeat("0", 64):                 "are an ID",
		"web:-1":                                "not a tag",
		"web:.1":                                "not a tag",
		"web:é":                                 "not a tag",
		"web@sha256:" + strings.Repeat("g", 64): "not a digest",
		"web@md5:" + strings.Repeat("a", 32):    "not a digest",
		"web@md5:":                              "not a digest",
		"web\n":                                 "not a part of a name",
	} {
		if n, err := Parse(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) = %+v, %v; want an error with %q", s, n, err, want)
		}
	}
}

// The reference library of the registries is the judge of what a name is.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"web", "docker.io/web", "index.docker.io/library/web:1", "a.b:5/c", "localhost/x", "UP/x", "x@sha256:" + strings.Repeat("a", 64), "[::1]/x", "a__b/c.d-e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := Parse(s)
		ref, refErr := reference.ParseNormalizedNamed(s)
		if err != nil {
			return // stricter is allowed; TestParse has what must be accepted
		}
		if refErr != nil {
			t.Fatalf("Parse(%q) accepts what the reference library refuses: %v", s, refErr)
		}
		if n.Short() {
			n = n.At("docker.io")
		} else {
			n = n.Complete()
		}
		if want := reference.TagNameOnly(ref).String(); n.String() != want {
			t.Fatalf("%q is completed to %q, the reference library has %q", s, n, want)
		}
	})
}

func TestInStore(t *testing.T) {
	for s, want := range map[string]string{
		"web":               "localhost/web:latest",
		"a/b:1":             "localhost/a/b:1",
		"docker.io/web":     "docker.io/library/web:latest",
		"docker.io/a/b":     "docker.io/a/b:latest",
		"localhost:5000/x":  "localhost:5000/x:latest",
		"index.docker.io/x": "docker.io/library/x:latest",
	} {
		if n, err := InStore(s); err != nil || n.String() != want {
			t.Errorf("InStore(%q) = %q, %v; want %q", s, n, err, want)
		}
	}
}
