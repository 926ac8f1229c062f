package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// verb is something that people type. Prepare comes before each turn of a side and is not measured.
type verb struct {
	what         string
	prepare      [][]string
	argv         []string
	ready, after []string // once, before the first turn of a side and after its last
}

// verbsOf lists what is measured; program is what the side is called at the prompt.
func verbsOf(program, archive string) []verb {
	name := "bench-" + program
	remove := []string{program, "rm", "-f", name}
	if program != "docker" { // which does not ask before it kills
		remove = append(remove, "-t", "0")
	}
	removed := []string{"sh", "-c", strings.Join(remove, " ") + " || true"}   // there may be none
	unloaded := []string{"podman", "rmi", "--force", "--ignore", loadedImage} // berth's store is Podman's
	if program == "docker" {
		unloaded = []string{"sh", "-c", "docker rmi --force " + loadedImage + " || true"}
	}
	return []verb{
		{
			what:  "exec in a running container",
			argv:  []string{program, "exec", name, "true"},
			ready: []string{program, "run", "-d", "--name", name, "--network", "none", image, "sleep", "1000000"},
			after: remove,
		},
		{
			what:    "run -d, --network none",
			prepare: [][]string{removed},
			argv:    []string{program, "run", "-d", "--name", name, "--network", "none", image, "sleep", "1000000"},
			after:   remove,
		},
		{
			what:    "run -d with a published port on a bridge",
			prepare: [][]string{removed},
			argv:    []string{program, "run", "-d", "--name", name, "-p", "127.0.0.1::80", image, "sleep", "1000000"},
			after:   remove,
		},
		{
			what:    "rm -f of a running container",
			prepare: [][]string{{program, "run", "-d", "--name", name, "--network", "none", image, "sleep", "1000000"}},
			argv:    remove,
		},
		{
			what: "run --rm in the foreground, --network none",
			argv: []string{program, "run", "--rm", "--network", "none", image, "true"},
		},
		{
			what:    "load a docker archive",
			prepare: [][]string{unloaded},
			argv:    []string{program, "load", "--input", archive},
			after:   unloaded,
		},
	}
}

// loadedImage is what the archive holds.
const loadedImage = "localhost/busybox:latest"

// measureVerbs measures commands at the prompt.
func measureVerbs(ctx context.Context, b *bench) error {
	archive := "/usr/share/berth-test/busybox.tar"
	programs := []string{"berth", peer}
	stop, err := readyDocker(ctx)
	defer stop(context.WithoutCancel(ctx))
	if err != nil {
		b.note("commands at the prompt: docker is left out: %v", err)
	} else {
		programs = append(programs, "docker")
	}
	for i := range verbsOf("", archive) {
		var ready []verb
		var sides []string
		for _, program := range programs {
			v := verbsOf(program, archive)[i]
			if err := runAll(ctx, slices.Concat([][]string{v.ready}, v.prepare, [][]string{v.argv})...); err != nil {
				b.note("%s: %s is left out: %v", v.what, program, err)
				continue
			}
			ready, sides = append(ready, v), append(sides, program)
		}
		if len(ready) == 0 {
			continue
		}
		if err := b.measureVerb(ctx, b.rounds, sides, ready); err != nil {
			return err
		}
	}
	return nil
}

// measureVerb lets the sides take turns with what each of them calls the same thing.
func (b *bench) measureVerb(ctx context.Context, rounds int, sides []string, verbs []verb) error {
	b.say("%s, %d rounds", verbs[0].what, rounds)
	samples := make([][]sample, len(verbs))
	err := turns(rounds, len(verbs), func(_, i int) error {
		if err := runAll(ctx, verbs[i].prepare...); err != nil {
			return err
		}
		s, err := measure(ctx, verbs[i].argv...)
		samples[i] = append(samples[i], s)
		return err
	})
	for i, v := range verbs {
		err = errors.Join(err, runAll(context.WithoutCancel(ctx), v.after))
		b.add(v.what, sides[i], samples[i])
	}
	return err
}

// readyDocker gives Docker the image, and starts its daemon first unless it runs. Beside Docker only commands at the prompt are measured: its
// rules for the firewall are in the way of others. What stop leaves goes with the machine.
func readyDocker(ctx context.Context) (stop func(context.Context), err error) {
	stop = func(context.Context) {}
	if _, err := exec.LookPath("docker"); err != nil {
		return stop, errors.New("it is not installed")
	}
	units := []string{"docker.service", "docker.socket", "containerd.service"}
	if _, err := output(ctx, "systemctl", "is-active", units[0]); err != nil {
		stop = func(ctx context.Context) { _, _ = output(ctx, slices.Concat([]string{"systemctl", "stop"}, units)...) }
		if _, err := output(ctx, "systemctl", "start", units[0]); err != nil {
			return stop, err
		}
	}
	_, err = output(ctx, "sh", "-c", "podman save --quiet "+image+" | docker load --quiet")
	return stop, err
}

func runAll(ctx context.Context, commands ...[]string) error {
	for _, argv := range commands {
		if len(argv) == 0 {
			continue
		}
		if _, err := output(ctx, argv...); err != nil {
			return err
		}
	}
	return nil
}

const logLines = 200_000

// logDrivers are measured by one container that writes as fast as it can and ends: its start returns when it has ended.
var logDrivers = []string{"k8s-file", "journald"}

func logFile(driver string) string {
	return fmt.Sprintf(`[Container]
Image=%s
Network=none
LogDriver=%s
Exec=/bin/busybox sh -c "yes 'a line as programs write them, neither short nor long, with a number: 1234567890' | head -n %d"

[Service]
Type=oneshot
`, image, driver, logLines)
}

// measureLogs measures how long 200,000 lines take from the container to where they are kept.
func measureLogs(ctx context.Context, b *bench) error {
	rounds := min(b.rounds, burstRounds)
	for _, driver := range logDrivers {
		what := fmt.Sprintf("%d lines of output, LogDriver=%s", logLines, driver)
		b.say("%s, %d rounds", what, rounds)
		ready := b.readySides(ctx, what, func(s side) map[string]string {
			return map[string]string{s.unit("log-"+driver) + ".container": logFile(driver)}
		})
		samples := make([][]sample, len(ready))
		err := turns(rounds, len(ready), func(_, i int) error {
			s, err := measure(ctx, "systemctl", "start", ready[i].unit("log-"+driver)+".service")
			samples[i] = append(samples[i], s)
			return err
		})
		for i, s := range ready {
			b.add(what, s.name, samples[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}
