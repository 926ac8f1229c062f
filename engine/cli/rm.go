package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/cgroup"
	"github.com/berth-pods/berth/engine/events"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/sd"
)

type rmOptions struct {
	selection
	depend                 bool
	force, ignore, volumes bool
	own                    bool
	time                   int
}

func (o *rmOptions) flags(set *pflag.FlagSet) {
	o.of = "containers"
	o.selection.flags(set)
	set.BoolVar(&o.depend, "depend", false, "remove those that share its namespaces too (taken for Podman's sake)")
	set.BoolVarP(&o.force, "force", "f", false, "stop a running container first; one that is not there is no error")
	set.BoolVarP(&o.ignore, "ignore", "i", false, "a container that is not there is no error")
	set.BoolVarP(&o.volumes, "volumes", "v", false, "remove the container's anonymous volumes too")
	set.BoolVar(&o.own, "own", false, "the containers of the unit that calls it, also under another name; those of other units are left alone")
	set.IntVarP(&o.time, "time", "t", 0, "`SECONDS` that the container may take to end; -1 for no limit (default: the container's own)")
}

func rmVerb() Verb {
	var o rmOptions
	return Verb{
		Name: "rm", Usage: "[OPTION…] CONTAINER…", Summary: "remove containers",
		Text: `Takes a container and all that it had away. It may be called at any moment and again and again: what an interrupted
start or removal has left is taken away too.

Exit status: 1 when there is no such container, 2 when one runs; of several failures the gravest counts.`,
		Removes: true,
		Flags:   o.flags,
		Before:  beforeRm,
		Userns:  func(args []string) bool { return rootless.Needed() && anyThere(args) },
		Run:     runRm,
	}
}

// anyThere tells whether one of the words names a container of this user. Most calls after a stop find none: the
// container is gone already, and no namespace is needed to see that.
func anyThere(args []string) bool {
	for _, a := range args {
		if strings.HasPrefix(a, "--all") || strings.HasPrefix(a, "--latest") || strings.HasPrefix(a, "--cidfile") || strings.HasPrefix(a, "--filter") || len(a) > 1 && a[0] == '-' && a[1] != '-' && strings.ContainsAny(a, "al") {
			return true
		}
		if _, err := runDirs().Find(a); !errors.Is(err, engine.ErrNoContainer) {
			return true
		}
	}
	return slices.Contains(args, "--own") && len(ownUnder(runDirs(), args, containersOfSelf())) > 0
}

// parseRm turns the words after `rm` into options and names.
func parseRm(args []string) (engine.RemoveOptions, []string, error) {
	var o rmOptions
	set := newFlagSet("rm")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return engine.RemoveOptions{}, nil, err
	}
	names, err := o.names(set.Args())
	if err != nil {
		return engine.RemoveOptions{}, nil, err
	}
	if o.own {
		names = append(names, ownUnder(runDirs(), names, containersOfSelf())...)
	}
	options := engine.RemoveOptions{Force: o.force, Ignore: o.ignore || o.force, Volumes: o.volumes}
	options.Spare = func(s engine.State) bool { return o.takenOver(unitOfSelf(), s) }
	if set.Changed("time") {
		timeout := time.Duration(o.time) * time.Second
		options.Timeout = &timeout
		options.Force = true
	}
	return options, names, nil
}

// ownUnder leaves out, of the containers of a unit, those that have one of these names and those that have gone. The unit's file may name
// its container differently by now.
func ownUnder(dirs engine.Dirs, names, ids []string) []string {
	return slices.DeleteFunc(ids, func(id string) bool {
		_, err := dirs.Find(id)
		return err != nil || slices.ContainsFunc(names, func(name string) bool {
			s, err := dirs.Find(name)
			return err == nil && s.ID == id
		})
	})
}

// names are the words, and those that the selection adds.
func (o rmOptions) names(words []string) ([]string, error) {
	if len(words) == 0 && o.ignore && !o.all && !o.latest && len(o.cidfiles) == 0 && len(o.filters) == 0 {
		return nil, nil
	}
	if !o.all && !o.latest && len(o.cidfiles) == 0 && len(o.filters) == 0 {
		if len(words) == 0 {
			return nil, errors.New("no container is named")
		}
		return words, nil
	}
	o.selection.ignore = o.ignore || o.force
	if len(words) > 0 && (o.all || len(o.filters) > 0) {
		return nil, errors.New("--all and --filter take no names")
	}
	list, err := containers(nil, o.selection)
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		words = append(words, s.ID)
	}
	if !o.all || len(o.filters) > 0 {
		return words, nil
	}
	unread, err := runDirs().Unread() // some can be removed nevertheless, and of the others the removal tells
	for _, id := range unread {
		if !slices.Contains(words, id) { // what is kept of it can be read
			words = append(words, id)
		}
	}
	return words, err
}

