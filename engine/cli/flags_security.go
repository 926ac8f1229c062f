package cli

import "github.com/berth-pods/berth/engine/spec"

// securityFlags are the flags about what a container may touch, and small ones about its files.
var securityFlags = []runFlag{
	{"chrootdirs", "", "DIR", "directory of the container that gets /etc/hosts, resolv.conf and hostname too", list(func(c *spec.Container) *[]string { return &c.ChrootDirs })},
	{"conmon-pidfile", "", "FILE", "berth has no monitor process: no effect", ignored},
	{"device-cgroup-rule", "", "TYPE MAJOR:MINOR MODE", "allow devices by their numbers, as 'c 10:* rwm'", list(func(c *spec.Container) *[]string { return &c.DeviceRules })},
	{"gpus", "", "WHICH", "give graphics processors, by CDI: all, a number, or device=NAME", list(func(c *spec.Container) *[]string { return &c.GPUs })},
	{"no-hostname", "", "", "leave the image's /etc/hostname alone", toggle(func(c *spec.Container) *bool { return &c.NoHostName })},
	{"rmi", "", "", "remove the image too when the container is removed, unless others use it", toggle(func(c *spec.Container) *bool { return &c.RemoveImage })},
	{"seccomp-policy", "", "POLICY", "where the seccomp profile comes from: default, or image (its label io.containers.seccomp.profile)", text(func(c *spec.Container) *string { return &c.SeccompPolicy })},
}
