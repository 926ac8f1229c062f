package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/berth-pods/berth/generator"
)

func quadletPrintVerb() Verb {
	return Verb{
		Name: "quadlet print", Aliases: []string{"cat"}, Usage: "NAME…", Summary: "print installed unit files",
		Text: `Prints the file as it is, without drop-ins: the first one of that name, which is the one that counts.
berth generate NAME prints the unit that it becomes.`,
		Run: runQuadletPrint,
	}
}

func runQuadletPrint(_ context.Context, env *Env, args []string) error {
	set := newFlagSet("quadlet print")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() == 0 {
		return errors.New("no unit file is named")
	}
	files, err := readUnits(rootlessMode())
	errs := []error{err}
	for _, name := range set.Args() {
		text, err := findUnitFile(files, name)
		if err == nil {
			_, err = io.WriteString(env.Out, text)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// findUnitFile returns the text of a unit file, or of a part of a bundle.
func findUnitFile(files generator.Set, name string) (string, error) {
	for _, s := range files.Files {
		if s.Name == name {
			if s.Problem != "" {
				return "", fmt.Errorf("%s %s", s.Path, s.Problem)
			}
			return s.Text, nil
		}
		for _, p := range partsOf(s) {
			if p.name == name {
				return p.text, nil
			}
		}
	}
	if !isUnitFile(name) {
		return "", notUnitFile(name)
	}
	return "", fmt.Errorf("no unit file is called %q; `berth quadlet list` shows them", name)
}