// byID puts the IDs in the place of names: of those that are known, and of all where there are many. To find one that does not run by its
// name, all are read.
func byID(names []string, known map[string]string) []string {
	const many = 4
	every := map[string]string{}
	if len(names)-len(known) >= many {
		list, _ := runDirs().All()
		for _, s := range list {
			every[s.Name] = s.ID
		}
	}
	ids := make([]string, len(names))
	for i, name := range names {
		ids[i] = cmp.Or(known[name], every[name], name)
	}
	return ids
}

// beforeRm stops containers before the user's namespace is entered, where it could not be done. One that is a unit's is stopped by
// systemd, so that the unit has ended, and its name is free, when the container is gone. Where systemd cannot, the removal does.
func beforeRm(ctx context.Context, env *Env, args []string) error {
	if rootless.Inside() {
		return nil
	}
	options, names, err := parseRm(args)
	if err != nil {
		return nil // it is reported by the removal itself
	}
	ids := byID(names, nil)
	found, err := stopUnits(ctx, env, names, ids, options)
	if err != nil {
		return err
	}
	if err := os.Setenv(foundVariable, strings.Join(found, " ")); err != nil {
		return err
	}
	leavePods(ctx, env, slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		s, err := runDirs().Find(id)
		return err == nil && (s.Running() && !options.Force || options.Spares(s)) // which is refused, or left alone
	}))
	if !rootless.Needed() || !options.Force { // one that runs is refused by the removal, which tells of all others too
		return nil
	}
	if err := stopOutside(ctx, env, ids, options); err != nil {
		return removed(err)
	}
	return nil
}

// stopUnits stops the containers that are units', and tells the names and IDs of all that were there. An ID takes the place of its name.
func stopUnits(ctx context.Context, env *Env, names, ids []string, options engine.RemoveOptions) (found []string, err error) {
	var list []engine.State
	called := map[string]string{}
	for i, name := range names {
		s, err := runDirs().Find(ids[i])
		if err == nil {
			ids[i] = s.ID
		}
		if err == nil && returns(ctx, env, s) {
			err = errors.Join(os.Setenv(returnsVariable, s.ID), countRestarts(ctx, env, []string{s.ID}))
		}
		if err != nil || !options.Force || options.Spares(s) {
			continue
		}
		found = append(found, name, s.ID)
		if called[s.ID] == "" {
			list = append(list, s)
		}
		called[s.ID] = name
	}
	return found, sideBySide(list, func(s engine.State) (func(), error) {
		gone, err := stopBeforeRm(ctx, env, s, options)
		return func() {
			if gone {
				tellRemoved(env, called[s.ID])
			}
		}, err
	})
}

// stopBeforeRm stops a container that is a unit's, and tells whether it has gone with its end.
func stopBeforeRm(ctx context.Context, env *Env, s engine.State, options engine.RemoveOptions) (gone bool, err error) {
	s, err = onceStarted(ctx, env, s) // the unit may be that of who makes it
	if err != nil || options.Spares(s) {
		return false, nil
	}
	if ruled, err := ruledByUnit(s); !ruled || err != nil {
		return false, err
	}
	if _, err := stopOne(ctx, env, s, options.Timeout); err != nil && s.Lasting() {
		return false, err
	}
	_, err = runDirs().Find(s.ID)
	return errors.Is(err, engine.ErrNoContainer), nil
}

// foundVariable has the names of what was there before it was stopped, each with its ID behind it: who sees it end, its unit or a
// `berth run --rm`, may be the first to remove it.
const foundVariable = "BERTH_RM_FOUND"

// foundBefore are the IDs in foundVariable, by name.
func foundBefore(getenv func(string) string) map[string]string {
	ids := map[string]string{}
	words := strings.Fields(getenv(foundVariable))
	for i := 0; i+1 < len(words); i += 2 {
		ids[words[i]] = words[i+1]
	}
	return ids
}

// returnsVariable has the ID of the container that this unit, whose service ends, starts again: within the user's namespace it cannot be asked.
const returnsVariable = "BERTH_RETURNS"

// returns tells whether systemd is about to run a container of this unit again that does not outlive its end, as --restart says.
func returns(ctx context.Context, env *Env, s engine.State) bool {
	if endSeen(s, unitOfSelf(), os.Getenv) == nil || s.Lasting() || !startsAgain(s) {
		return false
	}
	again, err := sd.Returns(ctx, env.Run, userManaged(), s.Unit)
	return again || err != nil // it has not said that the unit stays down
}

// podGoesVariable says that the pod itself is being removed.
const podGoesVariable = "BERTH_POD_GOES"

