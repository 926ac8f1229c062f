package cli

import (
	"slices"
	"testing"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/units"
)

// TestLimitFlags: the generator, which does not link the command line, knows the flags that give a pod a slice.
func TestLimitFlags(t *testing.T) {
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	var o podCreateOptions
	o.flags(set)
	for _, f := range limitFlags {
		if known := slices.Contains(units.LimitFlags, f.name); known != (set.Lookup(f.name) != nil) {
			t.Errorf("--%s: %v in units.LimitFlags", f.name, known)
		} else if !known {
			continue
		}
		words := []string{"--" + f.name, map[string]string{"cgroup-parent": "big.slice"}[f.name]}
		var o podCreateOptions
		set := pflag.NewFlagSet("", pflag.ContinueOnError)
		o.flags(set)
		if words[1] == "" {
			words[1] = "1"
		}
		if err := set.Parse(words); err != nil {
			t.Error(err)
		}
		if podSlice(engine.Pod{Name: "a", Spec: o.Pod}) == "" {
			t.Errorf("a pod with %q has no slice", words)
		}
		if short := "-" + f.short; f.short != "" {
			if found, _ := units.LimitsIn(units.Args{{Text: short}}); !found {
				t.Errorf("%s is not taken for a limit", short)
			}
		}
	}
	if got := podSlice(engine.Pod{Name: "a", Spec: spec.Pod{Name: "a"}}); got != "" {
		t.Errorf("a pod without limits has slice %s", got)
	}
}
