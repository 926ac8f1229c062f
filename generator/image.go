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
	oneshot(service, true)
}
