// Package name reads image names as people write them and says, in order, which full names a short one can mean.
// It links nothing outside the standard library, so the engine looks up local images by the same rules as the program
// that pulls them.
package name

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// A Name is an image name taken apart: REGISTRY/PATH:TAG@DIGEST. Only Path is never empty.
type Name struct {
	Registry string // host with an optional port, or localhost; empty in a short name
	Path     string // lower case components with slashes between them
	Tag      string
	Digest   string // algorithm:hex
}

// Local is the registry part of the names of images that were built or loaded here and name no registry.
const Local = "localhost"

// maxName is the longest REGISTRY/PATH that registries accept, in bytes.
const maxName = 255

var (
	host = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(?:(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])(?:\.(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9]))*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?$`)
	})
	component = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$`) })
)

// maxTag is the longest tag, in bytes.
const maxTag = 128

// validTag and validDigest count by hand: as expressions their long repeats cost every start of a program milliseconds.
func validTag(s string) bool {
	return len(s) <= maxTag && s != "" && !strings.ContainsAny(s[:1], ".-") && strings.Trim(s, letters+"0123456789_.-") == ""
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// digestSizes are the lengths of digests in hexadecimal digits (OCI image-spec, descriptor.md, Digests).
var digestSizes = map[string]int{"sha256": 64, "sha384": 96, "sha512": 128}

func validDigest(s string) bool {
	algorithm, hex, _ := strings.Cut(s, ":")
	return hex != "" && len(hex) == digestSizes[algorithm] && strings.Trim(hex, "0123456789abcdef") == ""
}

// Parse takes a name apart without completing it. The error names the part that is wrong.
func Parse(s string) (Name, error) {
	rest := s
	var n Name
	rest, n.Digest, _ = strings.Cut(rest, "@")
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') {
		rest, n.Tag = rest[:i], rest[i+1:]
		if n.Tag == "" {
			return Name{}, fmt.Errorf("image name %q: the tag after the colon is missing", s)
		}
	}
	n.Registry, n.Path = splitRegistry(rest)
	return n, n.check(s)
}

// splitRegistry follows the rule that Docker set: the part before the first slash is a registry when it has a dot or
// a port, is localhost, or has a capital letter, which no path may have.
func splitRegistry(s string) (registry, path string) {
	first, rest, found := strings.Cut(s, "/")
	if found && (strings.ContainsAny(first, ".:") || first == Local || strings.ToLower(first) != first) {
		return first, rest
	}
	return "", s
}

func (n Name) check(s string) error {
	if n.Path == "" {
		return fmt.Errorf("image name %q: there is no name in it", s)
	}
	if n.Registry != "" && !host().MatchString(n.Registry) {
		return fmt.Errorf("image name %q: %q is not a registry (HOST or HOST:PORT)", s, n.Registry)
	}
	if validDigest("sha256:" + s) {
		return fmt.Errorf("image name %q: 64 hexadecimal digits alone are an ID; a name that looks like one needs a registry or a tag", s)
	}
	for _, c := range strings.Split(n.Path, "/") {
		if !component().MatchString(c) {
			return fmt.Errorf("image name %q: %s", s, whyNot(c))
		}
	}
	if len(n.Registry)+1+len(n.Path) > maxName {
		return fmt.Errorf("image name %q: longer than %d bytes", s, maxName)
	}
	if n.Tag != "" && !validTag(n.Tag) {
		return fmt.Errorf("image name %q: %q is not a tag (letters, digits and _ . -, at most 128)", s, n.Tag)
	}
	if strings.Contains(s, "@") && !validDigest(n.Digest) {
		return fmt.Errorf("image name %q: %q is not a digest (sha256: and 64 hex digits)", s, n.Digest)
	}
	return nil
}

func whyNot(component string) string {
	switch {
	case component == "":
		return "two slashes stand together or one stands at an end"
	case strings.ToLower(component) != component:
		return fmt.Sprintf("%q has capital letters, image names are lower case", component)
	}
	return fmt.Sprintf("%q is not a part of a name (letters, digits, and single . _ - between them)", component)
}

// String puts the name together again.
func (n Name) String() string {
	s := n.Repository()
	if n.Tag != "" {
		s += ":" + n.Tag
	}
	if n.Digest != "" {
		s += "@" + n.Digest
	}
	return s
}

// Repository is the name without tag and digest.
func (n Name) Repository() string {
	if n.Registry == "" {
		return n.Path
	}
	return n.Registry + "/" + n.Path
}

// Short tells whether the name leaves open which registry is meant.
func (n Name) Short() bool { return n.Registry == "" }

// Complete fills in what the storage always writes out: the tag latest where neither tag nor digest is given, and
// library/ for a single word on Docker Hub, which is called docker.io whichever of its names was used.
// The registry stays empty in a short name.
func (n Name) Complete() Name {
	if n.Tag == "" && n.Digest == "" {
		n.Tag = "latest"
	}
	if n.Registry == "index.docker.io" {
		n.Registry = "docker.io"
	}
	if n.Registry == "docker.io" && !strings.Contains(n.Path, "/") {
		n.Path = "library/" + n.Path
	}
	return n
}

// At is the same image on another registry.
func (n Name) At(registry string) Name {
	n.Registry = registry
	return n.Complete()
}

// InStore is the full name under which an image that the user calls s is kept when no registry is involved, as after
// tag and load: a short name belongs to localhost.
func InStore(s string) (Name, error) {
	n, err := Parse(s)
	if err != nil {
		return Name{}, err
	}
	if n.Short() {
		return n.At(Local), nil
	}
	return n.Complete(), nil
}
