package name

import (
	"fmt"
	"strings"
)

// Registries is what registries.conf says about short names.
type Registries struct {
	Aliases map[string]string // [aliases]: short name without tag → REGISTRY/PATH
	Search  []string          // unqualified-search-registries, in order
	Mode    Mode              // short-name-mode
	Origin  string            // the file that the search list came from, for messages; empty when there is none
}

// Mode is short-name-mode of registries.conf.
type Mode int

const (
	Enforcing  Mode = iota // the default: several candidates are an error where nobody can be asked
	Permissive             // try the candidates in order where nobody can be asked
	Disabled               // try the candidates in order
)

// Candidates returns the full names that s can mean when it is pulled, the best first. This is the whole order:
//
//  1. a name with a registry means itself;
//  2. a short name with an alias means the alias and nothing else;
//  3. any other short name means the same name on each search registry, in the order of the list.
//
// A digest wins over a tag that stands beside it, because no registry can be asked for both. Under Enforcing more than
// one candidate is an error: a unit that starts at boot must not depend on which registry answers.
func Candidates(s string, r Registries) ([]Name, error) {
	n, err := Parse(s)
	if err != nil {
		return nil, err
	}
	if n.Digest != "" {
		n.Tag = ""
	}
	if !n.Short() {
		return []Name{n.Complete()}, nil
	}
	if target, ok, err := r.alias(n); ok || err != nil {
		return []Name{target}, err
	}
	if len(r.Search) == 0 {
		return nil, noSearch(s, n, r)
	}
	all, err := r.search(n)
	if err != nil {
		return nil, err
	}
	if len(all) > 1 && r.Mode == Enforcing {
		return nil, fmt.Errorf("image name %q can mean %s: write the one that is meant, or set short-name-mode=\"permissive\" in %s",
			s, join(all), r.file())
	}
	return all, nil
}

// LocalCandidates returns the full names under which an image called s can be in the store, the best first: an alias,
// localhost, then the search registries. Unlike Candidates it never asks for more precision, as what is in the store
// was put there on purpose, and it always has an answer for a well-formed name.
func LocalCandidates(s string, r Registries) ([]Name, error) {
	n, err := Parse(s)
	if err != nil {
		return nil, err
	}
	if n.Digest != "" {
		n.Tag = ""
	}
	if !n.Short() {
		return []Name{n.Complete()}, nil
	}
	var all []Name
	target, ok, err := r.alias(n)
	if err != nil {
		return nil, err
	}
	if ok {
		all = append(all, target)
	}
	all = append(all, n.At(Local))
	searched, err := r.search(n)
	return append(all, searched...), err
}

func (r Registries) alias(n Name) (Name, bool, error) {
	target, ok := r.Aliases[n.Path]
	if !ok {
		return Name{}, false, nil
	}
	t, err := Parse(target)
	if err != nil || t.Short() || t.Tag != "" || t.Digest != "" {
		return Name{}, false, fmt.Errorf("alias %q in %s: %q must be REGISTRY/PATH without a tag", n.Path, r.file(), target)
	}
	t.Tag, t.Digest = n.Tag, n.Digest
	return t.Complete(), true, nil
}

func (r Registries) search(n Name) ([]Name, error) {
	var all []Name
	for _, registry := range r.Search {
		full, err := Parse(registry + "/" + n.String())
		if err != nil {
			return nil, fmt.Errorf("unqualified-search-registries in %s: %w", r.file(), err)
		}
		all = append(all, full.Complete())
	}
	return all, nil
}

func (r Registries) file() string {
	if r.Origin == "" {
		return "/etc/containers/registries.conf"
	}
	return r.Origin
}

func noSearch(s string, n Name, r Registries) error {
	return fmt.Errorf("image name %q has no registry, and %s names none to search: write it out, as in %s, or add unqualified-search-registries = [\"docker.io\"] there",
		s, r.file(), n.At("docker.io"))
}

func join(all []Name) string {
	var s []string
	for _, n := range all {
		s = append(s, n.String())
	}
	return strings.Join(s, " or ")
}
