package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/berth-pods/berth/engine/rootless"
)

func unshareVerb() Verb {
	return Verb{
		Name: "unshare", Usage: "[COMMAND [ARGUMENT…]]", Summary: "run a program as root of the user's namespace",
		Text: `The program sees the files of the user's containers with the owners that the containers see: what is root's there is the
user's own, and what has another owner has an ID of the user's range in /etc/subuid. Without a command it is the user's shell.

    berth unshare chown -R 1000:1000 data    # what a container with User=1000 is to write to
    berth unshare cat /proc/self/uid_map

Exit status: the program's own; 126 when it cannot be run, 127 when there is none.`,
		Program: true,
		Before: func(context.Context, *Env, []string) error {
			if os.Getuid() == 0 && !rootless.Inside() {
				return errors.New("unshare is for users: root's containers are in no user namespace that all of them share")
			}
			return nil
		},
		Userns: needsUserns, Run: runUnshare,
	}
}

func runUnshare(_ context.Context, _ *Env, args []string) error {
	set := newFlagSet("unshare")
	set.SetInterspersed(false)
	if err := set.Parse(args); err != nil {
		return err
	}
	words := set.Args()
	if len(words) == 0 {
		words = []string{os.Getenv("SHELL")}
		if words[0] == "" {
			words[0] = "/bin/sh"
		}
	}
	path, err := exec.LookPath(words[0])
	if err != nil {
		return &ExitError{Code: 127, Err: fmt.Errorf("unshare: %w", err)}
	}
	return &ExitError{Code: 126, Err: fmt.Errorf("unshare: %s: %w", path, syscall.Exec(path, words, os.Environ()))}
}
