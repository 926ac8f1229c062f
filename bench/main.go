// Bench measures berth beside Podman, Docker and the bare OCI runtime, in turns, in
// one throw-away machine, and prints a table with the ratios.
//
//	go run ./bench [-rounds 20] [-machine nspawn|vm|local] [-only start,generator] [-out bench/out.json]
//	go run ./bench -boot 20 -machine vm -rounds 3 [-out bench/boot.json]
//	go run ./bench -out bench/figures.json -plot bench/figures.svg
//
// It starts the machine, copies itself into it and runs there; the figures
// come back as JSON.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/berth-pods/berth/test/e2e/hosts"
	"github.com/berth-pods/berth/test/e2e/hosts/agent"
)

// insideVerb is the hidden first argument of the copy that measures.
const insideVerb = "inside-the-machine"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) > 1 && os.Args[1] == insideVerb {
		err = runInside(ctx, os.Args[2:], os.Stdout, os.Stderr)
	} else {
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are what a user can choose.
type options struct {
	rounds  int
	machine string
	only    string
	out     string
	plot    string
	boot    int
}

func parseOptions(args []string, errOut io.Writer) (options, error) {
	var o options
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.SetOutput(errOut)
	set.IntVar(&o.rounds, "rounds", 20, "how often each thing is measured")
	set.StringVar(&o.machine, "machine", "nspawn", "where: nspawn, vm, or local (this machine: needs systemd, Podman and berth)")
	set.StringVar(&o.only, "only", "", "a comma-separated choice of: "+strings.Join(suiteNames(), ", "))
	set.StringVar(&o.out, "out", "bench/out.json", "where the figures go; a relative path is one below the checkout")
	set.IntVar(&o.boot, "boot", 0, "measure nothing else: boot a nspawn or vm machine with `N` enabled units")
	set.StringVar(&o.plot, "plot", "", "measure nothing: draw the figures of -out into this `FILE` (SVG)")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if o.rounds < 1 || set.NArg() > 0 {
		return o, errors.New("-rounds must be 1 or more, and nothing may follow the flags")
	}
	if o.boot < 0 || o.boot > 0 && (o.only != "" || o.machine == string(hosts.Local)) {
		return o, errors.New("-boot takes a number of units, stands without -only, and boots no machine that is not its own")
	}
	if _, err := chooseSuites(o.only); err != nil {
		return o, err
	}
	return o, nil
}

// within is the place of a relative path below a directory; an absolute one is where it says.
func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	o, err := parseOptions(args, errOut)
	if err != nil {
		return err
	}
	kind, err := hosts.ParseKind(o.machine)
	if err != nil {
		return err
	}
	repo, err := findRepo()
	if err != nil {
		return err
	}
	if o.plot != "" {
		return plotFile(within(repo, o.out), within(repo, o.plot))
	}
	cache := hosts.RepoCache(repo, errOut)
	if o.boot == 0 {
		cache = cache.With("docker.io", "docker-cli")
	}
	m, err := hosts.Start(ctx, hosts.Options{Kind: kind, Cache: cache, Repo: repo})
	if err != nil {
		return err
	}
	measure := measureIn
	if o.boot > 0 {
		measure = measureBooting
	}
	r, err := measure(ctx, m, o, errOut)
	if err := errors.Join(err, m.Close()); err != nil {
		return err
	}
	r.Machine["host"] = o.machine
	if err := r.write(within(repo, o.out)); err != nil {
		return err
	}
	r.print(out)
	fmt.Fprintf(out, "\nthe same as JSON: %s\n", o.out)
	return nil
}

// measureIn copies this program into the machine and runs it there.
func measureIn(ctx context.Context, m hosts.Machine, o options, errOut io.Writer) (*report, error) {
	var figures bytes.Buffer
	if err := runCopy(ctx, m, []string{strconv.Itoa(o.rounds), o.only}, agent.Streams{Stdout: &figures, Stderr: errOut}); err != nil {
		return nil, err
	}
	var r report
	if err := json.Unmarshal(figures.Bytes(), &r); err != nil {
		return nil, fmt.Errorf("read the figures: %w", err)
	}
	return &r, nil
}

// runCopy copies this program into the machine and runs it there.
func runCopy(ctx context.Context, m hosts.Machine, args []string, streams agent.Streams) error {
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer self.Close()
	const program = "/run/berth-bench"
	copyIn := agent.Command{Args: []string{"sh", "-c", "cat >" + program + " && chmod 0755 " + program}}
	if code, err := m.Run(ctx, copyIn, agent.Streams{Stdin: self, Stderr: streams.Stderr}); err != nil || code != 0 {
		return fmt.Errorf("copy the program into the machine: exit status %d: %w", code, err)
	}
	defer func() { // with a context of its own: also after an interrupt
		_, _ = m.Run(context.Background(), agent.Command{Args: []string{"rm", "-f", program}}, agent.Streams{})
	}()
	code, err := m.Run(ctx, agent.Command{Args: append([]string{program, insideVerb}, args...)}, streams)
	if err != nil || code != 0 {
		return errors.Join(fmt.Errorf("measure in the machine: exit status %d", code), err)
	}
	return nil
}

// measureBooting puts the image and the facts together with measureBoots.
func measureBooting(ctx context.Context, m hosts.Machine, o options, errOut io.Writer) (*report, error) {
	var facts bytes.Buffer
	if err := runCopy(ctx, m, []string{insideImage}, agent.Streams{Stdout: &facts, Stderr: errOut}); err != nil {
		return nil, err
	}
	r, err := measureBoots(ctx, boots{m, hosts.Kind(o.machine), o.boot, errOut}, o.rounds)
	if err != nil {
		return nil, err
	}
	return r, json.Unmarshal(facts.Bytes(), &r.Machine)
}

// findRepo walks up to the directory that holds go.mod.
func findRepo() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("start it inside the checkout: no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
}
