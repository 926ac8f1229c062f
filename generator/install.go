package generator

import (
	"strings"

	"github.com/berth-pods/berth/units"
	"github.com/berth-pods/berth/units/unitfile"
)

// links lists what [Install] asks for: aliases, and wants, requires and upholds of targets. The manager enables a unit that
// a generator made by these links alone.
func (c *conversion) links() []Link {
	install := c.File.Section("Install")
	if install == nil {
		return nil
	}
	unit := c.entry.service + ".service"
	var links []Link
	for _, alias := range install.Words("Alias") {
		link, ok := aliasLink(alias, unit)
		switch {
		case !ok:
			c.ignored(install, "Alias="+alias+" would leave the directory of units")
		case c.owner[strings.TrimSuffix(link.Name, ".service")] != nil && link.Name != unit:
			c.ignored(install, "Alias="+alias+" is the name of another unit")
		case link.Name != unit && !c.entry.override && c.existing(link.Name) != "":
			c.ignored(install, "Alias="+alias+" would hide "+c.existing(link.Name)+" without Override=yes in [X-Berth],")
		case link.Name != unit:
			links = append(links, link)
		}
	}
	member := c.member(install, unit)
	if member == "" {
		return links
	}
	for _, key := range [...]struct{ name, dir string }{{"WantedBy", ".wants/"}, {"RequiredBy", ".requires/"}, {"UpheldBy", ".upholds/"}} {
		for _, target := range install.Words(key.name) {
			if other := c.find(target); other != nil {
				target = other.service + ".service"
			}
			if target == "" || target == "." || target == ".." || strings.ContainsAny(target, "/\x00") {
				continue
			}
			links = append(links, Link{Name: target + key.dir + member, Target: "../" + unit})
		}
	}
	return links
}

func (c *conversion) ignored(install *unitfile.Section, message string) {
	c.Add(units.Finding{At: install.Last("Alias").At, Severity: units.Warning, Message: message + " and is ignored"})
}

// member is the name under which targets pull the unit in: a template's default instance, "" when it has none.
func (c *conversion) member(install *unitfile.Section, unit string) string {
	prefix, isTemplate := strings.CutSuffix(unit, "@.service")
	if !isTemplate {
		return unit
	}
	instance := install.Value("DefaultInstance")
	if instance == "" || strings.ContainsAny(instance, "/\x00") {
		return ""
	}
	return prefix + "@" + instance + ".service"
}

// aliasLink refuses names outside the output directory.
func aliasLink(alias, unit string) (Link, bool) {
	if alias == "" || alias[0] == '/' {
		return Link{}, false
	}
	depth := 0
	for part := range strings.SplitSeq(alias, "/") {
		switch part {
		case "", ".":
			continue
		case "..":
			depth--
		default:
			depth++
		}
		if depth < 0 {
			return Link{}, false
		}
	}
	name := cleanPath("/" + alias)[1:]
	if name == "" {
		return Link{}, false
	}
	return Link{Name: name, Target: strings.Repeat("../", strings.Count(name, "/")) + unit}, true
}
