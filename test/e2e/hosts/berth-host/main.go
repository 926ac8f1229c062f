// berth-host makes the throw-away machines of the end-to-end tests and runs commands in them:
//
//	berth-host setup                          build what the machines are made from (minutes the first time)
//	berth-host run nspawn|vm|local CMD…       boot a machine, run a command in it, throw the machine away
//	berth-host shell nspawn|vm                the same with a shell on this terminal
//	berth-host clean                          remove what is cached and not in use
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/berth-pods/berth/test/e2e/hosts"
	"github.com/berth-pods/berth/test/e2e/hosts/agent"
)

const usage = `usage: berth-host setup
       berth-host run nspawn|vm|local [--] COMMAND [ARGUMENT…]
       berth-host shell nspawn|vm
`

// Exit codes of berth-host itself; otherwise it ends as the command in the machine ended.
const (
	exitUsage  = 2
	exitFailed = 125
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

func run(ctx context.Context, args []string) (int, error) {
	if len(args) == 0 {
		return exitUsage, errors.New("no command\n" + usage)
	}
	repo, err := findRepo()
	if err != nil {
		return exitFailed, err
	}
	cache := hosts.Cache{Dir: filepath.Join(repo, ".cache/hosts"), Progress: os.Stderr}
	o := hosts.Options{Repo: repo, Cache: cache}
	verb, args := args[0], args[1:]
	switch verb {
	case "setup":
		return runSetup(ctx, cache)
	case "run":
		return runRun(ctx, o, args)
	case "shell":
		return runShell(ctx, o, args)
	}
	return exitUsage, fmt.Errorf("unknown command %q\n%s", verb, usage)
}

func runSetup(ctx context.Context, cache hosts.Cache) (int, error) {
	if _, err := cache.Setup(ctx); err != nil {
		return exitFailed, err
	}
	return 0, nil
}

func runRun(ctx context.Context, o hosts.Options, args []string) (int, error) {
	kind, args, err := kindArgument(args)
	if err != nil {
		return exitUsage, err
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return exitUsage, errors.New("no command for the machine\n" + usage)
	}
	o.Kind = kind
	return inMachine(ctx, o, agent.Command{Args: args}, standardInput())
}

func runShell(ctx context.Context, o hosts.Options, args []string) (int, error) {
	kind, args, err := kindArgument(args)
	if err != nil || len(args) > 0 {
		return exitUsage, errors.Join(err, errors.New(strings.TrimSpace(usage)))
	}
	o.Kind = kind
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
	return inMachine(ctx, o, shell, os.Stdin)
}

func kindArgument(args []string) (hosts.Kind, []string, error) {
	if len(args) == 0 {
		return "", nil, errors.New("no kind of machine\n" + usage)
	}
	kind, err := hosts.ParseKind(args[0])
	return kind, args[1:], err
}

// inMachine boots a machine for one command.
func inMachine(ctx context.Context, o hosts.Options, cmd agent.Command, stdin io.Reader) (int, error) {
	m, err := hosts.Start(ctx, o)
	if err != nil {
		return exitFailed, err
	}
	code, err := m.Run(ctx, cmd, agent.Streams{Stdin: stdin, Stdout: os.Stdout, Stderr: os.Stderr})
	if err != nil && code <= 0 {
		code = exitFailed
	}
	return code, errors.Join(err, m.Close())
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
