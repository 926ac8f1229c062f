package cli

import (
	"context"
	"fmt"
	"path"
	"sort"
	"strings"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/units"
)

func quadletVerb() Verb {
	return Verb{
		Name: "quadlet", Usage: "COMMAND", Summary: "install, list, print and remove unit files",
		Text: "Looks after the unit files of the system's manager, or as a user after those of the user's own manager.",
		Sub:  []Verb{quadletInstallVerb(), quadletListVerb(), quadletPrintVerb(), quadletRmVerb()},
	}
}

func reloadFlag(set *pflag.FlagSet, reload *bool) {
	set.BoolVar(reload, "reload-systemd", true, "let systemd read its units again afterwards")
}

// systemctl asks the manager of the caller.
func systemctl(ctx context.Context, env *Env, args ...string) ([]byte, error) {
	if rootlessMode() {
		args = append([]string{"--user"}, args...)
	}
	return env.Run(ctx, proc.Command{Path: "systemctl", Args: args})
}

func daemonReload(ctx context.Context, env *Env) error {
	if _, err := systemctl(ctx, env, "daemon-reload"); err != nil {
		return fmt.Errorf("systemd has not read its units again: %w", err)
	}
	return nil
}

// unitState is what systemd says of a unit.
type unitState struct{ load, active, sub string }

// String is what the column STATUS shows.
func (s unitState) String() string {
	if s.load == "" || s.load == "not-found" {
		return "Not loaded"
	}
	return s.active + "/" + s.sub
}

// runs tells whether stopping the unit would do anything: a unit that is being started counts.
func (s unitState) runs() bool {
	return s.active != "" && s.active != "inactive" && s.active != "failed"
}

// unitStates asks for many units at once. A template stands for all its instances.
func unitStates(ctx context.Context, env *Env, names []string) (map[string]unitState, error) {
	states := map[string]unitState{}
	if len(names) == 0 {
		return states, nil
	}
	args := []string{"show", "--property=Id,LoadState,ActiveState,SubState", "--"}
	for _, name := range names {
		args = append(args, unitPattern(name))
	}
	out, err := systemctl(ctx, env, args...)
	if err != nil {
		return nil, err
	}
	for block := range strings.SplitSeq(string(out), "\n\n") {
		properties := map[string]string{}
		for line := range strings.SplitSeq(block, "\n") {
			name, value, _ := strings.Cut(line, "=")
			properties[name] = value
		}
		if id := properties["Id"]; id != "" {
			states[id] = unitState{properties["LoadState"], properties["ActiveState"], properties["SubState"]}
		}
	}
	return states, nil
}

// unitPattern is the unit, or what all instances of a template are called.
func unitPattern(name string) string {
	if isTemplate(name) {
		return strings.Replace(name, "@.", "@*.", 1)
	}
	return name
}

func isTemplate(unit string) bool { return strings.HasSuffix(unit, "@.service") }

// running lists the units that run of those that the names stand for.
func running(states map[string]unitState, names []string) (list []string) {
	for id, s := range states {
		for _, name := range names {
			if matches, _ := path.Match(unitPattern(name), id); s.runs() && (id == name || matches && isTemplate(name)) {
				list = append(list, id)
				break
			}
		}
	}
	sort.Strings(list)
	return list
}

func notUnitFile(name string) error {
	return fmt.Errorf("%s is no unit file: its name ends in none of %s %s", name, extensions(), units.BundleExtension)
}
