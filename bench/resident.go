package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// manager is one who runs containers for people at a prompt, with the programs that it leaves running beside them.
type manager struct {
	program string
	helpers []string
}

var managers = []manager{
	{"berth", []string{"berth-keeper", "berth"}},
	{peer, []string{"conmon"}},
	{"docker", []string{"dockerd", "docker-proxy", "containerd", "containerd-shim-runc-v2"}},
}

// residents are numbers of containers that run at once.
var residents = []int{1, 100, 1000}

// residentLabel is how they are found again.
const residentLabel = "bench-resident"

// measureResident tells what stays running beside numbers of containers.
func measureResident(ctx context.Context, b *bench) error {
	for _, m := range managers {
		if err := b.measureHelpers(ctx, m); err != nil {
			if ctx.Err() != nil {
				return err
			}
			b.note("memory beside containers: %s is left out: %v", m.program, err)
		}
	}
	return nil
}

// measureHelpers starts containers without a network, and looks at the manager's helpers each time there are as many as it asks for.
func (b *bench) measureHelpers(ctx context.Context, m manager) error {
	if m.program == "docker" {
		stop, err := readyDocker(ctx)
		defer stop(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
	}
	defer b.removeResidents(context.WithoutCancel(ctx), m)
	have := 0
	for _, count := range residents {
		b.say("memory beside %d containers of %s", count, m.program)
		// Four at a time, for the sake of time; each run has one word more than it needs.
		script := fmt.Sprintf(`seq %d | xargs -n 1 -P 4 %s run -d --network none --label %s %s sh -c "trap 'exit 0' TERM; sleep 1000000 & wait" >/dev/null`,
			count-have, m.program, residentLabel, image)
		if _, err := output(ctx, "sh", "-c", script); err != nil {
			return err
		}
		have = count
		if _, err := quiet(ctx); err != nil { // what has just started the last one leaves
			return err
		}
		found := m.running()
		b.addValue(fmt.Sprintf("memory (PSS) of all helpers, %d containers", count), m.program, "MiB", found.pss)
		b.addValue(fmt.Sprintf("helpers, %d containers", count), m.program, "", float64(found.count))
	}
	return nil
}

// running looks for the helpers by their programs.
func (m manager) running() resident {
	var r resident
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		exe, err := os.Readlink(link)
		if name := filepath.Base(strings.TrimSuffix(exe, " (deleted)")); err == nil && slices.Contains(m.helpers, name) {
			r.add(filepath.Base(filepath.Dir(link)))
		}
	}
	return r
}

func (b *bench) removeResidents(ctx context.Context, m manager) {
	script := fmt.Sprintf("%[1]s ps -a -q --filter label=%[2]s | xargs -r -n 50 -P 4 %[1]s rm -f >/dev/null", m.program, residentLabel)
	if _, err := output(ctx, "sh", "-c", script); err != nil {
		b.say("clean up: %v", err)
	}
}
