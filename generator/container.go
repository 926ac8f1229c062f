package generator

import (
	"strings"

	"github.com/berth-pods/berth/units"
	"github.com/berth-pods/berth/units/unitfile"
)

func (c *conversion) container(s *units.Container, service *unitfile.Section) {
	name := containerName(s, c.Unit.Name)
	service.Add("Environment", "PODMAN_SYSTEMD_UNIT=%n")
	service.SetDefault("KillMode", "mixed")
	rm := c.removeContainer(name)
	service.Add("ExecStop", rm)
	service.Add("ExecStopPost", "-"+rm)
	c.reload(s, service, name)
	// The runtime makes cgroups of its own below the unit's.
	service.Add("Delegate", "yes")
	if c.entry.init {
		c.prepares(service)
	}
	oneshot := service.Value("Type") == "oneshot"
	if !oneshot {
		service.Set("Type", "notify")
		service.Set("NotifyAccess", "all")
	}
	service.SetDefault("SyslogIdentifier", "%N")
	service.Add("ExecStart", c.runContainer(s, name, oneshot))
}

// containerName of a file with an @ in its name has the template and the instance in it.
func containerName(s *units.Container, n units.Name) string {
	switch {
	case s.ContainerName.Text != "":
		return s.ContainerName.Text
	case n.At:
		return "systemd-%p_%i"
	}
	return "systemd-%N"
}

// knownContainerName is the name as others can write it: %N is known, other specifiers are not.
func knownContainerName(name, service string) string {
	name = strings.ReplaceAll(name, "%N", service)
	if strings.Contains(name, "%") {
		return ""
	}
	return name
}

func (c *conversion) removeContainer(name string) string {
	return c.engine("rm", "--own", "-v", "-f", "-i", name).String()
}

func (c *conversion) reload(s *units.Container, service *unitfile.Section, name string) {
	switch {
	case len(s.ReloadCmd.Words) > 0:
		cmd := c.engine("exec", name)
		cmd.addWords(s.ReloadCmd.Words)
		service.Add("ExecReload", cmd.String())
	case s.ReloadSignal.Text != "":
		service.Add("ExecReload", c.engine("kill", "--signal", s.ReloadSignal.Text, name).String())
	}
}

func (c *conversion) runContainer(s *units.Container, name string, oneshot bool) string {
	cmd := c.engine("run", "--name", name, "--replace", "--rm")
	cmd.addIf("--log-driver", s.LogDriver.Text)
	cmd.addEach("--log-opt", s.LogOpt)
	if s.CgroupsMode.Text != "" {
		cmd.add("--cgroups", s.CgroupsMode.Text)
	} else {
		cmd.add("--cgroups=split")
	}
	if s.Entrypoint.Given {
		cmd.add("--entrypoint=" + s.Entrypoint.Text)
	}
	cmd.addGroup(c.Unit, units.Strings)
	cmd.addGroup(c.Unit, units.Lists)
	cmd.addGroup(c.Unit, units.Booleans)
	c.networks(cmd, s.Network)
	if !oneshot {
		cmd.add("--sdnotify="+notify(s.Notify.Text), "-d")
	}
	c.security(cmd, s)
	cmd.addMapping(&s.Mapping)
	c.volumes(cmd, s.Volume)
	if s.AutoUpdate.Text != "" {
		cmd.add("--label", "io.containers.autoupdate="+s.AutoUpdate.Text)
	}
	for _, port := range s.ExposeHostPort {
		cmd.add("--expose", strings.TrimSpace(port.Text))
	}
	cmd.addEach("--publish", s.PublishPort)
	cmd.addGroup(c.Unit, units.PairGroup)
	for _, w := range s.Mask {
		cmd.add("--security-opt", "mask="+w.Text)
	}
	for _, w := range s.Unmask {
		cmd.add("--security-opt", "unmask="+w.Text)
	}
	for _, w := range s.EnvironmentFile {
		cmd.add("--env-file", c.environmentFile(w.Text))
	}
	cmd.addEach("--secret", s.Secret)
	c.mounts(cmd, s.Mount)
	cmd.addGroup(c.Unit, units.Health)
	c.joinPod(cmd, s.Pod)
	cmd.addWords(s.PodmanArgs)
	if s.Image.Text != "" {
		cmd.add(c.imageOf(s.Image))
	} else {
		cmd.add("--rootfs", s.Rootfs.Text)
	}
	cmd.addWords(s.Exec.Words)
	return cmd.String()
}

