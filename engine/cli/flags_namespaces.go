package cli

import "github.com/berth-pods/berth/engine/spec"

// namespaceFlags are the flags about what a container shares.
var namespaceFlags = []runFlag{
	{"cgroupns", "", "MODE", "control groups that are seen: private, host, container:NAME or ns:PATH", text(func(c *spec.Container) *string { return &c.CgroupNS })},
	{"ipc", "", "MODE", "shared memory and queues: shareable, private, none (no /dev/shm), host, container:NAME or ns:PATH", text(func(c *spec.Container) *string { return &c.IPC })},
	{"pid", "", "MODE", "processes that are seen: private, host, container:NAME or ns:PATH", text(func(c *spec.Container) *string { return &c.PID })},
	{"uts", "", "MODE", "host name: private, host, container:NAME or ns:PATH", text(func(c *spec.Container) *string { return &c.UTS })},
}

// systemdFlags are the flags about a container whose program is a service manager.
var systemdFlags = []runFlag{
	{"shm-size-systemd", "", "SIZE", "size of the tmpfs on /run, /run/lock and /var/log/journal for a systemd", text(func(c *spec.Container) *string { return &c.ShmSizeSystemd })},
	{"systemd", "", "MODE", "set the container up for a systemd: true (when it runs one), always or false", text(func(c *spec.Container) *string { return &c.Systemd })},
}
