package cli

import "github.com/berth-pods/berth/engine/spec"

// healthFlags are the flags about how a container's health is found out.
var healthFlags = []runFlag{
	{"health-cmd", "", "COMMAND", "find out with this whether the container is well: a line for its shell, a JSON array of words, or none", text(func(c *spec.Container) *string { return &c.HealthCmd })},
	{"health-interval", "", "TIME", "time between two probes (default 30s); disable", text(func(c *spec.Container) *string { return &c.HealthInterval })},
	{"health-log-destination", "", "DIR", "keep the results in this directory too; local", callersFile(func(c *spec.Container) *string { return &c.HealthLogDir }, "local", "events_logger")},
	{"health-max-log-count", "", "N", "how many results are kept (default 5); 0 for all that 1 MB holds", text(func(c *spec.Container) *string { return &c.HealthLogCount })},
	{"health-max-log-size", "", "N", "how many characters of a probe's output are kept (default 500); 0 for all", text(func(c *spec.Container) *string { return &c.HealthLogSize })},
	{"health-on-failure", "", "ACTION", "what is done with an unhealthy container: none, kill, restart or stop", text(func(c *spec.Container) *string { return &c.HealthOnFailure })},
	{"health-retries", "", "N", "failures in a row that make the container unhealthy (default 3)", text(func(c *spec.Container) *string { return &c.HealthRetries })},
	{"health-start-period", "", "TIME", "time in which failures do not count", text(func(c *spec.Container) *string { return &c.HealthStart })},
	{"health-startup-cmd", "", "COMMAND", "another probe, until it has succeeded", text(func(c *spec.Container) *string { return &c.StartupCmd })},
	{"health-startup-interval", "", "TIME", "time between two of these (default 30s)", text(func(c *spec.Container) *string { return &c.StartupInterval })},
	{"health-startup-retries", "", "N", "failures of it after which the container is restarted; 0 for never", text(func(c *spec.Container) *string { return &c.StartupRetries })},
	{"health-startup-success", "", "N", "how often it must succeed", text(func(c *spec.Container) *string { return &c.StartupSuccess })},
	{"health-startup-timeout", "", "TIME", "time that it may take (default 30s)", text(func(c *spec.Container) *string { return &c.StartupTimeout })},
	{"health-timeout", "", "TIME", "time that a probe may take (default 30s)", text(func(c *spec.Container) *string { return &c.HealthTimeout })},
	{"no-healthcheck", "", "", "do not look after the container's health", toggle(func(c *spec.Container) *bool { return &c.NoHealth })},
}
