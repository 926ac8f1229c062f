// Package cli is the command line: it turns words into calls of the engine and prints what comes of them.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/installed"
	"github.com/berth-pods/berth/units"
)

// Env is what a verb may touch.
type Env struct {
	In       io.Reader
	Out, Err io.Writer
	Run      proc.Runner
}

// Verb is a command of berth.
type Verb struct {
	Name    string
	Usage   string // the words after the name
	Summary string // one line, for the list of commands
	Text    string // for --help and the man page
	Flags   func(*pflag.FlagSet)
	Aliases []string
	Program bool // the words from the second argument on are a program's
	// Removes says that the verb only takes away, as units do when they stop: a containers.conf that is refused does not hinder it.
	Removes bool
	// Sub are commands below this one: `quadlet list`. Their names have both words.
	Sub []Verb
	// Before runs first of all; it may replace the process by another.
	Before func(ctx context.Context, env *Env, args []string) error
	// Userns says that the verb works on files of the user's containers, and so runs as root of the user's namespace.
	// It may look first whether there is anything to do.
	Userns func(args []string) bool
	Run    func(ctx context.Context, env *Env, args []string) error // nil: there is nothing but Sub
}

// ExitError ends the program with a status, without another message when Err is nil.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Code)
	}
	return e.Err.Error()
}

func (e *ExitError) Unwrap() error { return e.Err }

// statusFailed is the exit status of a command that could not do its work, as Podman's.
const statusFailed = 125

// statusNoExec is that of an exec in a container where there can be none, as Podman's.
const statusNoExec = 255

// Main runs one command line and returns the exit status.
func Main(args []string) int {
	env := &Env{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Run: proc.Run}
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() { cancel(interruption((<-signals).(syscall.Signal))) }()
	return tellEnding(ctx, env.Err, attempt(func() error { return dispatch(ctx, env, args) }))
}

// interruption is the signal that has ended a command.
type interruption syscall.Signal

func (interruption) Error() string { return "interrupted" }

// tellEnding prints why a command has failed, and returns its exit status: that of shells where a signal has ended it, which needs no
// telling where there is nothing else to say.
func tellEnding(ctx context.Context, w io.Writer, err error) int {
	by, interrupted := context.Cause(ctx).(interruption)
	var exit *ExitError
	switch {
	case err == nil, errors.Is(err, pflag.ErrHelp):
		return 0
	case err == context.Canceled && interrupted:
		return 128 + int(by)
	case interrupted && (errors.Is(err, context.Canceled) || errors.Is(err, by)):
		printError(w, strings.ReplaceAll(err.Error(), context.Canceled.Error(), by.Error()))
		return 128 + int(by)
	case errors.As(err, &exit):
		if exit.Err != nil {
			printError(w, exit.Err.Error())
		}
		return exit.Code
	}
	printError(w, err.Error())
	return statusFailed
}

func printError(w io.Writer, text string) {
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintln(w, "Error:", printable(line))
	}
}

// AnyThread tells of the commands that are called most and make no mounts of their own, so that they need not stay on one thread. Where
// the first goroutine does, Go makes each other thread by way of one more, which costs a tenth of their time.
func AnyThread(args []string) bool {
	return len(args) > 0 && slices.Contains([]string{"ps", "rm", "stop"}, args[0]) || len(args) > 1 && args[0] == "container" && args[1] == "cleanup"
}

// attempt calls f. The storage library panics with the error when it cannot open one of its locks: to us that is an error
// like others, except that nothing may use the store after it, for it may hold the lock's mutex.
func attempt(f func() error) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case runtime.Error:
			panic(r)
		case error:
			err = r
		default:
			panic(r)
		}
	}()
	return f()
}

// dispatch finds the verb. Podman's `container X` and `image X` are the same as X.
func dispatch(ctx context.Context, env *Env, args []string) error {
	args, err := globalFlags(args)
	if err != nil {
		return err
	}
	if len(args) > 1 && args[0] == "help" && args[1] != "help" {
		args = append(args[1:], "--help")
	}
	if len(args) == 0 {
		printCommands(env.Out)
		return errMissing("")
	}
	if args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
		printCommands(env.Out)
		return nil
	}
	name, rest := args[0], args[1:]
	if name == "--version" || name == "-v" {
		// One line, for programs that read it: they take what stands behind "version" for Podman's, and know by it what they may use.
		_, err := fmt.Fprintln(env.Out, "berth", installed.Version, "with the commands of podman version", apiVersion)
		return err
	}
	if name == "container" && len(rest) > 0 {
		name, rest = ofContainer(name, rest)
	}
	for _, l := range lacking {
		if slices.Contains(l.words, name) || name == "image" && len(rest) > 0 && slices.Contains(l.words, rest[0]) {
			return fmt.Errorf("%s; %s", l.what, l.instead)
		}
	}
	if isImageVerb(name) {
		return runImage(ctx, env, args)
	}
	for _, v := range verbs() {
		if v.Name == name || slices.Contains(v.Aliases, name) {
			return v.run(ctx, env, rest)
		}
	}
	var known []string
	for _, v := range verbs() {
		known = append(known, v.Name)
	}
	for _, v := range imageSummaries {
		known = append(known, v[0])
	}
	return unrecognized("", name, known)
}

