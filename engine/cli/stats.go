package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/format"
	used "github.com/berth-pods/berth/engine/usage"
)

type statsOptions struct {
	all, latest, noStream, noReset, noTrunc bool
	format                                  string
	interval                                int
}

func (o *statsOptions) flags(set *pflag.FlagSet) {
	set.BoolVarP(&o.all, "all", "a", false, "show those that do not run too")
	set.StringVar(&o.format, "format", "table", "`FORM` of the output: table, json, or a template such as {{.Name}}")
	set.IntVarP(&o.interval, "interval", "i", 5, "`SECONDS` between two looks")
	set.BoolVarP(&o.latest, "latest", "l", false, "the container that was made last")
	set.BoolVar(&o.noReset, "no-reset", false, "do not clear the screen between two looks")
	set.BoolVar(&o.noStream, "no-stream", false, "look once and end")
	set.BoolVar(&o.noTrunc, "no-trunc", false, "print whole IDs")
}

// statsText tells of what stats and pod stats show.
const statsText = `The first look shows the processor time since the start of the container as a share of that time;
further ones, of the time since the look before. What the kernel does not count is shown as --. One that does not run uses nothing.`

func statsVerb() Verb {
	var o statsOptions
	return Verb{
		Name: "stats", Usage: "[OPTION…] [CONTAINER…]", Summary: "show what containers use, again and again",
		Text:  "Without names, all that run. " + statsText,
		Flags: o.flags, Run: runStats,
	}
}

// statsRow has the names of Podman's `stats`, for templates.
type statsRow struct {
	ID       string
	Name     string
	CPUPerc  string
	MemUsage string
	MemPerc  string
	NetIO    string
	BlockIO  string
	PIDS     string
	UpTime   string // processor time, as Podman calls it
	AvgCPU   string
	CPUNano  uint64
	MemLimit uint64

	MemUsageBytes string
}

// statsJSON has the names of Podman's `stats --format json`.
type statsJSON struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	CPUTime    string `json:"cpu_time"`
	CPUPercent string `json:"cpu_percent"`
	AvgCPU     string `json:"avg_cpu"`
	MemUsage   string `json:"mem_usage"`
	MemPercent string `json:"mem_percent"`
	NetIO      string `json:"net_io"`
	BlockIO    string `json:"block_io"`
	PIDs       string `json:"pids"`
}

func runStats(ctx context.Context, env *Env, args []string) error {
	var o statsOptions
	set := newFlagSet("stats")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	switch {
	case o.interval < 1:
		return errors.New("--interval: at least 1 second")
	case o.latest && set.NArg() > 0, o.all && (set.NArg() > 0 || o.latest):
		return errors.New("name containers, or take all or the latest: not both")
	}
	before := samples{}
	return looks{o.noStream, o.noReset, o.interval}.each(ctx, env, func() (func() error, error) {
		list, err := o.containers(set.Args())
		if err != nil {
			return nil, err
		}
		rows := []statsRow{}
		for _, s := range list {
			rows = append(rows, before.row(s, o.noTrunc))
		}
		return func() error { return printStats(env, rows, o.format) }, nil
	})
}

// samples are what was seen of containers at the look before, by their IDs.
type samples map[string]used.Sample

// row looks at a container.
func (before samples) row(s engine.State, whole bool) statsRow {
	now := used.Read(placesOf(s), time.Now())
	last, there := before[s.ID]
	if !there {
		last = used.Sample{At: s.Started}
	}
	before[s.ID] = now
	return statsRowOf(s, last, now, whole)
}

// looks is how often something is looked at.
type looks struct {
	once, noReset bool
	interval      int // in seconds
}

// each calls look, and then what that returns, which prints, until ctx is done. A terminal is cleared in between.
func (l looks) each(ctx context.Context, env *Env, look func() (func() error, error)) error {
	out, isFile := env.Out.(*os.File)
	clears := isFile && term.IsTerminal(int(out.Fd())) && !l.noReset && !l.once
	for {
		show, err := look()
		if err != nil {
			return err
		}
		if clears {
			fmt.Fprint(env.Out, "\x1b[H\x1b[2J") // to the upper left, and clear (console_codes(4))
		}
		if err := show(); err != nil || l.once {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(l.interval) * time.Second):
		}
	}
}