// leavePods stops each pod whose last running container is going and whose exit policy wants that. The manager is asked, not waited
// for: the pod's unit stops after those of its containers.
func leavePods(ctx context.Context, env *Env, names []string) {
	if rootless.Inside() || os.Getenv(podGoesVariable) != "" {
		return
	}
	dirs := runDirs()
	for _, name := range names {
		s, err := dirs.Find(name)
		if err != nil || s.Pod == "" {
			continue
		}
		p, err := dirs.FindPod(s.Pod)
		if err != nil || p.Unit == "" {
			continue
		}
		stops, err := stopsWith(ctx, env.Run, p, s)
		if stops {
			err = sd.StopLater(ctx, env.Run, userManaged(), p.Unit)
		}
		if err != nil {
			fmt.Fprintf(env.Err, "pod %q is not stopped: %v\n", p.Name, err)
		}
	}
}

// stopsWith tells whether a pod is to stop because this container of it ends: it is the last, will not be started again, and the
// pod's exit policy is so.
func stopsWith(ctx context.Context, run proc.Runner, p engine.Pod, s engine.State) (bool, error) {
	if p.Spec.ExitPolicy != "stop" {
		return false, nil
	}
	members, err := runDirs().MembersSurely(p)
	if err != nil || slices.ContainsFunc(members, func(m engine.State) bool { return m.ID != s.ID && (m.Running() || m.OnItsWay()) }) {
		return false, err
	}
	if !sd.IsService(s.Unit) {
		return true, nil
	}
	returns, err := sd.Returns(ctx, run, userManaged(), s.Unit)
	return err == nil && !returns, err
}

// leavePlainPod is leavePods for a pod that root has made by hand: files hold what is shared, and no unit is there to be stopped. It comes
// after the container's end has been seen to, for the container may run until then.
func leavePlainPod(ctx context.Context, run proc.Runner, e *engine.Engine, s engine.State) error {
	if s.Pod == "" || os.Getenv(podGoesVariable) != "" || rootlessMode() {
		return nil
	}
	dirs := runDirs()
	p, err := dirs.FindPod(s.Pod)
	if err != nil || p.Unit != "" || !dirs.Live(p) {
		return nil // without the pod there is nothing to stop
	}
	stops, err := stopsWith(ctx, run, p, s)
	if err != nil { // no fault of the container, whose removal goes on
		fmt.Fprintf(e.Warn, "pod %q is not stopped: %v\n", p.Name, err)
	}
	if !stops {
		return nil
	}
	if err = e.StopPod(ctx, p); errors.Is(err, engine.ErrPodRuns) { // one was started meanwhile
		return nil
	}
	return err
}

// stopOutside stops the containers of these names that run; those on their way are waited for.
func stopOutside(ctx context.Context, env *Env, names []string, o engine.RemoveOptions) error {
	e := engine.Engine{Dirs: runDirs(), Cgroups: cgroup.Cgroups{}, Warn: env.Err, Event: events.Event.Send}
	for _, name := range names {
		s, err := e.Dirs.Find(name)
		if err == nil && !o.Spares(s) {
			s, err = onceStarted(ctx, env, s)
		}
		if err != nil || o.Spares(s) {
			continue // the removal says so
		}
		if err := e.Stop(ctx, s, o); err != nil {
			return err
		}
	}
	return nil
}

func runRm(ctx context.Context, env *Env, args []string) error {
	options, names, err := parseRm(args)
	if err != nil {
		return removed(err)
	}
	defer tellEnd()
	var errs []error
	var e *engine.Engine
	find := runDirs().Find
	if options.Ignore {
		find = runDirs().FindSurely
	}
	found := foundBefore(os.Getenv)
	ids := byID(names, found)
	for i, name := range names {
		s, err := find(ids[i])
		if errors.Is(err, engine.ErrNoContainer) && (options.Ignore || found[name] != "") || err == nil && options.Spares(s) {
			continue
		}
		if errors.Is(err, engine.ErrDamaged) && s.ID != "" { // the removal tells of it
			err = nil
		}
		if err == nil && e == nil {
			e, err = newEngine(env)
		}
		if err == nil {
			options.Exit, options.Returns = endSeen(s, unitOfSelf(), os.Getenv), s.ID == os.Getenv(returnsVariable)
			err = e.Remove(ctx, s.ID, options)
		}
		if err == nil {
			err = leavePlainPod(ctx, env.Run, e, s)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		tellRemoved(env, name)
	}
	return removed(errs...)
}

// takenOver tells the command that stops a generated unit, and knows its container by name, that a container of another unit, or of
// somebody at a prompt, has taken the name over (--replace): the unit's own one has gone.
func (o rmOptions) takenOver(self string, s engine.State) bool {
	return o.own && ofAnother(self, s)
}

// endSeen is how the container has ended, when this is ExecStopPost= of its own unit; nil otherwise.
func endSeen(s engine.State, self string, getenv func(string) string) *engine.Exit {
	if getenv("EXIT_CODE") == "" || s.Unit != self {
		return nil
	}
	exit := exitOfUnit(getenv, s.Cgroup)
	return &exit
}

func tellRemoved(env *Env, name string) {
	if !sd.InJournal(os.Stdout) { // each stop of a unit would write the name into its log
		fmt.Fprintln(env.Out, name)
	}
}
