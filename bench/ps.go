package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
)

// measurePs lists 1, 100 and 1,000 containers that were made and do not run, and those while starts are in progress.
func measurePs(ctx context.Context, b *bench) error {
	lists := map[string][]string{"berth": {"berth", "ps", "-a"}, peer: {"podman", "ps", "-a"}}
	sides := []string{"berth", peer}
	defer b.removeMade()
	have := 0
	for _, count := range []int{1, 100, 1000} {
		b.say("ps, %d containers: making them", count)
		for _, side := range sides {
			if err := makeContainers(ctx, side, have, count); err != nil {
				return err
			}
		}
		have = count
		b.say("ps, %d containers, %d rounds", count, b.rounds)
		if err := b.measureLists(ctx, fmt.Sprintf("ps -a, %d containers", count), sides, lists); err != nil {
			return err
		}
	}
	b.say("ps while containers start, %d rounds", b.rounds)
	for _, side := range sides {
		stop := keepStarting(ctx, side)
		err := b.measureLists(ctx, "ps -a, 1000 containers, while others start", []string{side}, lists)
		stop()
		if err != nil {
			return err
		}
	}
	return nil
}

// measureLists measures a command of each side in turns.
func (b *bench) measureLists(ctx context.Context, what string, sides []string, commands map[string][]string) error {
	samples := make([][]sample, len(sides))
	err := turns(b.rounds, len(sides), func(_, i int) error {
		s, err := measureProcess(ctx, nil, commands[sides[i]]...)
		samples[i] = append(samples[i], s)
		return err
	})
	for i, side := range sides {
		b.add(what, side, samples[i])
		if n := len(b.report.Rows); n > 0 && err == nil {
			b.say("%s: %s %.1f ms", what, side, b.report.Rows[n-1].Wall.Median)
		}
	}
	return err
}

// madeName is a container of the list; each side has its own, for the store is one.
func madeName(side string, n int) string { return fmt.Sprintf("bench-%s-%04d", side, n) }

func makeContainers(ctx context.Context, side string, from, to int) error {
	for n := from; n < to; n++ {
		if _, err := output(ctx, side, "create", "--name", madeName(side, n), "--label", "n="+fmt.Sprint(n), image, "sleep", "1000"); err != nil {
			return err
		}
	}
	return nil
}

// removeMade removes the containers of both sides, with a context of its own: also after an interrupt.
func (b *bench) removeMade() {
	for _, side := range []string{"berth", peer} {
		script := fmt.Sprintf("%[1]s ps -a -q --filter name=^bench- | xargs -r -n 100 %[1]s rm -f", side)
		if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
			b.say("remove the containers of %s: %v: %s", side, err, strings.TrimSpace(string(out)))
		}
	}
}

// keepStarting starts one container after the other until stop is called, which waits for the last one.
func keepStarting(ctx context.Context, side string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var working sync.WaitGroup
	working.Go(func() {
		for ctx.Err() == nil {
			//nolint:gosec // the words are ours
			_ = exec.Command(side, "run", "--rm", "--network=none", "--cgroups=disabled", image, "true").Run()
		}
	})
	return func() {
		cancel()
		working.Wait()
	}
}
