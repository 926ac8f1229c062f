package generator

import (
	"strings"

	"github.com/berth-pods/berth/units"
	"github.com/berth-pods/berth/units/unitfile"
)

func (c *conversion) volume(s *units.Volume, service *unitfile.Section) {
	cmd := c.engine("volume", "create", "--ignore")
	cmd.addGroup(c.Unit, units.Strings)
	if s.Driver.Text == units.ImageDriver {
		cmd.add("--opt", "image="+c.imageOf(s.Image))
	} else {
		c.volumeDevice(cmd, s)
	}
	cmd.addGroup(c.Unit, units.PairGroup)
	cmd.addWords(s.PodmanArgs)
	cmd.add(c.entry.resource)
	service.Add("ExecStart", cmd.String())
	oneshot(service, true)
}

func (c *conversion) volumeDevice(cmd *command, s *units.Volume) {
	switch {
	case s.Copy.On:
		cmd.add("--opt", "copy")
	case s.Copy.Given:
		cmd.add("--opt", "nocopy")
	}
	if s.Device.Text != "" {
		cmd.add("--opt", "device="+s.Device.Text)
	}
	if s.Type.Text != "" {
		cmd.add("--opt", "type="+s.Type.Text)
		if s.Type.Text == "bind" {
			c.needPath(s.Device.Text)
		}
	}
	var options []string
	if s.User.Given {
		options = append(options, "uid="+decimal(s.User.N))
	}
	if s.Group.Given {
		options = append(options, "gid="+decimal(s.Group.N))
	}
	if s.Options.Text != "" {
		options = append(options, s.Options.Text)
	}
	if len(options) > 0 {
		cmd.add("--opt", "o="+strings.Join(options, ","))
	}
}