// errMissing is for a group of commands without one, whose commands have been listed on standard output: as Podman does, so
// that a script with an empty variable does not take that for success.
func errMissing(group string) error { return fmt.Errorf("missing command `berth %sCOMMAND`", group) }

// unrecognized says what a misspelt command may mean, or where all are listed.
func unrecognized(group, word string, known []string) error {
	if meant := units.Closest(word, known); meant != "" {
		return fmt.Errorf("unrecognized command `berth %s%s`; did you mean `berth %[1]s%[3]s`?", group, word, meant)
	}
	return fmt.Errorf("unrecognized command `berth %s%s`; `berth %[1]s--help` lists the commands", group, word)
}

// ofContainer leaves `container` out where what follows is a command without it too.
func ofContainer(name string, rest []string) (string, []string) {
	switch rest[0] {
	case "ls", "list":
		return "ps", rest[1:]
	case "inspect": // which alone looks for other things too
		return "inspect", append([]string{"--type=container"}, rest[1:]...)
	}
	for _, v := range verbs() {
		if v.Name == rest[0] || slices.Contains(v.Aliases, rest[0]) {
			return rest[0], rest[1:]
		}
	}
	return name, rest
}

func (v Verb) run(ctx context.Context, env *Env, args []string) error {
	if len(v.Sub) > 0 && len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		known := make([]string, 0, len(v.Sub))
		for _, sub := range v.Sub {
			known = append(known, strings.TrimPrefix(sub.Name, v.Name+" "))
			if sub.Name == v.Name+" "+args[0] || slices.Contains(sub.Aliases, args[0]) {
				return sub.run(ctx, env, args[1:])
			}
		}
		return unrecognized(v.Name+" ", args[0], known)
	}
	for _, a := range args {
		if a == "--" {
			break
		}
		if a == "--help" {
			v.printHelp(env.Out)
			return nil
		}
		if v.Program && !strings.HasPrefix(a, "-") {
			break // the words after this one are a program's
		}
	}
	if v.Run == nil {
		return v.alone(env, args)
	}
	if v.Removes {
		global.tell = env.Err
	} else if err := checkModules(); err != nil {
		return err
	}
	if v.Before != nil {
		if err := v.Before(ctx, env, args); err != nil {
			return err
		}
	}
	if v.Userns != nil && v.Userns(args) {
		return reexec(ctx, env)
	}
	err := v.Run(ctx, env, args)
	if errors.Is(err, pflag.ErrHelp) { // a -h or --help that stood behind other words
		v.printHelp(env.Out)
		return nil
	}
	if err != nil && strings.HasPrefix(err.Error(), "unknown") && strings.Contains(err.Error(), "flag") {
		return fmt.Errorf("%w; see `berth %s --help`", err, v.Name)
	}
	return err
}

// alone is a group of commands of which none is named.
func (v Verb) alone(env *Env, args []string) error {
	if len(args) > 0 && args[0] != "-h" {
		return fmt.Errorf("unknown flag: %s; see `berth %s --help`", args[0], v.Name)
	}
	v.printHelp(env.Out)
	if len(args) > 0 {
		return nil
	}
	return errMissing(v.Name + " ")
}

// printHelp prints what --help says.
func (v Verb) printHelp(w io.Writer) {
	fmt.Fprintf(w, "%s\n\nUsage: berth %s %s\n", v.Summary, v.Name, v.Usage)
	if v.Text != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(v.Text))
	}
	if len(v.Sub) > 0 {
		fmt.Fprint(w, "\nCommands:\n")
		for _, sub := range v.Sub {
			fmt.Fprintf(w, "  %-16s %s\n", sub.Name, sub.Summary)
		}
	}
	if v.Flags != nil {
		set := newFlagSet(v.Name)
		v.Flags(set)
		fmt.Fprintf(w, "\nOptions:\n%s", set.FlagUsages())
	}
}

func newFlagSet(name string) *pflag.FlagSet {
	set := pflag.NewFlagSet(name, pflag.ContinueOnError)
	set.SortFlags = true
	set.Usage = func() {}
	return set
}

func printCommands(w io.Writer) {
	fmt.Fprint(w, "berth runs containers under systemd.\n\nUsage: berth COMMAND [OPTION…] [ARGUMENT…]\n\nCommands:\n")
	for _, v := range verbs() {
		fmt.Fprintf(w, "  %-11s %s\n", v.Name, v.Summary)
	}
	for _, v := range imageSummaries {
		fmt.Fprintf(w, "  %-11s %s\n", v[0], v[1])
	}
	fmt.Fprint(w, "\n`berth COMMAND --help` explains one. Unit files are explained in berth.unit(5).\n")
}
