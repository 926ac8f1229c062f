package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine/rootless"
)

func setupVerb() Verb {
	return Verb{
		Name: "setup", Usage: "COMMAND", Summary: "prepare the machine for what some containers need",
		Sub: []Verb{setupRootlessVerb(), setupUsernsVerb()},
	}
}

type setupUsernsOptions struct {
	user   string
	dryRun bool
}

func (o *setupUsernsOptions) flags(set *pflag.FlagSet) {
	set.BoolVar(&o.dryRun, "dry-run", false, "print the lines, and change nothing")
	set.StringVar(&o.user, "user", "containers", "give a range to this `USER`; containers is whose range --userns=auto of root takes from")
}

func setupUsernsVerb() Verb {
	var o setupUsernsOptions
	return Verb{
		Name: "setup userns", Usage: "[OPTION…]", Summary: "give a user a range of subordinate IDs",
		Text: `Adds a line to /etc/subuid and /etc/subgid, with IDs that nobody has, unless the user has a range there already. A user's
containers take from the user's range; --userns=auto of root's from that of "containers".`,
		Flags: o.flags, Run: runSetupUserns,
	}
}

func runSetupUserns(_ context.Context, env *Env, args []string) error {
	var o setupUsernsOptions
	set := newFlagSet("userns")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 0 {
		return fmt.Errorf("%q is one word too many; the user is named by --user", set.Arg(0))
	}
	if os.Getuid() != 0 && !o.dryRun {
		return errors.New("only root can change /etc/subuid and /etc/subgid: `sudo berth setup userns --user NAME`; --dry-run shows the lines")
	}
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		line, err := rootless.AddRange(file, o.user, o.dryRun)
		if err != nil {
			return err
		}
		if line == "" {
			fmt.Fprintf(env.Out, "%s: %s has a range already\n", file, o.user)
			continue
		}
		fmt.Fprintf(env.Out, "%s: %s\n", file, line)
	}
	return nil
}
