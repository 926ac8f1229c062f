//go:build containers_image_openpgp

package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine/image/verb"
)

var errHelp = errors.New("help wanted")

// Where flags may stand.
const (
	untilVerb = false // only before the first word that is no flag
	anywhere  = true
)

// values are the flags of one command line, by name.
type values struct{ set *pflag.FlagSet }

func (v values) yes(name string) bool {
	b, err := v.set.GetBool(name)
	return err == nil && b
}

// tristate is nil when the flag was not given.
func (v values) tristate(name string) *bool {
	if !v.set.Changed(name) {
		return nil
	}
	b := v.yes(name)
	return &b
}

func (v values) text(name string) string {
	s, _ := v.set.GetString(name)
	return s
}

func (v values) texts(name string) []string {
	s, _ := v.set.GetStringArray(name)
	return s
}

func (v values) number(name string) int {
	n, _ := v.set.GetUint(name)
	return int(n)
}

// given is the number when the flag was given.
func (v values) given(name string) *int {
	if !v.set.Changed(name) {
		return nil
	}
	n := v.number(name)
	return &n
}

func (v values) duration(name string) time.Duration {
	if f, ok := v.set.Lookup(name).Value.(*seconds); ok {
		return time.Duration(*f)
	}
	return 0
}

// parse reads the flags that the rows describe and returns them with the words that are left.
func parse(rows []verb.Flag, args []string, interspersed bool) (values, []string, error) {
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.SetInterspersed(interspersed)
	for _, row := range rows {
		define(set, row)
	}
	err := set.Parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		return values{}, nil, errHelp
	}
	if err != nil {
		return values{}, nil, err
	}
	for _, row := range rows {
		if row.Kind == verb.Unoffered && set.Changed(row.Name) {
			return values{}, nil, fmt.Errorf("--%s: %s", row.Name, row.Doc)
		}
	}
	return values{set}, set.Args(), nil
}

func define(set *pflag.FlagSet, row verb.Flag) {
	switch row.Kind {
	case verb.Bool, verb.Tristate:
		set.BoolP(row.Name, row.Short, row.Default == "true", row.Doc)
	case verb.String, verb.Unoffered:
		set.StringP(row.Name, row.Short, row.Default, row.Doc)
	case verb.Strings:
		set.StringArrayP(row.Name, row.Short, nil, row.Doc)
	case verb.Int:
		n, _ := strconv.ParseUint(row.Default, 10, 32)
		set.UintP(row.Name, row.Short, uint(n), row.Doc)
	case verb.Duration:
		set.VarP(new(seconds), row.Name, row.Short, row.Doc)
	}
}

// seconds is a duration for which a bare number counts as seconds.
type seconds time.Duration

func (s *seconds) String() string { return time.Duration(*s).String() }
func (s *seconds) Type() string   { return "duration" }

// Set accepts 5, 5s, 1m30s.
func (s *seconds) Set(text string) error {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		*s = seconds(time.Duration(n) * time.Second)
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is not a time (5s, 2m)", text)
	}
	*s = seconds(d)
	return nil
}

func count(v verb.Verb, n int) error {
	if n < v.Min || (v.Max >= 0 && n > v.Max) {
		return fmt.Errorf("%s: type it as %s %s", howMany(v), program, strings.TrimSpace(v.Usage()))
	}
	return nil
}

func howMany(v verb.Verb) string {
	switch {
	case v.Max == 0:
		return "takes no arguments"
	case v.Min == v.Max:
		return fmt.Sprintf("takes %d argument", v.Min)
	case v.Max < 0:
		return fmt.Sprintf("needs at least %d", v.Min)
	}
	return fmt.Sprintf("takes %d to %d arguments", v.Min, v.Max)
}
