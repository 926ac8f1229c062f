package generator

import (
	"strings"

	"github.com/berth-pods/berth/units"
	"github.com/berth-pods/berth/units/unitfile"
)

// conversion turns one unit file into a unit: the file itself is changed in place, section by section.
type conversion struct {
	*generation
	*units.Unit
	entry *entry
}

func (c *conversion) run() {
	c.frame()
	service := c.File.AddSection("Service")
	service.Grow(10)
	switch s := c.Section.(type) {
	case *units.Container:
		c.container(s, service)
	case *units.Pod:
		c.pod(s, service)
	case *units.Kube:
		c.kube(s, service)
	case *units.Network:
		c.network(s, service)
	case *units.Volume:
		c.volume(s, service)
	case *units.Image:
		c.image(s, service)
	case *units.Artifact:
		c.artifact(s, service)
	case *units.Build:
		c.build(s, service)
	}
	c.inName(service)
}

// The unit that a user's manager waits for in place of the system's network-online.target, which it cannot see.
const userNetworkOnline = "podman-user-wait-network-online.service"

// frame writes what the units of all kinds have in common.
func (c *conversion) frame() {
	kind := c.Unit.Name.Kind.String()
	c.File.Rename(kind, "X-"+kind)
	c.File.Rename("Quadlet", "X-Quadlet")
	unit := c.File.AddSection("Unit")
	unit.Grow(8)
	c.translateDependencies()
	if c.Quadlet.DefaultDependencies.Or(true) {
		online := "network-online.target"
		if c.User {
			online = userNetworkOnline
		}
		// First, so that an empty After= in the file takes it back.
		unit.Prepend(unitfile.Entry{Key: "Wants", Value: online}, unitfile.Entry{Key: "After", Value: online})
	}
	unit.Add("SourcePath", strings.ReplaceAll(c.entry.source.Path, "%", "%%"))
	unit.Add("RequiresMountsFor", "%t/containers")
}

// engine begins a command line: the program, its modules and its global arguments. One line is put together at a time.
func (c *conversion) engine(verb ...string) *command {
	s := units.SharedOf(c.Section)
	cmd := &c.cmd
	cmd.words = append(cmd.words[:0], c.Engine)
	for _, m := range s.ContainersConfModule {
		cmd.add("--module=" + m.Text)
	}
	cmd.addWords(s.GlobalArgs)
	cmd.add(verb...)
	return cmd
}

// oneshot makes a service that does its work once and then counts as there.
func oneshot(service *unitfile.Section, remain bool) {
	service.SetDefault("Type", "oneshot")
	if remain {
		service.SetDefault("RemainAfterExit", "yes")
	}
	service.SetDefault("SyslogIdentifier", "%N")
}

// stop is what the stub of a file with errors keeps, so that what still runs can be stopped.
func (c *conversion) stop() []unitfile.Entry {
	switch s := c.Section.(type) {
	case *units.Container:
		rm := c.removeContainer(containerName(s, c.Unit.Name))
		return []unitfile.Entry{{Key: "ExecStop", Value: rm}, {Key: "ExecStopPost", Value: "-" + rm},
			{Key: "KillMode", Value: "mixed"}, {Key: "Delegate", Value: "yes"}}
	case *units.Pod:
		name := c.entry.resource
		return []unitfile.Entry{{Key: "ExecStop", Value: c.stopPod(s, name)}, {Key: "ExecStopPost", Value: c.removePod(name)}}
	case *units.Kube:
		if len(s.Yaml) > 0 {
			return []unitfile.Entry{{Key: "ExecStopPost", Value: c.kubeDown(s)}}
		}
	}
	return nil
}
