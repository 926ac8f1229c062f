package main

import (
	"context"
	"os"
	"os/exec"
)

// installed are the programs whose sizes are told, by side.
var installed = []struct {
	what  string
	paths map[string][]string
}{
	{"size of the engine", map[string][]string{"berth": {"/usr/bin/berth"}, peer: {"/usr/bin/podman"}}},
	{"size of the generator", map[string][]string{"berth": berthGenerators, peer: {peerGenerator}}},
	{"size of the image program", map[string][]string{"berth": {"/usr/libexec/berth/berth-image"}}},
	{"size of the keeper", map[string][]string{"berth": {"/usr/libexec/berth/berth-keeper"}, peer: {"/usr/bin/conmon"}}},
}

// commands are programs that should answer at once.
var commands = []struct {
	what string
	argv map[string][]string
}{
	{"start-up: version", map[string][]string{"berth": {"berth", "version"}, peer: {"podman", "--version"}}},
	{"ps, no container", map[string][]string{"berth": {"berth", "ps"}, peer: {"podman", "ps"}}},
	{"image list", map[string][]string{"berth": {"berth", "images"}, peer: {"podman", "images"}}},
}

func measurePrograms(ctx context.Context, b *bench) error {
	for _, p := range installed {
		for _, side := range []string{"berth", peer} {
			for _, path := range p.paths[side] {
				if info, err := os.Stat(path); err == nil {
					b.addValue(p.what, side, "MB", float64(info.Size())/1e6)
					break
				}
			}
		}
	}
	for _, c := range commands {
		b.say("%s, %d rounds", c.what, b.rounds)
		var ready []program
		for _, side := range []string{"berth", peer} {
			if err := exec.CommandContext(ctx, c.argv[side][0], c.argv[side][1:]...).Run(); err != nil {
				b.note("%s: %s is left out: %v", c.what, side, err)
				continue
			}
			ready = append(ready, program{side: side})
		}
		samples := make([][]sample, len(ready))
		err := turns(b.rounds, len(ready), func(_, i int) error {
			s, err := measureProcess(ctx, nil, c.argv[ready[i].side]...)
			samples[i] = append(samples[i], s)
			return err
		})
		if err != nil {
			return err
		}
		for i, p := range ready {
			b.add(c.what, p.side, samples[i])
		}
	}
	return nil
}
