package generator

import (
	"cmp"

	"github.com/berth-pods/berth/units"
	"github.com/berth-pods/berth/units/unitfile"
)

func (c *conversion) pod(s *units.Pod, service *unitfile.Section) {
	name := c.entry.resource
	c.wantMembers()
	service.Add("Environment", "PODMAN_SYSTEMD_UNIT=%n")
	service.SetDefault("SyslogIdentifier", "%N")
	service.Add("ExecStart", c.engine("pod", "start", name).String())
	service.Add("ExecStop", c.stopPod(s, name))
	service.Add("ExecStopPost", c.removePod(name))
	// No process belongs to a pod whose namespaces are held by files; that of another is the main one.
	service.Set("Type", "notify")
	service.Set("NotifyAccess", "all")
	service.Set("RemainAfterExit", "yes")
	service.SetDefault("Restart", "on-failure")
	service.Add("ExecStartPre", c.createPod(s, name))
}

// wantMembers starts the containers of the pod with it.
func (c *conversion) wantMembers() {
	unit := c.File.AddSection("Unit")
	for _, e := range c.entries {
		if e.pod == c.Unit.Name.File && e.inPod && e.done {
			unit.Add("Wants", e.service+".service")
			unit.Add("Before", e.service+".service")
		}
	}
}

func (c *conversion) stopPod(s *units.Pod, name string) string {
	return c.engine("pod", "stop", "--ignore", "--time="+cmp.Or(s.StopTimeout.Text, "10"), name).String()
}

func (c *conversion) removePod(name string) string {
	return c.engine("pod", "rm", "--ignore", "--force", name).String()
}

func (c *conversion) createPod(s *units.Pod, name string) string {
	cmd := c.engine("pod", "create", "--infra-conmon-pidfile=%t/%N.pid", "--replace",
		"--exit-policy", cmp.Or(s.ExitPolicy.Text, "stop"))
	cmd.addMapping(&s.Mapping)
	cmd.addEach("--publish", s.PublishPort)
	cmd.addEach("--label", s.Label.Sorted())
	c.networks(cmd, s.Network)
	cmd.addGroup(c.Unit, units.Strings)
	cmd.addGroup(c.Unit, units.Lists)
	c.volumes(cmd, s.Volume)
	cmd.add("--infra-name", name+"-infra", "--name", name)
	cmd.addWords(s.PodmanArgs)
	return cmd.String()
}
