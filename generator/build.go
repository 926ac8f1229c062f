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
// directory.
func (c *conversion) buildContext(s *units.Build, service *unitfile.Section) string {
	set := s.SetWorkingDirectory.Text
	given := service.Value("WorkingDirectory")
	alone := units.SelfContained(s.File.Text)
	directory := ""
	context := set
	switch strings.ToLower(set) {
	case "":
		context = given
		if alone {
			context = ""
		}
		return context
	case "unit":
		directory = c.dir()
		context = directory
	case "file":
		if s.File.Text != "" {
			directory = dirOf(c.absolute(s.File.Text))
		}
		context = directory
	default:
		return c.writtenContext(set, given, service)
	}
	if alone {
		context = ""
	}
	if given == "" && directory != "" {
		service.Add("WorkingDirectory", directory)
	}
	return context
}

// writtenContext is a context that is given as such. A relative one is looked up from the unit's directory, unless the
// file has a WorkingDirectory= of its own, which then counts alone.
func (c *conversion) writtenContext(set, given string, service *unitfile.Section) string {
	if units.IsURL(set) || set[0] == '/' {
		return set
	}
	if given != "" {
		return ""
	}
	service.Add("WorkingDirectory", c.dir())
	return set
}
