package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/cgroup"
	"github.com/berth-pods/berth/engine/keeper"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/sd"
)

func containerVerb() Verb {
	var prune containerPruneOptions
	var cleanup cleanupOptions
	return Verb{
		Name: "container", Usage: "COMMAND", Summary: "more about containers",
		Text: "All commands that work on containers may be written with `container` before them: `berth container ls`.",
		Sub: []Verb{
			containerCloneVerb(),
			{
				Name: "container cleanup", Usage: "[OPTION…] CONTAINER…", Summary: "take away what containers that have ended had while they ran",
				Text: `Units of containers that outlive their end call it (ExecStopPost=); systemd tells how the container ended
($EXIT_CODE and $EXIT_STATUS). Those that are to be removed with their end are removed.`,
				Removes: true,
				Flags:   cleanup.flags, Before: enterForCleanup, Run: runCleanup, Userns: func(args []string) bool { return rootless.Needed() && anyThere(args) },
			},
			{Name: "container exists", Usage: "CONTAINER", Summary: "ask whether there is a container: exit status 0 or 1", Run: runContainerExists},
			{
				Name: "container prune", Usage: "[OPTION…]", Summary: "remove all containers that do not run",
				Removes: true,
				Flags:   prune.flags, Before: confirmBefore(func(args []string) string {
					o, err := parseContainerPrune(args)
					if err != nil || o.force {
						return ""
					}
					return "This removes all containers that do not run."
				}),
				Userns: func([]string) bool { return rootless.Needed() }, Run: runPrune,
			},
		},
	}
}

type containerPruneOptions struct {
	force   bool
	filters []string
}

func (o *containerPruneOptions) flags(set *pflag.FlagSet) {
	set.BoolVarP(&o.force, "force", "f", false, "do not ask")
	set.StringArrayVar(&o.filters, "filter", nil, "remove some only, `KEY=VALUE`: label, label!, until")
}

func parseContainerPrune(args []string) (containerPruneOptions, error) {
	var o containerPruneOptions
	set := newFlagSet("container prune")
	o.flags(set)
	if err := parseAlone(set, args); err != nil {
		return o, err
	}
	return o, checkPruneFilters(o.filters)
}

func runContainerExists(_ context.Context, _ *Env, args []string) error {
	set := newFlagSet("container exists")
	set.Bool("external", false, "")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() != 1 {
		return errors.New("name one container")
	}
	_, err := findContainer(set.Arg(0))
	if errors.Is(err, engine.ErrNoContainer) {
		return &ExitError{Code: 1}
	}
	return err
}

func runPrune(ctx context.Context, env *Env, args []string) error {
	o, err := parseContainerPrune(args)
	if err != nil {
		return err
	}
	p, err := pruneContainers(ctx, env, o.filters)
	for _, id := range p.names {
		fmt.Fprintln(env.Out, id)
	}
	return err
}

// enterForCleanup ends a user's processes that are left where that can be done.
func enterForCleanup(ctx context.Context, env *Env, args []string) error {
	if os.Getenv("SERVICE_RESULT") == "" || rootless.Inside() { // then args are IDs
		return nil
	}
	args = slices.DeleteFunc(slices.Clone(args), func(id string) bool {
		s, err := runDirs().Find(id)
		return err == nil && startedElsewhere(s)
	})
	if err := countRestarts(ctx, env, args); err != nil {
		return err
	}
	leavePods(ctx, env, args)
	if !rootless.Needed() {
		return nil
	}
	var at time.Duration
	return stopOutside(ctx, env, args, engine.RemoveOptions{Force: true, Ignore: true, Timeout: &at, Spare: startedElsewhere})
}

// restartsVariable has how often systemd had started the container of this unit again: within the user's namespace it cannot be asked.
const restartsVariable = "BERTH_RESTARTS"

func countRestarts(ctx context.Context, env *Env, ids []string) error {
	for _, id := range ids {
		s, err := runDirs().Find(id)
		if err != nil || !sd.IsService(s.Unit) || !startsAgain(s) {
			continue
		}
		if err := os.Setenv(restartsVariable, strconv.Itoa(sd.Restarts(ctx, env.Run, userManaged(), s.Unit)[0])); err != nil {
			return err
		}
	}
	return nil
}

type cleanupOptions struct {
	all, latest, rm, rmi bool
	exec                 string
}

func (o *cleanupOptions) flags(set *pflag.FlagSet) {
	set.BoolVarP(&o.all, "all", "a", false, "all containers that do not run")
	set.StringVar(&o.exec, "exec", "", "`SESSION` of exec: nothing is left of one, so there is nothing to do")
	set.BoolVarP(&o.latest, "latest", "l", false, "the container that was made last")
	set.BoolVar(&o.rm, "rm", false, "remove the containers then")
	set.BoolVar(&o.rmi, "rmi", false, "remove their images then, which no other container may have; implies --rm")
}