// containers are those that are looked at this time.
func (o statsOptions) containers(names []string) ([]engine.State, error) {
	if len(names) > 0 || o.latest {
		return containers(names, selection{latest: o.latest})
	}
	all, err := runDirs().All()
	if err != nil || o.all {
		return all, err
	}
	list := []engine.State{}
	for _, s := range all {
		if s.Running() {
			list = append(list, s)
		}
	}
	return list, nil
}

func placesOf(s engine.State) used.Places {
	var p used.Places
	if !s.Running() {
		return p
	}
	if s.Cgroup != "" {
		p.Group = filepath.Join("/sys/fs/cgroup", s.Cgroup)
	}
	if s.Network.Mode != "host" {
		p.Net = fmt.Sprintf("/proc/%d/net/dev", s.Init.PID)
	}
	return p
}

func statsRowOf(s engine.State, before, now used.Sample, whole bool) statsRow {
	if !s.Running() {
		const none, nothing = "0.00%", "0B / 0B"
		return statsRow{
			ID: shortID(s.ID, whole), Name: s.Name, CPUPerc: none, AvgCPU: none, MemPerc: none, UpTime: "0s", NetIO: nothing, BlockIO: nothing, PIDS: "0",
			MemUsage: nothing, MemUsageBytes: nothing,
		}
	}
	r := statsRow{
		ID: shortID(s.ID, whole), Name: s.Name, CPUPerc: "--", AvgCPU: "--", MemPerc: "--", UpTime: "--", NetIO: pair(now.Received, now.Sent), BlockIO: pair(now.Read, now.Written),
		PIDS: "--", MemUsage: "-- / --", MemUsageBytes: "-- / --", CPUNano: uint64(now.CPU),
	}
	if s.Cgroup != "" {
		r.CPUPerc, r.AvgCPU = percent(used.Percent(before, now)), percent(used.Percent(used.Sample{At: s.Started}, now))
		r.UpTime = now.CPU.Round(time.Microsecond).String()
	}
	switch {
	case now.Processes != nil:
		r.PIDS = strconv.FormatUint(*now.Processes, 10)
	default: // the controller is not there; they can be counted
		r.PIDS = strconv.Itoa(len(processes(s)))
	}
	if now.Memory == nil {
		return r
	}
	meminfo, _ := os.ReadFile("/proc/meminfo")
	limit := used.MachineMemory(string(meminfo))
	if now.MemoryMax != nil && *now.MemoryMax < limit {
		limit = *now.MemoryMax
	}
	r.MemLimit = limit
	r.MemUsage = decimal(*now.Memory) + " / " + decimal(limit)
	r.MemUsageBytes = binary(*now.Memory) + " / " + binary(limit)
	if limit > 0 {
		r.MemPerc = percent(100 * float64(*now.Memory) / float64(limit))
	}
	return r
}

func percent(n float64) string { return fmt.Sprintf("%.2f%%", n) }

func pair(a, b *uint64) string {
	if a == nil || b == nil {
		return "-- / --"
	}
	return decimal(*a) + " / " + decimal(*b)
}

// decimal writes bytes as Podman does: 4 digits, and units of 1000.
func decimal(n uint64) string {
	return inUnits(n, 1000, []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"})
}

// binary does so in units of 1024.
func binary(n uint64) string {
	return inUnits(n, 1024, []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"})
}

func inUnits(n uint64, base float64, units []string) string {
	f, i := float64(n), 0
	for f >= base && i < len(units)-1 {
		f, i = f/base, i+1
	}
	return fmt.Sprintf("%.4g%s", f, units[i])
}

func printStats(env *Env, rows []statsRow, form string) error {
	switch form {
	case "json":
		list := []statsJSON{}
		for _, r := range rows {
			list = append(list, statsJSON{r.ID, r.Name, r.UpTime, r.CPUPerc, r.AvgCPU, r.MemUsage, r.MemPerc, r.NetIO, r.BlockIO, r.PIDS})
		}
		return printJSON(env.Out, list)
	case "table":
	default:
		return format.Rows(env.Out, form, rows)
	}
	lines := [][]string{{"ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET IO", "BLOCK IO", "PIDS", "CPU TIME", "AVG CPU %"}}
	for _, r := range rows {
		lines = append(lines, []string{r.ID, r.Name, r.CPUPerc, r.MemUsage, r.MemPerc, r.NetIO, r.BlockIO, r.PIDS, r.UpTime, r.AvgCPU})
	}
	return printColumns(env.Out, lines)
}
