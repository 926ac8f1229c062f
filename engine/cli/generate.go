package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/generator"
	"github.com/berth-pods/berth/generator/sources"
	"github.com/berth-pods/berth/units"
)

type generateOptions struct{ dryRun, user bool }

func (o *generateOptions) flags(set *pflag.FlagSet) {
	set.BoolVar(&o.dryRun, "dry-run", true, "print and write nothing, which is all that this command does")
	userFlag(set, &o.user)
}

func generateVerb() Verb {
	var o generateOptions
	return Verb{
		Name: "generate", Usage: "[OPTION…] [DIR|FILE|NAME…]", Summary: "print the units that unit files become",
		Text: `Prints what berth-generator(8) gives to systemd: each unit after a line ---NAME.service---, with its links into the
directories of targets as comments behind it. Without arguments these are the units of all files that the generator
reads. A DIR takes the place of the directories that it reads; of a FILE, or of a NAME that is looked for there
(web.container, or web.service), only that unit is printed. A file with errors becomes a unit whose start fails.
Findings go to standard error.

Exit status: 0, 1 when a file has errors, 2 when a file cannot be read or the command line is wrong.`,
		Flags: o.flags, Run: runGenerate,
	}
}

func runGenerate(_ context.Context, env *Env, args []string) error {
	var o generateOptions
	set := newFlagSet("generate")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return usageError(err)
	}
	if !o.dryRun {
		return usageError(errors.New("berth generate writes nothing: `systemctl daemon-reload` has units written"))
	}
	user := forUser(set, o.user)
	files, wanted, err := generateInput(set.Args(), user)
	if err != nil {
		return &ExitError{Code: statusUsage, Err: err}
	}
	cfg := sources.Config(os.Getenv, user, len(set.Args()) == 0)
	findings, err := printUnits(env, cfg, files, wanted)
	if err == nil {
		err = writeFindings(env.Err, findings)
	}
	for _, w := range wanted {
		if !w.found && err == nil {
			err = &ExitError{Code: statusUsage, Err: fmt.Errorf("no unit is made of %s", w.word)}
		}
	}
	if err == nil && units.HasErrors(findings) {
		err = &ExitError{Code: statusFindings}
	}
	return err
}

// wantedUnit is an argument that asks for one unit.
type wantedUnit struct {
	word  string
	path  string // of a file; empty for a name
	found bool
}

func (w *wantedUnit) is(out *generator.Output) bool {
	if w.path != "" {
		return w.path == out.Source
	}
	return w.word == out.Name || w.word == filepath.Base(out.Source)
}

// generateInput reads directories that are named, or those of files, or the generator's.
func generateInput(args []string, user bool) (generator.Set, []*wantedUnit, error) {
	var searches []sources.Search
	var wanted []*wantedUnit
	all := len(args) == 0
	for _, arg := range args {
		path, err := foundPath(arg)
		if err != nil {
			return generator.Set{}, nil, err
		}
		info, err := os.Stat(path)
		switch {
		case err == nil && info.IsDir():
			searches = append(searches, oneDir(path, true))
		case err == nil:
			dir := contextDir(path)
			if dir == "" {
				return generator.Set{}, nil, notUnitFile(arg)
			}
			searches = append(searches, oneDir(dir, false))
			wanted = append(wanted, &wantedUnit{word: arg, path: path})
		case !strings.Contains(arg, "/") && (isUnitFile(arg) || strings.HasSuffix(arg, ".service")):
			all = true
			wanted = append(wanted, &wantedUnit{word: arg})
		default:
			return generator.Set{}, nil, err
		}
	}
	if all {
		searches = append(searches, searchUnits(user))
	}
	set, err := readSearches(searches...)
	return set, wanted, err
}

// printUnits prints the wanted units, all when wanted is empty, and returns the findings about their files.
func printUnits(env *Env, cfg generator.Config, set generator.Set, wanted []*wantedUnit) (findings []units.Finding, err error) {
	w := bufio.NewWriter(env.Out)
	generator.Generate(cfg, set, func(out *generator.Output) {
		if len(wanted) > 0 && !mark(wanted, out) {
			return
		}
		findings = append(findings, out.Findings...)
		if out.Name == "" {
			return
		}
		for _, unit := range append([]generator.Output{*out}, out.Also...) {
			fmt.Fprintf(w, "---%s---\n%s", unit.Name, unit.Text)
			for _, link := range unit.Links {
				fmt.Fprintf(w, "# link: %s -> %s\n", link.Name, link.Target)
			}
			fmt.Fprintln(w)
		}
	})
	if wait := generator.WaitOnline(); cfg.User && len(wanted) == 0 && len(set.Files) > 0 {
		fmt.Fprintf(w, "---%s---\n%s\n", wait.Name, wait.Text)
	}
	return findings, w.Flush()
}

// mark reports whether one of the wanted units is this one, and notes that it was found.
func mark(wanted []*wantedUnit, out *generator.Output) (any bool) {
	for _, w := range wanted {
		if w.is(out) {
			w.found, any = true, true
		}
	}
	return any
}
