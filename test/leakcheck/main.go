// Leakcheck takes a picture of everything on a Linux machine that a container
// can leave behind, and compares two such pictures line by line.
//
//	leakcheck snap > before.json
//	systemctl start web && systemctl stop web
//	leakcheck check before.json
//
// It knows nothing of berth: it reads the kernel, systemd and the files of
// containers/storage, so it judges any container manager the same way. It is
// one static program of the standard library and golang.org/x/sys.
//
// Machines that share a kernel share its keys, loop devices and device-mapper
// devices: what one makes there shows in the snapshots of all.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

// Exit codes, as promised to scripts.
const (
	exitSame      = 0
	exitDifferent = 1
	exitTrouble   = 2
)

const usage = `usage: leakcheck snap [--within 10s]                   write a snapshot to standard output, when the
                                                      machine is at rest or time is up
       leakcheck diff A B [--allow FILE] [--expect E] compare two snapshots
       leakcheck check A [--within 3s] [--allow FILE] [--expect E]
                                                      compare A with the machine as it is now,
                                                      again and again until it agrees or time is up
       leakcheck selftest                             plant one leak per collector, find each
       leakcheck collectors                           list the collectors

E is none (the default: no difference) or running:N (B has N containers more, and nothing
that does not belong to them). Exit status: 0 agrees, 1 differences (on standard output,
one a line: collector, + or -, text), 2 trouble.
`

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process around it; it returns the exit status.
func run(args []string, out, errOut io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(errOut, usage)
		return exitTrouble
	}
	verbs := map[string]func([]string, io.Writer, io.Writer) (int, error){
		"snap": runSnap, "diff": runDiff, "check": runCheck,
		"selftest": runSelftest, "collectors": runCollectors, holdVerb: runHold,
	}
	verb, ok := verbs[args[0]]
	if !ok {
		fmt.Fprint(errOut, usage)
		return exitTrouble
	}
	code, err := verb(args[1:], out, errOut)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(errOut, usage)
		return exitTrouble
	}
	if err != nil {
		fmt.Fprintf(errOut, "leakcheck: %v\n", err)
		return exitTrouble
	}
	return code
}

// runSnap waits for rest, because what is there for a moment only (a job of systemd's, a temporary file that is about
// to be renamed) would be missed in every later snapshot.
func runSnap(args []string, out, errOut io.Writer) (int, error) {
	set := flag.NewFlagSet("leakcheck", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	within := set.Duration("within", 10*time.Second, "")
	if set.Parse(args) != nil || set.NArg() != 0 {
		return exitTrouble, flag.ErrHelp
	}
	s, moving := rest(take, *within)
	for _, d := range moving {
		fmt.Fprintf(errOut, "leakcheck: not at rest after %v: %v\n", *within, d)
	}
	warnSkipped(errOut, s)
	enc := json.NewEncoder(out)
	enc.SetIndent("", " ")
	enc.SetEscapeHTML(false)
	return exitSame, enc.Encode(s)
}

func runCollectors(_ []string, out, _ io.Writer) (int, error) {
	for _, c := range collectors() {
		fmt.Fprintf(out, "%-11s %s\n", c.name, c.about)
	}
	return exitSame, nil
}

// compareFlags are what diff and check have in common.
type compareFlags struct {
	allow  string
	expect string
	within time.Duration
}

// parse reads flags before, between and after the file names.
func (f *compareFlags) parse(args []string) (files []string, err error) {
	set := flag.NewFlagSet("leakcheck", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&f.allow, "allow", "", "")
	set.StringVar(&f.expect, "expect", "none", "")
	set.DurationVar(&f.within, "within", 3*time.Second, "")
	for len(args) > 0 {
		if err := set.Parse(args); err != nil {
			return nil, err
		}
		if set.NArg() == 0 {
			break
		}
		files = append(files, set.Arg(0))
		args = set.Args()[1:]
	}
	return files, nil
}

func (f *compareFlags) judge() (judge, error) {
	e, err := parseExpectation(f.expect)
	if err != nil {
		return judge{}, err
	}
	allowed, err := readAllowFile(f.allow)
	if err != nil {
		return judge{}, err
	}
	return judge{expect: e, allowed: allowed}, nil
}

func runDiff(args []string, out, errOut io.Writer) (int, error) {
	var f compareFlags
	files, err := f.parse(args)
	if err != nil {
		return exitTrouble, err
	}
	if len(files) != 2 {
		return exitTrouble, flag.ErrHelp
	}
	j, err := f.judge()
	if err != nil {
		return exitTrouble, err
	}
	a, err := readSnapshot(files[0])
	if err != nil {
		return exitTrouble, err
	}
	b, err := readSnapshot(files[1])
	if err != nil {
		return exitTrouble, err
	}
	warnSkipped(errOut, b)
	return report(out, j.compare(a, b)), nil
}

// runCheck repeats because the kernel and systemd clear away a little after
// the command that asked for it has returned (cgroups, namespaces, job units).
func runCheck(args []string, out, errOut io.Writer) (int, error) {
	var f compareFlags
	files, err := f.parse(args)
	if err != nil {
		return exitTrouble, err
	}
	if len(files) != 1 {
		return exitTrouble, flag.ErrHelp
	}
	j, err := f.judge()
	if err != nil {
		return exitTrouble, err
	}
	a, err := readSnapshot(files[0])
	if err != nil {
		return exitTrouble, err
	}
	b, found := settle(a, j, f.within)
	warnSkipped(errOut, b)
	return report(out, found), nil
}

// settle compares a with fresh snapshots until nothing differs or the time
// is up, and returns the last snapshot with what still differs.
func settle(a *Snapshot, j judge, within time.Duration) (*Snapshot, []difference) {
	deadline := time.Now().Add(within)
	for {
		b := take()
		found := j.compare(a, b)
		if len(found) == 0 || time.Now().After(deadline) {
			return b, found
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// rest takes snapshots until one is like that before it and no unit is on its way up or down, or the time is up. It
// returns the last snapshot, and what was still moving.
func rest(take func() *Snapshot, within time.Duration) (*Snapshot, []difference) {
	deadline := time.Now().Add(within)
	for last := take(); ; {
		time.Sleep(restInterval)
		s := take()
		moving := append(judge{}.compare(last, s), unitsInMotion(s)...)
		if len(moving) == 0 || time.Now().After(deadline) {
			return s, moving
		}
		last = s
	}
}

const restInterval = 50 * time.Millisecond // between two snapshots that must be alike

func report(out io.Writer, found []difference) int {
	for _, d := range found {
		fmt.Fprintln(out, d)
	}
	if len(found) > 0 {
		return exitDifferent
	}
	return exitSame
}

// warnSkipped says what a snapshot could not see, and why.
func warnSkipped(errOut io.Writer, s *Snapshot) {
	if !s.Root {
		fmt.Fprintln(errOut, "leakcheck: not root: only what this user may see is compared")
	}
	for _, c := range collectors() {
		if got := s.Collectors[c.name]; got != nil && got.Skipped != "" {
			fmt.Fprintf(errOut, "leakcheck: %s skipped: %s\n", c.name, got.Skipped)
		}
	}
}
