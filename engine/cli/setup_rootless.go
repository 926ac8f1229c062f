package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	sysuser "github.com/moby/sys/user"
	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/sd"
)

type setupRootlessOptions struct {
	user, format string
	fix          bool
}

func (o *setupRootlessOptions) flags(set *pflag.FlagSet) {
	set.BoolVar(&o.fix, "fix", false, "do what root can do: ranges of IDs, lingering, and the delegation of control groups; each change is told")
	set.StringVar(&o.format, "format", "table", "`FORM` of the output: table or json")
}

func setupRootlessVerb() Verb {
	var o setupRootlessOptions
	return Verb{
		Name: "setup rootless", Usage: "[OPTION…] [USER]", Summary: "check whether a user's containers have all that they need, and say what is missing",
		Text: `Prints a line for each thing that the containers of a user need of the machine: ok, note where something works with less than
all, or wrong; and then the command that mends it, or the line to write and the file. Without USER it is about who asks.

Exit status: 0 when nothing is wrong, 1 when something is.`,
		Flags: o.flags, Run: runSetupRootless,
	}
}

func parseSetupRootless(args []string) (setupRootlessOptions, error) {
	var o setupRootlessOptions
	set := newFlagSet("rootless")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return o, err
	}
	switch o.user = set.Arg(0); {
	case set.NArg() > 1:
		return o, fmt.Errorf("%q is one word too many: one user at a time", set.Arg(1))
	case o.format != "table" && o.format != "json":
		return o, fmt.Errorf("format %q is neither table nor json", o.format)
	case o.fix && os.Getuid() != 0:
		return o, errors.New("only root can change the machine: `sudo berth setup rootless --fix USER`")
	case o.user == "" && os.Getuid() == 0:
		return o, errors.New("root needs none of this; name the user: `berth setup rootless USER`")
	}
	return o, nil
}

func runSetupRootless(ctx context.Context, env *Env, args []string) error {
	o, err := parseSetupRootless(args)
	if err != nil {
		return err
	}
	m := &rootless.Machine{Root: "/", Runtime: "-", FileSystem: rootless.FileSystem}
	if m.User, err = findUser(ctx, env, o.user); err != nil {
		return err
	}
	if m.User.Uid == os.Getuid() {
		m.Runtime = os.Getenv("XDG_RUNTIME_DIR")
	}
	checks := m.Examine()
	if o.fix {
		err = fixRootless(ctx, env, m, checks)
		checks = m.Examine()
	}
	if o.format == "json" {
		err = errors.Join(err, printJSON(env.Out, checks))
	} else {
		err = errors.Join(err, printChecks(env, checks))
	}
	if err != nil {
		return err
	}
	for _, c := range checks {
		if c.State == rootless.CheckWrong {
			return &ExitError{Code: 1}
		}
	}
	return nil
}

func printChecks(env *Env, checks []rootless.Check) error {
	table := tabwriter.NewWriter(env.Out, 0, 8, 2, ' ', 0)
	for _, c := range checks {
		text := c.Found
		if c.Mend != "" {
			text += "; to mend: " + c.Mend
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", c.State, c.Name, text)
	}
	return table.Flush()
}

// findUser finds a user by name, or the one who asks. A directory server may know more than the file does.
func findUser(ctx context.Context, env *Env, name string) (sysuser.User, error) {
	asked := name
	if name == "" {
		asked = fmt.Sprint(os.Getuid())
	}
	mine := func(u sysuser.User) bool {
		return name != "" && u.Name == name || name == "" && u.Uid == os.Getuid()
	}
	list, err := sysuser.ParsePasswdFileFilter("/etc/passwd", mine)
	if err == nil && len(list) == 0 {
		out, failed := env.Run(ctx, proc.Command{Path: "getent", Args: []string{"passwd", "--", asked}})
		if failed == nil {
			list, err = sysuser.ParsePasswdFilter(strings.NewReader(string(out)), mine)
		}
	}
	switch {
	case err != nil:
		return sysuser.User{}, fmt.Errorf("user %q: %w", asked, err)
	case len(list) == 0:
		return sysuser.User{}, fmt.Errorf("no user is named %q", asked)
	case list[0].Uid == 0:
		return sysuser.User{}, fmt.Errorf("%q is root, who needs none of this", asked)
	}
	return list[0], nil
}

// fixRootless does what can be done for the checks that are not ok, and tells each change.
func fixRootless(ctx context.Context, env *Env, m *rootless.Machine, checks []rootless.Check) error {
	tell := func(text string, args ...any) { fmt.Fprintf(env.Err, "changed: "+text+"\n", args...) }
	var errs []error
	linger := false
	for _, c := range checks {
		if c.State == rootless.CheckOK {
			continue
		}
		switch c.Name {
		case "subuid", "subgid":
			line, err := rootless.AddRange("/etc/"+c.Name, m.User.Name, false)
			if err == nil && line != "" {
				tell("/etc/%s has the line %s", c.Name, line)
			}
			errs = append(errs, err)
		case "linger", "XDG_RUNTIME_DIR":
			if linger {
				continue
			}
			linger = true
			_, err := env.Run(ctx, proc.Command{Path: "loginctl", Args: []string{"enable-linger", m.User.Name}})
			if err == nil {
				tell("%s lingers: the user's units start at boot", m.User.Name)
				err = sd.StartUnit(ctx, env.Run, false, fmt.Sprintf("user@%d.service", m.User.Uid))
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, fixDelegation(ctx, env, m, tell))...)
}

// fixDelegation writes a drop-in for the managers of users. It is asked for anew: a manager may run only now.
func fixDelegation(ctx context.Context, env *Env, m *rootless.Machine, tell func(string, ...any)) error {
	if !m.LacksDelegation() {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(rootless.DelegationFile), 0o755); err != nil {
		return err
	}
	if err := atomicfile.Write(rootless.DelegationFile, []byte(rootless.DelegationText), 0o644); err != nil {
		return err
	}
	tell("%s is written", rootless.DelegationFile)
	if _, err := env.Run(ctx, proc.Command{Path: "systemctl", Args: []string{"daemon-reload"}}); err != nil {
		return fmt.Errorf("systemctl daemon-reload: %w", err)
	}
	return nil
}
