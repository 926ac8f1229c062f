package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// measureStarts starts and stops one container with systemctl, for every
// network and side, and counts what stays resident meanwhile. Without a
// network the bare runtimes and systemd-nspawn take part.
func measureStarts(ctx context.Context, b *bench) error {
	for _, n := range append(networks, network{"host", "host"}) {
		var all []*cycles
		for _, s := range b.readySides(ctx, "start, Network="+n.name, func(s side) map[string]string {
			return map[string]string{s.unit(n.name) + ".container": unitFile(n)}
		}) {
			all = append(all, &cycles{side: s.name, units: []string{s.unit(n.name) + ".service"}})
		}
		if n.name == "none" {
			all = append(all, b.bareSides(ctx)...)
		}
		if err := b.measureCycles(ctx, "systemctl", "Network="+n.name, all); err != nil {
			return err
		}
		for _, c := range all {
			b.addValue("processes beside the container, Network="+n.name, c.side, "", float64(c.stays.count))
		}
		for _, c := range all {
			b.addValue("their memory (PSS), Network="+n.name, c.side, "MiB", c.stays.pss)
		}
	}
	return nil
}

// measureCycles lets the sides start and stop in turns. A side that fails on
// the way ends the series, with a note; what was measured counts.
func (b *bench) measureCycles(ctx context.Context, command, what string, all []*cycles) error {
	b.say("%s start and stop, %s, %d rounds", command, what, b.rounds)
	err := turns(b.rounds, len(all), func(_, i int) error { return all[i].measure(ctx) })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		b.note("start and stop, %s: ended early: %v", what, err)
	}
	for _, c := range all {
		b.add(command+" start, "+what, c.side, c.starts)
	}
	for _, c := range all {
		b.add(command+" stop, "+what, c.side, c.stops)
	}
	return nil
}

// cycles are the starts and stops of what one side has: a unit, or all those of a pod.
type cycles struct {
	side          string
	as            []string // words before systemctl: who asks
	units         []string
	starts, stops []sample
	stays         resident
}

func (c *cycles) systemctl(verb string) []string {
	return slices.Concat(c.as, []string{"systemctl"}, userFlag(c.as), []string{verb}, c.units)
}

// userFlag: whoever is not root asks the manager of his own.
func userFlag(as []string) []string {
	if len(as) == 0 {
		return nil
	}
	return []string{"--user"}
}

func (c *cycles) measure(ctx context.Context) error {
	started, err := measure(ctx, c.systemctl("start")...)
	if err == nil {
		_, err = output(ctx, c.systemctl("is-active")...)
	}
	if err != nil {
		_, _ = output(context.WithoutCancel(ctx), c.systemctl("stop")...)
		return err
	}
	c.stays = residentOf(c.units[0])
	stopped, err := measure(ctx, c.systemctl("stop")...)
	if err != nil {
		return err
	}
	c.starts, c.stops = append(c.starts, started), append(c.stops, stopped)
	return nil
}

// resident is what a manager keeps running beside one container.
type resident struct {
	count int
	pss   float64 // MiB
}

// residentOf looks at the processes of a unit that are not in the container:
// those that see the machine's PID namespace.
func residentOf(unit string) resident {
	var r resident
	own, _ := os.Readlink("/proc/self/ns/pid")
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range procs {
		group, err := os.ReadFile(filepath.Join(dir, "cgroup"))
		space, err2 := os.Readlink(filepath.Join(dir, "ns/pid"))
		if err != nil || err2 != nil || space != own || !strings.Contains(string(group), "/"+unit) {
			continue
		}
		r.add(filepath.Base(dir))
	}
	return r
}

// add counts a process.
func (r *resident) add(pid string) {
	rollup, _ := os.ReadFile(filepath.Join("/proc", pid, "smaps_rollup"))
	r.count++
	r.pss += parsePss(string(rollup))
}

// parsePss returns the proportional set size of smaps_rollup in MiB.
func parsePss(data string) float64 {
	for line := range strings.Lines(data) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "Pss:" {
			kib, _ := strconv.ParseFloat(f[1], 64)
			return kib / 1024
		}
	}
	return 0
}

// burstSizes are how many units one command starts.
var burstSizes = []int{20, 100}

const burstRounds = 5

// measureBursts starts many containers with one command.
func measureBursts(ctx context.Context, b *bench) error {
	for _, n := range networks {
		for _, size := range burstSizes {
			if err := b.measureBurst(ctx, n, size); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) measureBurst(ctx context.Context, n network, size int) error {
	rounds := min(b.rounds, burstRounds)
	what := fmt.Sprintf("%d starts at once, Network=%s", size, n.name)
	b.say("%s, %d rounds", what, rounds)
	ready := b.readySides(ctx, what, func(s side) map[string]string {
		files := map[string]string{}
		for _, unit := range burstUnits(s, n, size) {
			files[strings.TrimSuffix(unit, ".service")+".container"] = unitFile(n)
		}
		return files
	})
	samples := make([][]sample, len(ready))
	err := turns(rounds, len(ready), func(_, i int) error {
		units := burstUnits(ready[i], n, size)
		got, err := measure(ctx, append([]string{"systemctl", "start"}, units...)...)
		if err == nil {
			err = active(ctx, units...)
		}
		if err == nil {
			samples[i] = append(samples[i], got)
		}
		_, stopErr := output(ctx, append([]string{"systemctl", "stop"}, units...)...)
		return errors.Join(err, stopErr)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		b.note("%s: ended early: %v", what, err)
	}
	for i, s := range ready {
		b.add(what, s.name, samples[i])
	}
	return nil
}

func burstUnits(s side, n network, size int) []string {
	var units []string
	for i := range size {
		units = append(units, fmt.Sprintf("%s-%03d.service", s.unit(n.name), i))
	}
	return units
}
