package generator

import (
	"github.com/berth-pods/berth/units"
	"github.com/berth-pods/berth/units/unitfile"
)

func (c *conversion) network(s *units.Network, service *unitfile.Section) {
	name := c.entry.resource
	cmd := c.engine("network", "create", "--ignore")
	cmd.addGroup(c.Unit, units.Booleans)
	cmd.addGroup(c.Unit, units.Strings)
	cmd.addGroup(c.Unit, units.Lists)
	for i, subnet := range s.Subnet {
		cmd.add("--subnet", subnet.Text)
		if i < len(s.Gateway) {
			cmd.add("--gateway", s.Gateway[i].Text)
		}
		if i < len(s.IPRange) {
			cmd.add("--ip-range", s.IPRange[i].Text)
		}
	}
	cmd.addGroup(c.Unit, units.PairGroup)
	cmd.addWords(s.PodmanArgs)
	cmd.add(name)
	service.Add("ExecStart", cmd.String())
	if s.NetworkDeleteOnStop.On {
		service.Add("ExecStopPost", c.engine("network", "rm", name).String())
	}
	oneshot(service, true)
}
