package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// sample is one measurement, in milliseconds.
type sample struct{ wall, cpu float64 }

const machineCPU = "/sys/fs/cgroup/cpu.stat"

// usedCPU returns the CPU time that everything in the machine has used, in ms.
// The kernel keeps this count in every cgroup, with and without controllers.
func usedCPU() (float64, error) {
	data, err := os.ReadFile(machineCPU)
	if err != nil {
		return 0, fmt.Errorf("read the CPU time: %w", err)
	}
	return parseUsage(string(data))
}

func parseUsage(data string) (float64, error) {
	for line := range strings.Lines(data) {
		if value, ok := strings.CutPrefix(line, "usage_usec "); ok {
			us, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return us / 1000, err
		}
	}
	return 0, fmt.Errorf("no usage_usec in %s", machineCPU)
}

// measure runs a command in the quiet machine and waits until it is quiet
// again, so that what the command left running in the background counts.
func measure(ctx context.Context, argv ...string) (sample, error) {
	before, err := quiet(ctx)
	if err != nil {
		return sample{}, err
	}
	start := time.Now()
	if _, err := output(ctx, argv...); err != nil {
		return sample{}, err
	}
	wall := millis(time.Since(start))
	after, err := quiet(ctx)
	return sample{wall, after - before}, err
}

// quiet waits until the machine uses less than 2 % of one processor for a
// twentieth of a second, at most 2 s, and returns the CPU time used so far.
func quiet(ctx context.Context) (float64, error) {
	const slice, little = 50 * time.Millisecond, 1.0
	last, err := usedCPU()
	for deadline := time.Now().Add(2 * time.Second); err == nil; {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(slice):
		}
		var now float64
		now, err = usedCPU()
		if now-last < little || time.Now().After(deadline) {
			return now, err
		}
		last = now
	}
	return 0, err
}

// measureProcess runs one program by itself; its CPU time is its own and its
// children's. Environment is added to this one's.
func measureProcess(ctx context.Context, env []string, argv ...string) (sample, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	start := time.Now()
	err := cmd.Run()
	wall := millis(time.Since(start))
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return sample{wall, millis(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime())}, nil
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// turns calls each side once a round; every round begins with the next side,
// so that none profits from what another has warmed up.
func turns(rounds, sides int, measure func(round, side int) error) error {
	for round := range rounds {
		for k := range sides {
			if err := measure(round, (round+k)%sides); err != nil {
				return err
			}
		}
	}
	return nil
}
