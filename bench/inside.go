package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// bench is one run inside the machine.
type bench struct {
	rounds   int
	report   *report
	progress io.Writer
	dir      string   // for what the run makes; removed at the end
	made     []string // files elsewhere, removed at the end
}

// suite is one group of measurements.
type suite struct {
	name string
	run  func(context.Context, *bench) error
}

func suites() []suite {
	return []suite{
		{"start", measureStarts},
		{"pod", measurePods},
		{"user", measureUser},
		{"burst", measureBursts},
		{"floor", measureFloor},
		{"generator", measureGenerators},
		{"programs", measurePrograms},
		{"images", measureImages},
		{"logs", measureLogs},
		{"ps", measurePs},
		{"verbs", measureVerbs}, // from here on Docker's firewall rules stay
		{"resident", measureResident},
	}
}

func suiteNames() []string {
	var names []string
	for _, s := range suites() {
		names = append(names, s.name)
	}
	return names
}

// chooseSuites reads a comma-separated list; all when it is empty.
func chooseSuites(only string) ([]suite, error) {
	if only == "" {
		return suites(), nil
	}
	var chosen []suite
	for name := range strings.SplitSeq(only, ",") {
		found := false
		for _, s := range suites() {
			if s.name == name {
				chosen, found = append(chosen, s), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no suite %q: choose from %s", name, strings.Join(suiteNames(), ", "))
		}
	}
	return chosen, nil
}

// insideImage is the argument with which it only brings the image, and prints what the machine is.
const insideImage = "image"

// runInside measures, and prints the report as JSON. Its arguments are the
// number of rounds and the choice of suites.
func runInside(ctx context.Context, args []string, out, progress io.Writer) error {
	if len(args) == 1 && args[0] == insideImage {
		if err := (&bench{}).importImage(); err != nil {
			return err
		}
		return json.NewEncoder(out).Encode(facts())
	}
	if len(args) != 2 {
		return fmt.Errorf("%s wants two arguments", insideVerb)
	}
	rounds, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	chosen, err := chooseSuites(args[1])
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("/run", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{rounds: rounds, progress: progress, dir: dir, report: &report{Machine: facts(), Method: method}}
	defer b.clean()
	if err := b.importImage(); err != nil {
		return err
	}
	for _, s := range chosen {
		if err := s.run(ctx, b); err != nil {
			return fmt.Errorf("suite %s: %w", s.name, err)
		}
	}
	b.report.compare()
	return json.NewEncoder(out).Encode(b.report)
}

var method = []string{
	"wall: from the start of the command to its end, in ms. The sides take turns, each round begins with another one.",
	"CPU: user and system time of everything in the machine, from the start of the command until it is quiet again",
	"(cpu.stat of the machine's topmost cgroup: managers, message bus, journal and helpers count; kernel threads do not).",
	"CPU of generators and single programs: the process's own, from wait4.",
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "bench: "+format+"\n", args...)
}

// note is for what a reader of the figures must know.
func (b *bench) note(format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	b.say("%s", note)
	b.report.Notes = append(b.report.Notes, note)
}

// add sums up a series in a row; CPU is nil when it was not measured.
func (b *bench) add(what, side string, samples []sample) {
	if len(samples) == 0 {
		return
	}
	var wall, cpu []float64
	for _, s := range samples {
		wall = append(wall, s.wall)
		cpu = append(cpu, s.cpu)
	}
	c := sum(cpu)
	b.report.Rows = append(b.report.Rows, row{What: what, Side: side, Unit: "ms", Wall: sum(wall), CPU: &c})
}

// addValue is for what is counted once.
func (b *bench) addValue(what, side, unit string, value float64) {
	b.report.Rows = append(b.report.Rows, row{What: what, Side: side, Unit: unit, Wall: sum([]float64{value})})
}

func facts() map[string]string {
	var uts unix.Utsname
	_ = unix.Uname(&uts) // cannot fail for a valid address
	return map[string]string{
		"kernel":     unix.ByteSliceToString(uts.Release[:]),
		"processors": strconv.Itoa(runtime.NumCPU()),
		"load":       load(),
		"systemd":    firstLine("systemctl", "--version"),
		"berth":      firstLine("berth", "version"),
		"podman":     firstLine("podman", "--version"),
		"crun":       firstLine("crun", "--version"),
		"image":      image + ", one store",
	}
}

// load is what else the processors had to do in the minutes before: figures
// from a busy machine are good for their ratios only.
func load() string {
	data, err := os.ReadFile("/proc/loadavg")
	if f := strings.Fields(string(data)); err == nil && len(f) > 2 {
		return strings.Join(f[:3], " ") + " before the run (1, 5, 15 minutes)"
	}
	return ""
}

func firstLine(argv ...string) string {
	out, err := exec.Command(argv[0], argv[1:]...).Output()
	if err != nil {
		return "absent"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}

// output runs a program and returns what it printed; an error holds what it
// complained about.
func output(ctx context.Context, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var problem strings.Builder
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(problem.String()))
	}
	return string(out), nil
}

// clean removes what the run made outside of its directory: the machine may
// be somebody's own.
func (b *bench) clean() {
	for _, path := range b.made {
		if err := os.Remove(path); err != nil {
			b.say("left behind: %v", err)
		}
	}
	ctx := context.Background() // also after an interrupt
	for _, argv := range [][]string{{"systemctl", "daemon-reload"}, {"podman", "rmi", "--force", image}} {
		if _, err := output(ctx, argv...); err != nil {
			b.say("clean up: %v", err)
		}
	}
}

// installFiles writes files into a directory of the system, to be removed at the end.
func (b *bench) installFiles(dir string, files map[string]string) error {
	for name := range files {
		b.made = append(b.made, filepath.Join(dir, name))
	}
	return writeFiles(dir, files)
}

// writeFiles writes files below dir, which is made.
func writeFiles(dir string, files map[string]string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil { //nolint:forbidigo // input of a measurement
			return err
		}
	}
	return nil
}
