//go:build e2e

// Package e2e runs the scripts in scripts on throw-away machines:
//
//	go test -tags e2e -v ./test/e2e                        # on both kinds of machine
//	go test -tags e2e -v ./test/e2e -host nspawn -run 'Scripts/.*/01-'
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-pods/berth/test/e2e/hosts"
	"github.com/berth-pods/berth/test/e2e/hosts/agent"
	"github.com/berth-pods/berth/test/e2e/script"
)

var (
	hostFlag = flag.String("host", "nspawn,vm", "kinds of machine to run on: nspawn, vm, local; \"local\" is this one, used as it is")
	torture  = flag.Bool("torture", false, "let the scripts take every case instead of some; takes hours")
	binFlag  = flag.Bool("bin", false, "install the programs that lie in bin, without building")
)

// tally counts how the scripts went, for the closing line; interruptions are what they did to berth, for the table before it.
var (
	tally         = map[script.Outcome]int{}
	interruptions script.Points
)

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	fmt.Print(interruptions.Table())
	fmt.Printf("e2e: %d passed, %d failed, %d skipped\n", tally[script.Passed], tally[script.Failed], tally[script.Skipped])
	os.Exit(code)
}

func TestScripts(t *testing.T) {
	scripts, err := script.LoadDir("scripts")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds(t) {
		t.Run(string(kind), func(t *testing.T) {
			shared := bench{t: t, kind: kind}
			defer shared.discard()
			for _, s := range scripts {
				if s.RunsOn(kind, *torture) {
					t.Run(s.Name, func(t *testing.T) { shared.run(t, s) })
				}
			}
		})
	}
}

// TestControls is the proof that a script can fail: each of these must, or must be skipped.
func TestControls(t *testing.T) {
	const lib = `. "$BERTH_E2E/lib.sh"` + "\n"
	controls := []struct {
		name, text string
		timeout    time.Duration
		want       script.Outcome
		reason     string
		output     string
	}{
		{"succeeds", lib + "echo fine", 0, script.Passed, "", "fine"},
		{"exit code", "exit 3", 0, script.Failed, "exit code 3", ""},
		{"a command fails", lib + "false\necho not reached", 0, script.Failed, "exit code 1", "line 2: false"},
		{"in a pipe", lib + "false | cat", 0, script.Failed, "exit code 1", ""},
		{"an assertion", lib + "assert_eq speed slow fast", 0, script.Failed, "exit code 1", `speed: got "slow", want "fast"`},
		{"must fail", lib + "must_fail true", 0, script.Failed, "exit code 1", "must fail, but succeeded"},
		{"waits in vain", lib + "wait_for 1 false", 0, script.Failed, "exit code 1", "has not come true: false"},
		{"no journal line", lib + "wait_journal 1 no-such-line -u no-such-unit", 0, script.Failed, "exit code 1", "no line like"},
		{"an unset variable", lib + "echo $unset", 0, script.Failed, "exit code", "unbound variable"},
		{"a syntax error", lib + "if", 0, script.Failed, "exit code", "syntax error"},
		{"too slow", "echo begun; exec sleep 1000", time.Second, script.Failed, "not finished after 1s", "begun"},
		{"killed", "kill -9 $$", 0, script.Failed, "exit code 137", ""},
		{"skipped", lib + "echo first; skip no such thing here", 0, script.Skipped, "no such thing here", "first"},
	}
	shared := bench{t: t, kind: hosts.Nspawn}
	defer shared.discard()
	for _, c := range controls {
		t.Run(c.name, func(t *testing.T) {
			part := script.Part{File: "control.sh", Text: c.text, Timeout: max(c.timeout, 10*time.Second)}
			if c.timeout > 0 {
				part.Timeout = c.timeout
			}
			r := shared.result(t, script.Script{Name: c.name, Parts: []script.Part{part}})
			if r.Outcome != c.want || !strings.Contains(r.Reason, c.reason) || !strings.Contains(string(r.Output), c.output) {
				t.Errorf("%s (%s), want %s (%s) and %q in the output:\n%s", r.Outcome, r.Reason, c.want, c.reason, c.output, r.Output)
			}
		})
	}
}

func kinds(t *testing.T) []hosts.Kind {
	var all []hosts.Kind
	for _, name := range strings.Split(*hostFlag, ",") {
		kind, err := hosts.ParseKind(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, kind)
	}
	return all
}

// bench holds the machine that scripts of one kind share. A script that failed leaves nobody knows what, so the next one
// gets a new machine.
type bench struct {
	t       *testing.T
	kind    hosts.Kind
	kernel  string // words for its command line
	machine hosts.Machine
}

func (b *bench) run(t *testing.T, s script.Script) {
	if s.Fresh {
		own := bench{t: t, kind: b.kind, kernel: s.Kernel}
		defer own.discard()
		own.report(t, s)
		return
	}
	b.report(t, s)
}

func (b *bench) report(t *testing.T, s script.Script) {
	r := b.result(t, s)
	tally[r.Outcome]++
	interruptions.Add(string(b.kind)+"/"+s.Name, r)
	switch r.Outcome {
	case script.Failed:
		t.Errorf("%s%s%s", b.journal(), r.Output, r.Reason) // what matters most stands last: reports cut the rest
		b.discard()
	case script.Skipped:
		t.Skip(r.Reason)
	case script.Passed:
		t.Logf("passed in %.1f s", r.Took.Seconds())
	}
}

func (b *bench) result(t *testing.T, s script.Script) script.Result {
	if b.machine == nil {
		b.start(t)
	}
	where := hosts.ScriptDir(b.options(t))
	r := script.Runner{Machine: b.machine, Kind: b.kind, Where: where, Torture: *torture, Settings: settings()}
	if *torture {
		r.Echo = os.Stderr
	}
	return r.Run(context.Background(), s)
}

// settings are the variables that the scripts may be given.
func settings() []string {
	var list []string
	for _, name := range []string{"BERTH_ROUNDS", "BERTH_SEED", "BERTH_SOAK"} {
		if value := os.Getenv(name); value != "" {
			list = append(list, name+"="+value)
		}
	}
	return list
}

func (b *bench) start(t *testing.T) {
	m, err := hosts.Start(context.Background(), b.options(t))
	if err != nil {
		t.Fatal(err)
	}
	b.machine = m
}

// journal is the end of the machine's journal, which tells more than a script that failed.
func (b *bench) journal() string {
	if b.kind == hosts.Local {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var out strings.Builder
	args := []string{"journalctl", "--no-pager", "--boot", "--lines=40", "--output=short-monotonic"}
	b.machine.Run(ctx, agent.Command{Args: args}, agent.Streams{Stdout: &out, Stderr: &out})
	return "the end of the journal:\n" + out.String()
}

func (b *bench) discard() {
	if b.machine == nil {
		return
	}
	if err := b.machine.Close(); err != nil {
		b.t.Errorf("remove the machine: %v", err)
	}
	b.machine = nil
}

func (b *bench) options(t *testing.T) hosts.Options {
	repo, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return hosts.Options{
		Kind: b.kind, Repo: repo, BinAsIs: *binFlag, Kernel: b.kernel,
		Cache: hosts.RepoCache(repo, os.Stderr),
	}
}
