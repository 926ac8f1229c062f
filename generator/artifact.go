package generator

import (
	"github.com/berth-pods/berth/units"
	"github.com/berth-pods/berth/units/unitfile"
)

func (c *conversion) artifact(s *units.Artifact, service *unitfile.Section) {
	cmd := c.engine("artifact", "pull")
	cmd.addGroup(c.Unit, units.Strings)
	cmd.addGroup(c.Unit, units.Booleans)
	cmd.addWords(s.PodmanArgs)
	cmd.add(s.Artifact.Text)
	service.Add("ExecStart", cmd.String())
	fetching(service)
}
