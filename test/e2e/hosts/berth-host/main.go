// berth-host makes the throw-away machines of the end-to-end tests and runs commands in them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/berth-pods/berth/test/e2e/hosts"
	"github.com/berth-pods/berth/test/e2e/hosts/agent"
	"github.com/berth-pods/berth/test/e2e/script"
)

const usage = `usage: berth-host setup                                build what the machines are made from
       berth-host run [-bin] [-cold] [-record DIR] [-kernel WORDS] [-put FILE:PATH] [-get PATH:FILE] HOST [--] COMMAND…
                                                       boot a machine, run a command in it as root
       berth-host shell [-bin] [-cold] HOST                    the same with a shell on this terminal
       berth-host test [-bin] [-cold] [-host HOST] SCRIPT…     run test scripts
       berth-host clean                                remove what is cached
HOST is nspawn (namespaces), vm (an emulated computer), or local (this machine itself, as it is).
-bin installs the programs that lie in bin instead of calling make.
-cold boots the virtual machine from the start instead of waking one that has booted.
-kernel adds words to the kernel's command line of a virtual machine.
-record records what a virtual machine writes to its third disk, DIR/disk.img, in DIR/writes.log.
-put copies a file into the machine before the command, -get copies one out after it; both may be repeated.
`

// Exit codes of berth-host itself; otherwise it ends as the command in the machine ended.
const (
	exitFailed = 125
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	code, err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "berth-host:", err)
	}
	os.Exit(code)
}

// invocation is one call of the program: its flags, and the arguments after them.
type invocation struct {
	options hosts.Options
	host    string
	put     []transfer
	get     []transfer
	args    []string
}

func run(ctx context.Context, args []string) (int, error) {
	verbs := map[string]func(context.Context, invocation) (int, error){
		"setup": runSetup, "run": runRun, "shell": runShell, "test": runTest, "clean": runClean,
	}
	if len(args) == 0 {
		return exitUsage, errors.New("no command\n" + usage)
	}
	verb, ok := verbs[args[0]]
	if !ok {
		return exitUsage, fmt.Errorf("unknown command %q\n%s", args[0], usage)
	}
	repo, err := findRepo()
	if err != nil {
		return exitFailed, err
	}
	in := invocation{options: hosts.Options{Repo: repo, Cache: hosts.RepoCache(repo, os.Stderr)}}
	f := flag.NewFlagSet("berth-host "+args[0], flag.ContinueOnError)
	f.Usage = func() { fmt.Fprint(f.Output(), usage) }
	f.BoolVar(&in.options.BinAsIs, "bin", false, "")
	f.BoolVar(&in.options.Cold, "cold", false, "")
	f.StringVar(&in.options.Record, "record", "", "")
	f.StringVar(&in.options.Kernel, "kernel", "", "")
	f.StringVar(&in.host, "host", "nspawn", "")
	f.Func("put", "", addTransfer(&in.put))
	f.Func("get", "", addTransfer(&in.get))
	if err := f.Parse(args[1:]); err != nil {
		return exitUsage, nil // the flag set has said it
	}
	in.args = f.Args()
	return verb(ctx, in)
}

func runSetup(ctx context.Context, in invocation) (int, error) {
	return exitCode(func() error {
		_, err := in.options.Cache.Setup(ctx)
		return err
	}())
}

func runClean(ctx context.Context, in invocation) (int, error) {
	return exitCode(in.options.Cache.Clean(ctx))
}

func exitCode(err error) (int, error) {
	if err != nil {
		return exitFailed, err
	}
	return 0, nil
}

func runRun(ctx context.Context, in invocation) (int, error) {
	o, args, err := in.kindArgument()
	if err != nil {
		return exitUsage, err
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return exitUsage, errors.New("no command for the machine\n" + usage)
	}
	in.options = o
	return in.inMachine(ctx, agent.Command{Args: args}, standardInput())
}

func runShell(ctx context.Context, in invocation) (int, error) {
	o, args, err := in.kindArgument()
	if err != nil || len(args) > 0 {
		return exitUsage, errors.Join(err, errors.New(strings.TrimSpace(usage)))
	}
	restore, size, err := rawTerminal(os.Stdin)
	if err != nil {
		return exitUsage, fmt.Errorf("a shell needs a terminal: %w", err)
	}
	defer restore()
	o.Cache.Progress = rawWriter{os.Stderr}
	shell := agent.Command{
		Args: []string{"script", "--quiet", "--return", "--command", size + "; exec bash -l", "/dev/null"},
		Env:  []string{"TERM=" + os.Getenv("TERM")},
		Dir:  "/root",
	}
	in.options = o
	return in.inMachine(ctx, shell, os.Stdin)
}