func parseCleanup(args []string) (o cleanupOptions, names []string, err error) {
	set := newFlagSet("container cleanup")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return o, nil, err
	}
	o.rm = o.rm || o.rmi
	switch names = set.Args(); {
	case o.exec != "" && (o.rm || o.all || o.latest || len(names) != 1):
		return o, nil, errors.New("--exec takes one container, and none of the other options")
	case (o.all || o.latest) && len(names) > 0, o.all && o.latest:
		return o, nil, errors.New("--all, --latest and names exclude each other")
	case !o.all && !o.latest && len(names) == 0:
		return o, nil, errors.New("no container is named")
	case !o.all && !o.latest:
		return o, names, nil
	}
	list, err := containers(nil, selection{all: o.all, latest: o.latest})
	for _, s := range list {
		if !o.all || !s.Running() && !s.OnItsWay() {
			names = append(names, s.ID)
		}
	}
	return o, names, err
}

func runCleanup(ctx context.Context, env *Env, args []string) error {
	o, names, err := parseCleanup(args)
	if err != nil {
		return err
	}
	if o.exec != "" {
		_, err := findContainer(names[0])
		return err
	}
	defer tellEnd()
	var errs []error
	for _, name := range names {
		s, err := runDirs().Find(name)
		if errors.Is(err, engine.ErrNoContainer) {
			continue
		}
		if err == nil {
			err = cleanup(ctx, env, s, o)
		}
		if err == nil {
			tellRemoved(env, name)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func cleanup(ctx context.Context, env *Env, s engine.State, o cleanupOptions) error {
	switch {
	case startedElsewhere(s):
		return nil
	case s.Running() && os.Getenv("SERVICE_RESULT") == "": // systemd has not ended the main process
		return fmt.Errorf("%w: %q; `berth stop %s` stops it", engine.ErrRunning, s.Name, s.Name)
	}
	e, err := newEngine(env)
	if err != nil {
		return err
	}
	if err := e.Cleanup(ctx, s, exitOfUnit(os.Getenv, s.Cgroup)); err != nil {
		return err
	}
	if err := leavePlainPod(ctx, env.Run, e, s); err != nil {
		return err
	}
	if o.rm {
		if err := e.Remove(ctx, s.ID, engine.RemoveOptions{Ignore: true}); err != nil {
			return err
		}
	}
	if o.rmi {
		if err := e.RemoveImage(ctx, s.ImageID); err != nil {
			return err
		}
	}
	return nil
}

// startedElsewhere tells a unit that cleans up after its end that the container is another unit's by now.
func startedElsewhere(s engine.State) bool {
	return os.Getenv("SERVICE_RESULT") != "" && ofAnother(unitOfSelf(), s)
}

// ofAnother tells whether a container is of another unit than this process, which may not know its own.
func ofAnother(self string, s engine.State) bool { return self != "" && s.Unit != "" && s.Unit != self }

// exitOfUnit is how systemd says that a unit's main process ended (systemd.exec(5), $EXIT_CODE). For want of memory is no result of a unit
// that divides its control group (systemd.service(5), OOMPolicy=): the container's own tells.
func exitOfUnit(getenv func(string) string, group string) engine.Exit {
	x := engine.Exit{Code: 255, OOM: getenv("SERVICE_RESULT") == "oom-kill" || cgroup.OOMKilled(group)}
	x.Restarts, _ = strconv.Atoi(getenv(restartsVariable))
	switch getenv("EXIT_CODE") {
	case "exited":
		if n, err := strconv.Atoi(getenv("EXIT_STATUS")); err == nil {
			x.Code = n
		}
	case "killed", "dumped":
		if sig, err := proc.ParseSignal(getenv("EXIT_STATUS")); err == nil {
			x.Code = 128 + int(sig)
		}
	}
	return x
}

// tellEnd tells those who are attached to the container of this unit how it has ended, when systemd has seen that.
func tellEnd() {
	if os.Getenv("EXIT_CODE") != "" {
		tell(keeper.Ended{Unit: unitOfSelf(), Code: exitOfUnit(os.Getenv, "").Code})
	}
}

// tellFailure tells those who wait for a container why it could not start.
func tellFailure(id string, err error) {
	code := statusFailed
	var exit *ExitError
	if errors.As(startError(err), &exit) {
		code = exit.Code
	}
	tell(keeper.Ended{ID: id, Code: code, Error: err.Error()})
}

// tell is for nobody where no keeper is.
func tell(e keeper.Ended) {
	if e.ID == "" && e.Unit == "" {
		return
	}
	if conn, err := keeper.Dial(keeperSocket()); err == nil {
		conn.TellEnd(e)
		conn.Close()
	}
}

// unitOfSelf is the unit that this process belongs to, "" when it is in none or cannot tell.
func unitOfSelf() string { return engine.UnitOf(ownCgroupPath()) }

// containersOfSelf are the IDs of the containers in the control group of the unit that this process belongs to.
func containersOfSelf() []string {
	path := ownCgroupPath()
	unit := engine.UnitOf(path)
	if unit == "" {
		return nil
	}
	return cgroup.Containers(path[:strings.LastIndex(path, "/"+unit)+1+len(unit)])
}

// ruledByUnit tells whether systemd must be asked to end the container: else it would start it again, or call it failed.
// Within the unit, as one of its own commands, it must not be asked: it waits for that command. Who cannot tell where it is does neither.
func ruledByUnit(s engine.State) (bool, error) {
	if !sd.IsService(s.Unit) {
		return false, nil
	}
	own, err := readCgroupPath()
	if err != nil {
		return false, fmt.Errorf("whether this is a command of %s: %w", s.Unit, err)
	}
	return s.Unit != engine.UnitOf(own), nil
}