// notify says who reports readiness.
func notify(value string) string {
	if strings.EqualFold(value, "healthy") {
		return "healthy"
	}
	if on, _ := units.ParseBool(value); on {
		return "container"
	}
	return "conmon"
}

// security writes what bounds the processes: labels, profiles, devices, capabilities, the user.
func (c *conversion) security(cmd *command, s *units.Container) {
	option := func(on bool, text string) {
		if on {
			cmd.add("--security-opt", text)
		}
	}
	if s.NoNewPrivileges.On {
		cmd.add("--security-opt=no-new-privileges")
	}
	option(s.SecurityLabelDisable.On, "label=disable")
	option(s.SecurityLabelNested.On, "label=nested")
	option(s.SecurityLabelType.Text != "", "label=type:"+s.SecurityLabelType.Text)
	option(s.SecurityLabelFileType.Text != "", "label=filetype:"+s.SecurityLabelFileType.Text)
	option(s.SecurityLabelLevel.Text != "", "label=level:"+s.SecurityLabelLevel.Text)
	option(s.AppArmor.Text != "", "apparmor="+s.AppArmor.Text)
	c.devices(cmd, s.AddDevice)
	option(s.SeccompProfile.Text != "", "seccomp="+s.SeccompProfile.Text)
	for _, w := range s.DropCapability {
		cmd.add("--cap-drop", strings.ToLower(w.Text))
	}
	for _, w := range s.AddCapability {
		cmd.add("--cap-add", strings.ToLower(w.Text))
	}
	cmd.addEach("--sysctl", s.Sysctl)
	cmd.addBool("--read-only", s.ReadOnly)
	if s.VolatileTmp.On && !s.ReadOnly.On {
		cmd.add("--tmpfs", "/tmp:rw,size=512M,mode=1777")
	}
	switch {
	case s.Group.Text != "":
		cmd.add("--user", s.User.Text+":"+s.Group.Text)
	case s.User.Text != "":
		cmd.add("--user", s.User.Text)
	}
}

// devices leaves those out that begin with a dash and are not there.
func (c *conversion) devices(cmd *command, devices units.Words) {
	for _, d := range devices {
		text, optional := strings.CutPrefix(d.Text, "-")
		host, _, _ := strings.Cut(text, ":")
		if optional && c.DeviceExists != nil && !c.DeviceExists(host) {
			continue
		}
		cmd.add("--device", text)
	}
}

// environmentFile makes the path absolute; a dash in front, which makes the file optional as in systemd, stays in front.
func (c *conversion) environmentFile(path string) string {
	if rest, optional := strings.CutPrefix(path, "-"); optional {
		return "-" + c.absolute(rest)
	}
	return c.absolute(path)
}

func (c *conversion) joinPod(cmd *command, pod units.String) {
	if units.KindOf(pod.Text) != units.KindPod {
		return // none, or reported already
	}
	other := c.find(pod.Text)
	if other == nil {
		c.missing(units.Word{At: pod.At}, pod.Text, "quadlet pod unit "+pod.Text+" does not exist")
		return
	}
	unit := c.File.AddSection("Unit")
	unit.Add("BindsTo", other.service+".service")
	unit.Add("After", other.service+".service")
	c.afterInit(pod.Text)
	if other.slice != "" {
		c.File.AddSection("Service").SetDefault("Slice", other.slice)
	}
	cmd.add("--pod", other.resource)
}
