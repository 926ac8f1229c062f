package generator

import (
	"cmp"
	"strings"

	"github.com/berth-pods/berth/units"
	"github.com/berth-pods/berth/units/unitfile"
)

func (c *conversion) pod(s *units.Pod, service *unitfile.Section) {
	name := c.entry.resource
	if strings.Contains(c.entry.slice, "%") {
		c.Errorf(s.PodmanArgs[0].At, "limits in PodmanArgs= need a name of the pod that is known before its start, for its slice; set PodName= without a %")
	}
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

// wantMembers starts the containers of the pod with it. One that prepares it is more than wanted: when it fails the pod, which
// the others are not in, stops.
func (c *conversion) wantMembers() {
	unit := c.File.AddSection("Unit")
	for _, e := range c.entries {
		if e.pod == c.Unit.Name.File && e.inPod && e.done {
			key := "Wants"
			if e.init {
				key = "BindsTo"
			}
			unit.Add(key, e.service+".service")
			unit.Add("Before", e.service+".service")
		}
	}
}

func (c *conversion) stopPod(s *units.Pod, name string) string {
	return c.engine("pod", "stop", "--own", "--ignore", "--time="+cmp.Or(s.StopTimeout.Text, "10"), name).String()
}

func (c *conversion) removePod(name string) string {
	return c.engine("pod", "rm", "--own", "--ignore", "--force", name).String()
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

// slice declares the slice of a pod with limits, so that it goes with its last container. The limits are set when the pod is started,
// by who can read them.
func (c *conversion) slice() []Output {
	if c.entry.slice == "" {
		return nil
	}
	file := &unitfile.File{}
	head := file.AddSection("Unit")
	head.Add("Description", "Containers of pod "+c.entry.resource)
	head.Add("SourcePath", noSpecifiers(c.entry.source.Path))
	head.Add("StopWhenUnneeded", "yes")
	return []Output{{Name: c.entry.slice, Source: c.entry.source.Path, Text: file.Append(nil)}}
}
