package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
)

type logsOptions struct {
	follow, timestamps bool
	tail               int
	since, until       string
}

func (o *logsOptions) flags(set *pflag.FlagSet) {
	set.BoolVarP(&o.follow, "follow", "f", false, "go on printing new lines")
	set.BoolVarP(&o.timestamps, "timestamps", "t", false, "print the time of each line")
	set.IntVarP(&o.tail, "tail", "n", -1, "print the last `N` lines only")
	set.StringVar(&o.since, "since", "", "print lines from this `TIME` on (systemd.time(7))")
	set.StringVar(&o.until, "until", "", "print lines up to this `TIME`")
}

func logsVerb() Verb {
	var o logsOptions
	return Verb{
		Name: "logs", Usage: "[OPTION…] CONTAINER", Summary: "print what a container has written",
		Text:  "The lines are in the journal: `journalctl -u UNIT` shows them with all their fields.",
		Flags: o.flags, Run: runLogs,
	}
}

func runLogs(_ context.Context, env *Env, args []string) error {
	var o logsOptions
	set := newFlagSet("logs")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() != 1 {
		return errors.New("name one container")
	}
	s, err := runDirs().Find(set.Arg(0))
	if err != nil {
		return err
	}
	if s.Unit == "" {
		return fmt.Errorf("container %q belongs to no unit: its output went to the terminal or file that it was started from", s.Name)
	}
	path, err := exec.LookPath("journalctl")
	if err != nil {
		return errors.New("journalctl is not there; install systemd")
	}
	return syscall.Exec(path, append([]string{"journalctl"}, journalArgs(s, o, rootlessMode())...), os.Environ())
}

// journalArgs asks for the lines of the container's unit since the container was made: those that its processes wrote, not
// those that systemd wrote about it (systemd.journal-fields(7)).
func journalArgs(s engine.State, o logsOptions, user bool) []string {
	unit := "_SYSTEMD_UNIT="
	if user {
		unit = "_SYSTEMD_USER_UNIT="
	}
	args := []string{"--quiet", "--no-pager", unit + s.Unit, "--output=cat"}
	if o.timestamps {
		args[3] = "--output=short-iso-precise"
	}
	since := o.since
	if since == "" {
		since = fmt.Sprintf("@%d", s.Created.Unix())
	}
	args = append(args, "--since="+since)
	if o.until != "" {
		args = append(args, "--until="+o.until)
	}
	if o.tail >= 0 {
		args = append(args, "--lines="+strconv.Itoa(o.tail))
	}
	if o.follow {
		args = append(args, "--follow")
		if o.tail < 0 {
			args = append(args, "--no-tail")
		}
	}
	return args
}
