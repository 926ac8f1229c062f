package cli

import (
	"context"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/format"
)

type podStatsOptions struct {
	podTargets
	format            string
	noStream, noReset bool
}

func (o *podStatsOptions) flags(set *pflag.FlagSet) {
	o.podTargets.flags(set)
	set.StringVar(&o.format, "format", "table", "`FORM` of the output: table, json, or a template such as {{.Name}}")
	set.BoolVar(&o.noReset, "no-reset", false, "do not clear the screen between two looks")
	set.BoolVar(&o.noStream, "no-stream", false, "look once and end")
}

// find takes all pods when none is named.
func (o *podStatsOptions) find(names []string) ([]engine.Pod, error) {
	targets := o.podTargets
	targets.all = o.all || len(names) == 0 && !o.latest && len(o.idFiles) == 0
	return targets.find(names)
}

func podStatsVerb() Verb {
	var o podStatsOptions
	return Verb{
		Name: "pod stats", Usage: "[OPTION…] [POD…]", Summary: "show what the containers of pods use, again and again",
		Text:  "Without names, of all pods. " + statsText,
		Flags: o.flags, Run: runPodStats,
	}
}

// podStat has the names of Podman's `pod stats`, in its order.
type podStat struct {
	CPU           string
	MemUsage      string
	MemUsageBytes string
	Mem           string // share of the limit
	NetIO         string
	BlockIO       string
	PIDS          string
	Pod           string
	CID           string
	Name          string
}

// podStatsInterval is Podman's, in seconds.
const podStatsInterval = 5

func runPodStats(ctx context.Context, env *Env, args []string) error {
	var o podStatsOptions
	set := newFlagSet("stats")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	before := samples{}
	return looks{o.noStream, o.noReset, podStatsInterval}.each(ctx, env, func() (func() error, error) {
		list, err := o.find(set.Args())
		if err != nil {
			return nil, err
		}
		rows := []podStat{}
		for _, p := range list {
			err := eachMember(p, func(s engine.State) error {
				if s.Running() {
					rows = append(rows, podStatOf(p, before.row(s, false)))
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
		return func() error { return printPodStats(env, rows, o.format) }, nil
	})
}

func podStatOf(p engine.Pod, r statsRow) podStat {
	return podStat{
		CPU: r.CPUPerc, MemUsage: r.MemUsage, MemUsageBytes: r.MemUsageBytes, Mem: r.MemPerc, NetIO: r.NetIO, BlockIO: r.BlockIO, PIDS: r.PIDS,
		Pod: shortID(p.ID, false), CID: r.ID, Name: r.Name,
	}
}

func printPodStats(env *Env, rows []podStat, form string) error {
	switch form {
	case "json":
		return printJSON(env.Out, rows)
	case "table":
	default:
		return format.Rows(env.Out, form, rows)
	}
	lines := [][]string{{"POD", "CID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET IO", "BLOCK IO", "PIDS"}}
	for _, r := range rows {
		lines = append(lines, []string{r.Pod, r.CID, r.Name, r.CPU, r.MemUsage, r.Mem, r.NetIO, r.BlockIO, r.PIDS})
	}
	return printColumns(env.Out, lines)
}
