package main

import (
	"regexp"
	"strings"
)

// names replaces identifiers that differ from run to run, and that a record
// in a store explains, by what they stand for: the 64 digits of a container
// become its name. An identifier that nothing explains stays, because it is
// what one needs to find the thing that was left behind.
type names struct {
	ids   map[string]string // 64 hex digits → name
	links map[string]string // overlay's short link → layer
}

var (
	longHex    = regexp.MustCompile(`[0-9a-f]{64}`)
	shortLink  = regexp.MustCompile(`\bl/[A-Z0-9]{26}\b`)
	machineHex = regexp.MustCompile(`\b[0-9a-f]{32}\b`)
	session    = regexp.MustCompile(`\bsession-c?\d+\.scope\b`)
	runUnit    = regexp.MustCompile(`\brun-(u\d+|r[0-9a-f]{32}|p\d+-i\d+)\.`)
	privateTmp = regexp.MustCompile(`(systemd-private-)[0-9a-f]{32}(-.+?)-[A-Za-z0-9]{6}\b`)
)

func newNames(stores []*store) *names {
	n := &names{ids: map[string]string{}, links: map[string]string{}}
	for _, s := range stores {
		for _, c := range s.containers {
			n.ids[c.ID] = "<" + c.name() + ">"
			n.ids[c.LayerID] = "<" + c.name() + ":layer>"
		}
		for link, layer := range s.links {
			n.links[link] = layer
		}
	}
	return n
}

// clean makes a line the same for the same thing in another run.
func (n *names) clean(line string) string {
	line = shortLink.ReplaceAllStringFunc(line, func(s string) string {
		if layer, ok := n.links[s[2:]]; ok {
			return "l/" + layer
		}
		return s
	})
	line = longHex.ReplaceAllStringFunc(line, func(s string) string {
		if name, ok := n.ids[s]; ok {
			return name
		}
		return s
	})
	line = privateTmp.ReplaceAllString(line, "$1<boot>$2-<random>")
	line = machineHex.ReplaceAllString(line, "<hex>")
	line = session.ReplaceAllString(line, "session-<n>.scope")
	return runUnit.ReplaceAllString(line, "run-<n>.")
}

// cleanCgroup marks what lives outside the machine's own cgroup tree, such
// as a shell that was sent into it with nsenter.
func cleanCgroup(group string) string {
	if strings.HasPrefix(group, "/..") {
		return "outside"
	}
	return strings.TrimPrefix(group, "/")
}
