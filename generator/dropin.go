package generator

import (
	"slices"
	"sort"

	"github.com/berth-pods/berth/units"
)

// dropinDirs lists the directories whose .conf files belong to a unit file, special ones first. For a-b.container these are
// a-b.container.d, a-.container.d and container.d; an instance also has its template's.
func dropinDirs(n units.Name) []string {
	ext := n.Kind.Extension()
	dirs := []string{n.Stem + ext + ".d"}
	if n.At && n.Instance != "" {
		dirs = append(dirs, n.Prefix+"@"+ext+".d")
	}
	for i := len(n.Prefix) - 1; i > 0; i-- {
		if n.Prefix[i] != '-' || i == len(n.Prefix)-1 {
			continue
		}
		if n.At {
			dirs = append(dirs, n.Prefix[:i+1]+"@"+ext+".d")
		}
		dirs = append(dirs, n.Prefix[:i+1]+ext+".d")
	}
	return append(dirs, ext[1:]+".d")
}

// dropinsOf returns the drop-ins of a unit file in the order in which they are merged, which is the order of their names.
// Of two with one name, the one in the more special directory counts, and of those the one found first. A masked
// one has no text.
func (g *generation) dropinsOf(n units.Name) []Source {
	var chosen []Source
	for _, dir := range dropinDirs(n) {
		for _, s := range g.set.Dropins[dir] {
			if !slices.ContainsFunc(chosen, func(c Source) bool { return c.Name == s.Name }) {
				chosen = append(chosen, s)
			}
		}
	}
	sort.Slice(chosen, func(i, j int) bool { return chosen[i].Name < chosen[j].Name })
	return chosen
}
