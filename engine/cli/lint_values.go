package cli

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/generator"
	"github.com/berth-pods/berth/units"
	"github.com/berth-pods/berth/units/unitfile"
)

// The generator knows the language and no more: what a start says of the value of a flag is looked for here.

// wrongValues finds what no start of the units would take.
func wrongValues(set generator.Set) (findings []units.Finding) {
	for _, s := range set.Files {
		for _, p := range partsOf(s) {
			findings = append(findings, wrongIn(p.name, s.Path, p)...)
		}
	}
	for dir, list := range set.Dropins {
		for _, s := range list {
			if kind := dropinKind(dir); kind != 0 {
				findings = append(findings, wrongIn("x"+kind.Extension(), s.Path, bundled{text: s.Text})...)
			}
		}
	}
	return findings
}

// wrongIn looks at one file, or at what is in a bundle.
func wrongIn(name, path string, p bundled) (findings []units.Finding) {
	kind := units.KindOf(name)
	if kind != units.KindContainer && kind != units.KindPod && kind != units.KindNetwork && kind != units.KindVolume {
		return nil
	}
	file, syntax := new(unitfile.Parser).Parse(path, p.text, p.skipped)
	u := units.Load(name, file, syntax)
	u.Check()
	report := func(at unitfile.Pos, what string, err error) {
		if slices.ContainsFunc(u.Findings, func(f units.Finding) bool { return f.At.Line == at.Line }) {
			return // of which something is told already
		}
		message := strings.ReplaceAll(err.Error(), "\n", "; ")
		findings = append(findings, units.Finding{At: at, Severity: units.Error, Message: what + ": " + message})
	}
	if kind == units.KindContainer || kind == units.KindPod {
		checkKeys(kind, u.Section, report)
	}
	checkArgs(kind, units.SharedOf(u.Section).PodmanArgs, report)
	return findings
}

// checkKeys looks at the keys by themselves when together they are not right.
func checkKeys(kind units.Kind, section units.Section, report func(at unitfile.Pos, what string, err error)) {
	var flags, whats []string
	var places []unitfile.Pos
	for _, row := range units.RowsOf(kind) {
		for _, w := range literal(row, section) {
			if !later(w.Text) {
				flags = append(flags, strings.TrimSuffix(row.Flag, "=")+"="+started(row.Flag, w.Text))
				whats, places = append(whats, row.Name+"="+w.Text), append(places, w.At)
			}
		}
	}
	if checkFlags(kind, flags...) == nil {
		return
	}
	for i, f := range flags {
		if err := checkFlags(kind, f); err != nil {
			report(places[i], whats[i], err)
		}
	}
}

// later tells of a word that is not known before the unit starts: specifiers and variables are systemd's.
func later(word string) bool { return strings.ContainsAny(word, "%$") }

// literal are the values of a key that are the values of its flag, as they stand.
func literal(row *units.Row, section units.Section) []units.Word {
	if row.Flag == "" || row.Trait == units.Old || slices.Contains(madeUp, row.Flag) {
		return nil
	}
	switch v := row.Value(section).(type) {
	case *units.String:
		if v.Text != "" {
			return []units.Word{{Text: v.Text, At: v.At}}
		}
	case *units.List:
		return *v
	case *units.Words:
		return *v
	case *units.Args:
		return *v
	case *units.Pairs:
		return *v
	}
	return nil
}

// started is the value as the generator passes it on, but that what another unit makes has the name of its file.
func started(flag, word string) string {
	if flag == "--device" {
		return strings.TrimPrefix(word, "-") // it need not be there
	}
	for _, k := range units.Kinds {
		head, tail, found := strings.Cut(word, k.Extension())
		if found && (tail == "" || tail[0] == ':' || tail[0] == ',') {
			word = strings.ReplaceAll(head, "@", "") + tail
		}
	}
	return word
}

// madeUp are the flags that the generator gives another value than the key has, or that name what may come to be.
var madeUp = []string{"--sdnotify=", "--security-opt", "--label", "--user", "--env-file", "--pod", "--rootfs", "--name", "--module=", "--time="}

// checkFlags looks at flags with their values. What one says of another that is not there is for the start to find.
func checkFlags(kind units.Kind, words ...string) error {
	var c spec.Container
	set := newFlagSet("")
	switch kind {
	case units.KindContainer:
		bindRunFlags(set, &c)
	case units.KindPod:
		var o podCreateOptions
		o.flags(set)
		if err := set.Parse(words); err != nil {
			return err
		}
		_, err := spec.ParseShare(o.share)
		return errors.Join(err, spec.CheckWords(o.Common))
	case units.KindNetwork:
		new(networkCreateOptions).flags(set)
	case units.KindVolume:
		new(volumeCreateOptions).flags(set)
	}
	if err := set.Parse(words); err != nil || kind != units.KindContainer {
		return err
	}
	if c.StopSignal != "" {
		if _, err := proc.ParseSignal(c.StopSignal); err != nil {
			return err
		}
	}
	// Flags that need another one have it.
	if c.InitCtr != "" {
		c.Pod = "x"
	}
	if c.HealthFlags != (spec.HealthFlags{}) {
		c.HealthCmd, c.StartupCmd = "x", "x"
	}
	if c.LogDriver == "" {
		c.LogOpts = nil
	}
	return errors.Join(checkRun(c), spec.CheckWords(c))
}

// checkArgs looks at flags as they are typed, one after the other.
func checkArgs(kind units.Kind, words units.Args, report func(at unitfile.Pos, what string, err error)) {
	for len(words) > 0 && strings.HasPrefix(words[0].Text, "-") && words[0].Text != "--" {
		flag := []string{words[0].Text}
		err := checkFlags(kind, flag...)
		var value *pflag.ValueRequiredError
		if errors.As(err, &value) && len(words) > 1 {
			flag = append(flag, words[1].Text)
			err = checkFlags(kind, flag...)
		}
		if err != nil && !later(strings.Join(flag, "")) {
			report(words[0].At, "PodmanArgs="+strings.Join(flag, " "), err)
		}
		words = words[len(flag):]
	}
}
