package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// berthGenerators are the names under which berth's generator may be installed.
var berthGenerators = []string{
	"/usr/lib/systemd/system-generators/berth-system-generator",
	"/usr/lib/systemd/system-generators/berth-generator",
}

// measureGenerators runs both generators on the same files. Every run writes
// into a directory of its own, and must write one unit for each file.
func measureGenerators(ctx context.Context, b *bench) error {
	programs := b.generators()
	for _, count := range []int{1, 1000, 5000} {
		rounds := min(b.rounds, map[int]int{1: b.rounds, 1000: 10, 5000: 5}[count])
		b.say("generators, %d files, %d rounds", count, rounds)
		in := filepath.Join(b.dir, fmt.Sprint("units-", count))
		if err := writeFiles(in, manyUnitFiles(count)); err != nil {
			return err
		}
		samples := make([][]sample, len(programs))
		err := turns(rounds, len(programs), func(_, i int) error {
			s, err := b.generate(ctx, programs[i].path, in, count)
			samples[i] = append(samples[i], s)
			return err
		})
		if err != nil {
			return err
		}
		what := fmt.Sprintf("generator, %d files", count)
		if count == 1 {
			what = "generator, 1 file"
		}
		for i, p := range programs {
			b.add(what, p.side, samples[i])
		}
	}
	return nil
}

type program struct{ side, path string }

// generators returns those that are there and do what they should with one file.
func (b *bench) generators() []program {
	candidates := []program{{peer, peerGenerator}}
	for _, path := range berthGenerators {
		if _, err := os.Stat(path); err == nil {
			candidates = append([]program{{"berth", path}}, candidates...)
			break
		}
	}
	if len(candidates) == 1 {
		b.note("generator: berth is left out: none of %s is there", strings.Join(berthGenerators, ", "))
	}
	return candidates
}

// generate runs a generator as systemd does, with three output directories.
func (b *bench) generate(ctx context.Context, path, in string, count int) (sample, error) {
	out, err := os.MkdirTemp(b.dir, "generated-")
	if err != nil {
		return sample{}, err
	}
	defer os.RemoveAll(out)
	dirs := []string{filepath.Join(out, "normal"), filepath.Join(out, "early"), filepath.Join(out, "late")}
	for _, dir := range dirs {
		err = errors.Join(err, os.Mkdir(dir, 0o755))
	}
	if err != nil {
		return sample{}, err
	}
	s, err := measureProcess(ctx, []string{"QUADLET_UNIT_DIRS=" + in, "SYSTEMD_SCOPE=system"}, append([]string{path}, dirs...)...)
	if err != nil {
		return s, err
	}
	units, err := filepath.Glob(filepath.Join(dirs[0], "*.service"))
	if err == nil && len(units) != count {
		err = fmt.Errorf("%s wrote %d units for %d files", path, len(units), count)
	}
	return s, err
}

// manyUnitFiles are files as people write them.
func manyUnitFiles(count int) map[string]string {
	files := map[string]string{}
	for i := range count {
		files[fmt.Sprintf("app-%04d.container", i)] = fmt.Sprintf(`[Unit]
Description=Application %[1]d
After=network-online.target

[Container]
Image=registry.example.com/team/app:%[1]d
ContainerName=app-%[1]d
Exec=serve --port 8080 --name "application %[1]d"
Environment=MODE=production LEVEL=info
Environment="GREETING=hello world"
PublishPort=%[2]d:8080
Volume=/srv/app-%[1]d:/data:ro
Volume=app-%[1]d-cache:/cache
Label=team=web
User=1000

[Service]
Restart=always

[Install]
WantedBy=multi-user.target
`, i, 10000+i)
	}
	return files
}
