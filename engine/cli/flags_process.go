package cli

import (
	"time"

	"github.com/berth-pods/berth/engine/spec"
)

// processFlags are the flags about the program that runs and the accounts it knows.
var processFlags = []runFlag{
	{"attach", "a", "STREAM", "in the foreground, connect only with stdin, stdout or stderr", list(func(c *spec.Container) *[]string { return &c.Attach })},
	{"detach-keys", "", "KEYS", "keys that leave the container's terminal and let it run on (default ctrl-p,ctrl-q); nothing for none", optional(func(c *spec.Container) **string { return &c.DetachKeys })},
	{"env-merge", "", "NAME=VALUE", "set a variable from those of the image, as PATH=${PATH}:/opt/bin", list(func(c *spec.Container) *[]string { return &c.EnvMerge })},
	{"group-entry", "", "LINE", "line of /etc/group for a group that the image does not know; $GROUPNAME, $GID and $USERLIST are replaced", text(func(c *spec.Container) *string { return &c.GroupEntry })},
	{"hostuser", "", "USER", "add the host's account to the container's /etc/passwd", list(func(c *spec.Container) *[]string { return &c.HostUsers })},
	{"init-path", "", "FILE", "program of the host for --init", callersFile(func(c *spec.Container) *string { return &c.InitPath })},
	{"interactive", "i", "", "keep the standard input open", toggle(func(c *spec.Container) *bool { return &c.Interactive })},
	{"label-file", "", "FILE", "read labels from a file", callersFiles(func(c *spec.Container) *[]string { return &c.LabelFiles }, "")},
	{"passwd", "", "", "add the user to the container's /etc/passwd if the image does not know it", toggle(func(c *spec.Container) *bool { return &c.Passwd })},
	{"passwd-entry", "", "LINE", "line of /etc/passwd for a user that the image does not know; $USERNAME, $UID, $GID, $NAME and $HOME are replaced", text(func(c *spec.Container) *string { return &c.PasswdEntry })},
	{"personality", "", "DOMAIN", "execution domain: LINUX or LINUX32", text(func(c *spec.Container) *string { return &c.Personality })},
	{"preserve-fd", "", "N", "hand this open file on", list(func(c *spec.Container) *[]string { return &c.PreserveFD })},
	{"preserve-fds", "", "N", "hand the open files from 3 to N+2 on", text(func(c *spec.Container) *string { return &c.PreserveFDs })},
	{"sig-proxy", "", "", "hand the signals that berth gets on to the container", toggle(func(c *spec.Container) *bool { return &c.SigProxy })},
	{"timeout", "", "SECONDS", "kill the container after this time; in a unit file, RuntimeMaxSec= of [Service] says so", seconds(func(c *spec.Container) *time.Duration { return &c.Timeout })},
	{"tty", "t", "", "give the container a terminal", toggle(func(c *spec.Container) *bool { return &c.TTY })},
	{"unsetenv", "", "NAME", "drop a variable of the image", list(func(c *spec.Container) *[]string { return &c.UnsetEnv })},
	{"unsetenv-all", "", "", "drop all variables but those given", toggle(func(c *spec.Container) *bool { return &c.UnsetEnvAll })},
}
