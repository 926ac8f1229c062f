package generator

import (
	"strings"

	"github.com/berth-pods/berth/units"
	"github.com/berth-pods/berth/units/unitfile"
)

func (c *conversion) build(s *units.Build, service *unitfile.Section) {
	cmd := c.engine("build")
	if s.Pull.Text != "" {
		cmd.add("--pull=" + s.Pull.Text)
	}
	cmd.addGroup(c.Unit, units.Strings)
	cmd.addGroup(c.Unit, units.Booleans)
	cmd.addGroup(c.Unit, units.Lists)
	cmd.addGroup(c.Unit, units.PairGroup)
	c.networks(cmd, s.Network)
	cmd.addEach("--secret", s.Secret)
	c.volumes(cmd, s.Volume)
	cmd.addIf("--file", s.File.Text)
	cmd.addWords(s.PodmanArgs)
	if context := c.buildContext(s, service); context != "" {
		cmd.add(context)
	}
	service.Add("ExecStart", cmd.String())
	// No RemainAfterExit: the build is done again whenever it is asked for.
	oneshot(service, false)
}

// buildContext returns the directory or URL to build from, "" when the Containerfile is enough, and sets the working
// directory. A WorkingDirectory= of the file's own stands above any SetWorkingDirectory= that depends on the unit's place.
func (c *conversion) buildContext(s *units.Build, service *unitfile.Section) string {
	set := s.SetWorkingDirectory.Text
	given := service.Value("WorkingDirectory")
	alone := units.SelfContained(s.File.Text)
	switch {
	case set != "" && (set[0] == '/' || units.IsURL(set)):
		return set
	case set == "" || given != "":
		if alone {
			return ""
		}
		return given
	}
	directory, context := c.dir(), set
	switch strings.ToLower(set) {
	case "unit":
		context = directory
	case "file":
		directory = dirOf(c.absolute(s.File.Text))
		context = directory
	}
	service.Add("WorkingDirectory", directory)
	if alone && context == directory {
		return ""
	}
	return context
}
