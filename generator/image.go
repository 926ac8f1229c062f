package generator

import (
	"github.com/berth-pods/berth/units"
	"github.com/berth-pods/berth/units/unitfile"
)

func (c *conversion) image(s *units.Image, service *unitfile.Section) {
	c.checkImageName(s.Image)
	cmd := c.engine("image", "pull")
	cmd.addGroup(c.Unit, units.Strings)
	cmd.addGroup(c.Unit, units.Booleans)
	cmd.addWords(s.PodmanArgs)
	cmd.add(s.Image.Text)
	service.Add("ExecStart", cmd.String())
	fetching(service)
}

// fetching makes the service of what comes from a registry: its start timeout is extended for as long as bytes arrive.
func fetching(service *unitfile.Section) {
	oneshot(service, true)
	service.SetDefault("NotifyAccess", "all")
}
