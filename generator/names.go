package generator

import (
	"strings"

	"github.com/berth-pods/berth/units"
)

// called is the name of what the unit makes, with the kind: things of two kinds may have one name.
func (e *entry) called() string { return e.resource + e.name.Kind.Extension() }

// checkName warns of a container or pod whose start takes away another one, which has the same name.
func (c *conversion) checkName() {
	var given units.String
	switch s := c.Section.(type) {
	case *units.Container:
		given = s.ContainerName
	case *units.Pod:
		given = s.PodName
	default:
		return
	}
	at := given.At
	if given.Text == "" {
		at = c.Pos()
	}
	switch first := c.named[c.entry.called()]; {
	case given.Text != "" && c.entry.name.Template() && !strings.Contains(given.Text, "%"):
		c.Add(units.Finding{At: at, Severity: units.Warning, Message: "all instances have the name " + quoted(given.Text) + ", so that only one can run", Hint: "write %i into it"})
	case first != nil && first != c.entry && c.entry.refused == "":
		c.Add(units.Finding{At: at, Severity: units.Warning, Message: first.name.File + " has the name " + quoted(c.entry.resource) + " too, so that starting one removes the other", Hint: "give each a name of its own"})
	}
}
