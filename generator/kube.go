package generator

import (
	"strings"

	"github.com/berth-pods/berth/units"
	"github.com/berth-pods/berth/units/unitfile"
)

func (c *conversion) kube(s *units.Kube, service *unitfile.Section) {
	service.SetDefault("KillMode", "mixed")
	service.Add("Environment", "PODMAN_SYSTEMD_UNIT=%n")
	if service.Value("Type") != "oneshot" {
		service.Set("Type", "notify")
		service.Set("NotifyAccess", "all")
	}
	service.SetDefault("SyslogIdentifier", "%N")
	service.Add("ExecStart", c.kubePlay(s))
	service.Add("ExecStopPost", c.kubeDown(s))
	switch strings.ToLower(s.SetWorkingDirectory.Text) {
	case "yaml":
		if len(s.Yaml) > 0 {
			service.SetDefault("WorkingDirectory", dirOf(c.absolute(s.Yaml[0].Text)))
		}
	case "unit":
		service.SetDefault("WorkingDirectory", c.dir())
	}
}

func (c *conversion) kubePlay(s *units.Kube) string {
	cmd := c.engine("kube", "play", "--replace", "--service-container=true")
	if s.ExitCodePropagation.Text != "" {
		cmd.add("--service-exit-code-propagation=" + s.ExitCodePropagation.Text)
	}
	cmd.addIf("--log-driver", s.LogDriver.Text)
	cmd.addEach("--log-opt", s.LogOpt)
	cmd.addMapping(&s.Mapping)
	c.networks(cmd, s.Network)
	for _, w := range s.AutoUpdate {
		cmd.add("--annotation=io.containers.autoupdate" + updatePolicy(w.Text))
	}
	for _, w := range s.ConfigMap {
		cmd.add("--configmap", c.absolute(w.Text))
	}
	cmd.addEach("--publish", s.PublishPort)
	cmd.addWords(s.PodmanArgs)
	c.yaml(cmd, s)
	return cmd.String()
}

// updatePolicy of the whole file is "=POLICY", of one container "/NAME=POLICY".
func updatePolicy(text string) string {
	if name, policy, ok := strings.Cut(text, "/"); ok {
		return "/" + name + "=" + policy
	}
	return "=" + text
}

func (c *conversion) kubeDown(s *units.Kube) string {
	cmd := c.engine("kube", "down")
	cmd.addBool("--force", s.KubeDownForce)
	c.yaml(cmd, s)
	return cmd.String()
}

func (c *conversion) yaml(cmd *command, s *units.Kube) {
	for _, w := range s.Yaml {
		cmd.add(c.absolute(w.Text))
	}
}
