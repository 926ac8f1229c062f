package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/spec"
)

func createVerb() Verb {
	return Verb{
		Name: "create", Usage: "[OPTION…] IMAGE [COMMAND [ARGUMENT…]]", Summary: "make a container without starting it",
		Text: `Takes the options of run, and prints the container's ID. Variables that are to be copied from the caller get their
values now. start starts the container. One on a directory (--rootfs) or with a user namespace of its own is refused: run makes and starts it.`,
		Flags:   func(set *pflag.FlagSet) { bindRunFlags(set, &spec.Container{}) },
		Program: true,
		Before: func(ctx context.Context, env *Env, args []string) error {
			c, err := parseRun(args)
			if err != nil || rootless.Inside() {
				return nil // an error is reported by the verb itself
			}
			if rootless.Needed() && c.Replace && c.Name != "" {
				if err := stopAll(ctx, env, []string{c.Name}, nil); err != nil {
					return err
				}
			}
			if _, err := required(c.Requires); err != nil {
				return err
			}
			if c.Name == "" && strings.HasPrefix(c.Pod, engine.NewPod) {
				return startNamed("create", args)
			}
			return newPod(c, args)
		},
		Userns: func([]string) bool { return rootless.Needed() },
		Run:    runCreate,
	}
}

func runCreate(ctx context.Context, env *Env, args []string) error {
	c, err := parseRun(args)
	if err != nil {
		return err
	}
	verb, words := typed("create", args)
	c.CreateCommand = createCommand(verb, words, c)
	id, err := create(ctx, env, c)
	if err != nil {
		dropNewPod(ctx, env, c.Name)
		return err
	}
	_, err = fmt.Fprintln(env.Out, id)
	return err
}

// create makes a container and returns its ID.
func create(ctx context.Context, env *Env, c spec.Container) (string, error) {
	e, err := newEngine(env)
	if err != nil {
		return "", err
	}
	if c.Cgroups == "" {
		c.Cgroups = "split"
	}
	if c.SDNotify == "" {
		c.SDNotify = "conmon"
	}
	s, err := e.Create(ctx, c)
	return s.ID, err
}

// createFor makes the container that this run is about to start, which sees to a pod that it has made for it.
func createFor(ctx context.Context, env *Env, c spec.Container, told string, args []string) (id string, err error) {
	if rootless.Needed() {
		return createOutside(ctx, env, told, args)
	}
	if err := os.Setenv(engine.MakerVariable, strconv.Itoa(os.Getpid())); err != nil {
		return "", err
	}
	err = attempt(func() error {
		id, err = create(ctx, env, c)
		return err
	})
	return id, err
}

// createOutside makes a container by another berth, which is in the user's namespace where this one must not be, and
// returns its ID. What that is told is tellTyped of the run, whose pod it leaves to it.
func createOutside(ctx context.Context, env *Env, told string, args []string) (string, error) {
	c := itself(slices.Concat([]string{"create"}, scopeWords, args)...)
	c.Env, c.Stderr = append(os.Environ(), told, newPodVariable+"=", fmt.Sprint(engine.MakerVariable, "=", os.Getpid())), env.Err
	out, err := env.Run(ctx, c)
	if err != nil {
		return "", &ExitError{Code: statusFailed}
	}
	return trimLine(out), nil
}
