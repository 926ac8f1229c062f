package generator

import (
	"strings"

	"github.com/berth-pods/berth/units/unitfile"
)

// restartSuffix ends the names of the two units that restart another when a file has changed.
const restartSuffix = "-restart"

// checkRestarts looks at RestartOn=.
func (c *conversion) checkRestarts() {
	for _, path := range c.Unit.Berth.RestartOn {
		switch {
		case strings.HasSuffix(c.entry.service, "@"):
			c.Errorf(path.At, "RestartOn= is not for templates: write it into the file of an instance")
			return
		case !strings.HasPrefix(path.Text, "/") && !strings.HasPrefix(path.Text, "%"):
			c.Errorf(path.At, "RestartOn="+path.Text+" is not an absolute path")
		case c.owner[c.entry.service+restartSuffix] != nil:
			c.Errorf(path.At, "RestartOn= needs the name "+c.entry.service+restartSuffix+".service, which another file has; give one of them a ServiceName=")
			return
		}
	}
}

// restarts makes a path unit that watches the files of RestartOn= as long as the unit runs, and the service that it starts.
func (c *conversion) restarts() []Output {
	if len(c.Unit.Berth.RestartOn) == 0 {
		return nil
	}
	unit, name := c.entry.service+".service", c.entry.service+restartSuffix
	watch, restart := &unitfile.File{}, &unitfile.File{}
	head := watch.AddSection("Unit")
	head.Add("Description", "Files whose change restarts "+unit)
	head.Add("SourcePath", noSpecifiers(c.entry.source.Path))
	head.Add("BindsTo", unit)
	head.Add("After", unit)
	section := watch.AddSection("Path")
	for _, path := range c.Unit.Berth.RestartOn {
		section.Add("PathChanged", path.Text)
	}
	section.Add("Unit", name+".service")
	head = restart.AddSection("Unit")
	head.Add("Description", "Restart "+unit+" for a file that has changed")
	head.Add("SourcePath", noSpecifiers(c.entry.source.Path))
	section = restart.AddSection("Service")
	section.Add("Type", "oneshot")
	manager := ""
	if c.User {
		manager = "--user "
	}
	section.Add("ExecStart", "systemctl "+manager+"--no-block try-restart "+unit)
	return []Output{
		{Name: name + ".path", Source: c.entry.source.Path, Text: watch.Append(nil), Links: []Link{{Name: unit + ".wants/" + name + ".path", Target: "../" + name + ".path"}}},
		{Name: name + ".service", Source: c.entry.source.Path, Text: restart.Append(nil)},
	}
}
