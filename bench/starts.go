package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// measureStarts starts and stops one container with systemctl, for every
// network and side, and counts what stays resident meanwhile.
func measureStarts(ctx context.Context, b *bench) error {
	for _, n := range networks {
		b.say("start and stop, Network=%s, %d rounds", n.name, b.rounds)
		ready := b.readySides(ctx, "start, Network="+n.name, func(s side) map[string]string {
			return map[string]string{s.unit(n.name) + ".container": unitFile(n)}
		})
		starts, stops := make([][]sample, len(ready)), make([][]sample, len(ready))
		stays := make([]resident, len(ready))
		err := turns(b.rounds, len(ready), func(round, i int) error {
			unit := ready[i].unit(n.name) + ".service"
			started, err := measure(ctx, "systemctl", "start", unit)
			if err != nil {
				return err
			}
			if err := active(ctx, unit); err != nil {
				return err
			}
			if round == 0 {
				stays[i] = residentOf(unit)
			}
			stopped, err := measure(ctx, "systemctl", "stop", unit)
			starts[i], stops[i] = append(starts[i], started), append(stops[i], stopped)
			return err
		})
		if err != nil {
			return err
		}
		for i, s := range ready {
			b.add("systemctl start, Network="+n.name, s.name, starts[i])
		}
		for i, s := range ready {
			b.add("systemctl stop, Network="+n.name, s.name, stops[i])
		}
		for i, s := range ready {
			b.addValue("processes beside the container, Network="+n.name, s.name, "", float64(stays[i].count))
		}
		for i, s := range ready {
			b.addValue("their memory (PSS), Network="+n.name, s.name, "MiB", stays[i].pss)
		}
	}
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
		rollup, _ := os.ReadFile(filepath.Join(dir, "smaps_rollup"))
		r.count++
		r.pss += parsePss(string(rollup))
	}
	return r
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

const (
	burstSize   = 20
	burstRounds = 5
)

// measureBursts starts 20 containers with one command.
func measureBursts(ctx context.Context, b *bench) error {
	rounds := min(b.rounds, burstRounds)
	for _, n := range networks {
		b.say("%d starts at once, Network=%s, %d rounds", burstSize, n.name, rounds)
		ready := b.readySides(ctx, fmt.Sprintf("%d starts, Network=%s", burstSize, n.name), func(s side) map[string]string {
			files := map[string]string{}
			for _, unit := range burstUnits(s, n) {
				files[strings.TrimSuffix(unit, ".service")+".container"] = unitFile(n)
			}
			return files
		})
		samples := make([][]sample, len(ready))
		err := turns(rounds, len(ready), func(_, i int) error {
			units := burstUnits(ready[i], n)
			got, err := measure(ctx, append([]string{"systemctl", "start"}, units...)...)
			if err == nil {
				err = active(ctx, units...)
			}
			samples[i] = append(samples[i], got)
			_, stopErr := output(ctx, append([]string{"systemctl", "stop"}, units...)...)
			return errors.Join(err, stopErr)
		})
		if err != nil {
			b.note("%d starts at once, Network=%s: %v", burstSize, n.name, err)
			continue
		}
		for i, s := range ready {
			b.add(fmt.Sprintf("%d starts at once, Network=%s", burstSize, n.name), s.name, samples[i])
		}
	}
	return nil
}

func burstUnits(s side, n network) []string {
	var units []string
	for i := range burstSize {
		units = append(units, fmt.Sprintf("%s-%02d.service", s.unit(n.name), i))
	}
	return units
}