func (in invocation) kindArgument() (hosts.Options, []string, error) {
	o := in.options
	if len(in.args) == 0 {
		return o, nil, errors.New("no kind of machine\n" + usage)
	}
	var err error
	o.Kind, err = hosts.ParseKind(in.args[0])
	return o, in.args[1:], err
}

// inMachine boots a machine for one command.
func (in invocation) inMachine(ctx context.Context, cmd agent.Command, stdin io.Reader) (int, error) {
	m, err := hosts.Start(ctx, in.options)
	if err != nil {
		return exitFailed, err
	}
	code, err := in.withFiles(ctx, m, cmd, stdin)
	if err != nil && code <= 0 {
		code = exitFailed
	}
	return code, errors.Join(err, m.Close())
}

// withFiles runs the command between the copies that were asked for. What it left is copied out also when it failed.
func (in invocation) withFiles(ctx context.Context, m hosts.Machine, cmd agent.Command, stdin io.Reader) (int, error) {
	for _, t := range in.put {
		if err := hosts.CopyIn(ctx, m, t.from, t.to); err != nil {
			return exitFailed, fmt.Errorf("copy %s in: %w", t.from, err)
		}
	}
	code, err := m.Run(ctx, cmd, agent.Streams{Stdin: stdin, Stdout: os.Stdout, Stderr: os.Stderr})
	for _, t := range in.get {
		if copyErr := hosts.CopyOut(ctx, m, t.from, t.to); copyErr != nil {
			err = errors.Join(err, fmt.Errorf("copy %s out: %w", t.from, copyErr))
		}
	}
	return code, err
}

// transfer is a file that goes in or out.
type transfer struct{ from, to string }

func addTransfer(all *[]transfer) func(string) error {
	return func(s string) error {
		from, to, ok := strings.Cut(s, ":")
		if !ok || from == "" || to == "" {
			return errors.New("FROM:TO expected")
		}
		*all = append(*all, transfer{from, to})
		return nil
	}
}

// runTest runs each script on a machine of its own and shows the output as it comes.
func runTest(ctx context.Context, in invocation) (int, error) {
	kind, err := hosts.ParseKind(in.host)
	if err != nil || len(in.args) == 0 {
		return exitUsage, errors.Join(err, errors.New(strings.TrimSpace(usage)))
	}
	scripts, err := script.Load(in.args)
	if err != nil {
		return exitUsage, err
	}
	in.options.Kind = kind
	tally := map[script.Outcome]int{}
	for _, s := range scripts {
		r, err := runScript(ctx, in.options, s)
		if err != nil {
			return exitFailed, err
		}
		tally[r.Outcome]++
		fmt.Printf("%s: %s in %.1f s %s\n", s.Name, r.Outcome, r.Took.Seconds(), r.Reason)
	}
	fmt.Printf("e2e: %d passed, %d failed, %d skipped\n", tally[script.Passed], tally[script.Failed], tally[script.Skipped])
	return min(tally[script.Failed], 1), nil
}

func runScript(ctx context.Context, o hosts.Options, s script.Script) (script.Result, error) {
	if !s.RunsOn(o.Kind, true) { // who names a script wants all of it
		return script.Result{Outcome: script.Skipped, Reason: "not for " + string(o.Kind)}, nil
	}
	m, err := hosts.Start(ctx, o)
	if err != nil {
		return script.Result{}, err
	}
	r := script.Runner{Machine: m, Kind: o.Kind, Where: hosts.ScriptDir(o), Echo: os.Stdout}.Run(ctx, s)
	return r, m.Close()
}

// standardInput is nil on a terminal: a command that is not told to read should not wait for a person.
func standardInput() io.Reader {
	info, err := os.Stdin.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice != 0 {
		return nil
	}
	return os.Stdin
}

// findRepo walks up to the directory that holds this module's go.mod.
func findRepo() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(data), "module github.com/berth-pods/berth\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("start it inside the checkout: no go.mod of berth above the working directory")
		}
		dir = filepath.Dir(dir)
	}
}
