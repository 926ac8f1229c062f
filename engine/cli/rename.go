package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/sd"
	"github.com/berth-pods/berth/engine/store"
)

func renameVerb() Verb {
	return Verb{
		Name: "rename", Usage: "CONTAINER NAME", Summary: "give a container another name",
		Text: `The unit of one that runs keeps its name until the container is started again, and with the unit's name it is found too. The
containers of unit files are named there.`,
		Before: beforeRename, Run: runRename, Userns: namespaceNeeded,
	}
}

func parseRename(args []string) (engine.State, string, error) {
	set := newFlagSet("rename")
	if err := set.Parse(args); err != nil {
		return engine.State{}, "", err
	}
	if set.NArg() != 2 {
		return engine.State{}, "", errors.New("name the container, and its new name")
	}
	s, err := findContainer(set.Arg(0))
	return s, set.Arg(1), err
}

// beforeRename asks systemd, which would not know the root of a user's namespace.
func beforeRename(ctx context.Context, env *Env, args []string) error {
	s, name, err := parseRename(args)
	if err != nil || rootless.Inside() {
		return nil
	}
	if s.Running() && sd.IsService(s.Unit) && !sd.IsTransient(ctx, env.Run, userManaged(), s.Unit) {
		return fmt.Errorf("container %q is named by the file of %s: write ContainerName=%s there, and start the unit again", s.Name, s.Unit, name)
	}
	return nil
}

func runRename(_ context.Context, env *Env, args []string) error {
	s, name, err := parseRename(args)
	if err != nil {
		return err
	}
	e := engine.Engine{Dirs: runDirs(), Warn: env.Err}
	if err := e.Rename(s, name, (&store.Store{}).Rename); err != nil {
		return err
	}
	s.Name = name
	s.Tell("rename")
	return nil
}
