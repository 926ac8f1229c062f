package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
)

// targetOptions are the options of a command that works on several containers, or pods, and say which.
type targetOptions[T any] interface {
	flags(set *pflag.FlagSet)
	find(names []string) ([]T, error)
}

// parseTargets reads the words after a verb into its options, and finds what they name.
func parseTargets[T any](verb string, args []string, o targetOptions[T]) ([]T, error) {
	set := newFlagSet(verb)
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	return o.find(set.Args())
}

// selection says which containers a command works on beside those that are named.
type selection struct {
	of                  string // what --all means, for the help: "running containers"
	filter              string // the short form of --filter, for those that have no -f of their own
	all, latest, ignore bool
	cidfiles            []string
	filters             []string
}

func (o *selection) flags(set *pflag.FlagSet) {
	set.BoolVarP(&o.all, "all", "a", false, "all "+o.of)
	set.StringArrayVar(&o.cidfiles, "cidfile", nil, "read a container's ID from a `FILE`")
	set.StringArrayVarP(&o.filters, "filter", o.filter, nil, "those for which `KEY=VALUE` is true, as for ps")
	set.BoolVarP(&o.latest, "latest", "l", false, "the container that was made last")
}

func (o *selection) find(words []string) ([]engine.State, error) {
	o.all = o.all || len(o.filters) > 0 // those of them that it has no meaning for are passed over
	return containers(words, *o)
}

// containers finds all that the words and the selection name.
func containers(words []string, o selection) ([]engine.State, error) {
	if o.all || len(o.filters) > 0 {
		if len(words) > 0 || o.latest || len(o.cidfiles) > 0 {
			return nil, errors.New("--all and --filter take no names")
		}
		return filteredContainers(o.filters)
	}
	var list []engine.State
	var errs []error
	add := func(s engine.State, err error) {
		switch {
		case err == nil:
			list = append(list, s)
		case !o.ignore || !errors.Is(err, engine.ErrNoContainer) && !errors.Is(err, fs.ErrNotExist): // the file with its ID goes with a container
			errs = append(errs, err)
		}
	}
	if o.latest {
		add(latestContainer())
	}
	for _, f := range o.cidfiles {
		add(containerInFile(f))
	}
	for _, w := range words {
		add(findContainer(w))
	}
	if len(list) == 0 && len(errs) == 0 && !o.ignore {
		return nil, errors.New("no container is named")
	}
	return list, errors.Join(errs...)
}

// filteredContainers are all that pass the filters of ps.
func filteredContainers(words []string) ([]engine.State, error) {
	passes, err := compileFilters(words, psFilters())
	if err != nil {
		return nil, err
	}
	all, err := runDirs().All()
	list := make([]engine.State, 0, len(all))
	for _, s := range all {
		if passes(&psRow{State: &s, status: status(s)}) {
			list = append(list, s)
		}
	}
	return list, err
}

// trimLine is a line that a program has printed.
func trimLine(out []byte) string { return strings.TrimSpace(string(out)) }

// findContainer finds the container that a word names: by its name, its ID, or the unit that it belongs to.
func findContainer(word string) (engine.State, error) {
	s, err := runDirs().Find(word)
	if !errors.Is(err, engine.ErrNoContainer) {
		return s, err
	}
	unit := strings.TrimSuffix(word, ".service") + ".service"
	list, listErr := runDirs().List()
	if listErr != nil {
		return s, listErr
	}
	for _, c := range list {
		if c.Unit == unit {
			return c, nil
		}
	}
	return s, err
}

// latestContainer is the one made last.
func latestContainer() (engine.State, error) {
	list, err := runDirs().All()
	if err != nil {
		return engine.State{}, err
	}
	if len(list) == 0 {
		return engine.State{}, fmt.Errorf("%w: there is none", engine.ErrNoContainer)
	}
	return list[len(list)-1], nil
}

// containerInFile finds the container whose ID a file has.
func containerInFile(path string) (engine.State, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return engine.State{}, fmt.Errorf("container ID file: %w", err)
	}
	return findContainer(strings.TrimSpace(string(text)))
}
