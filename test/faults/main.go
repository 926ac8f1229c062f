// Faults runs a command, watches every process that comes of it, and counts
// what they change: each system call that makes, moves, writes or removes
// something the machine keeps. At one of these it can kill the command, or let
// the call fail, so that a test goes through every moment at which a program
// can be interrupted, instead of hoping to hit one.
//
//	faults count -- berth run …             print how many changes there are
//	faults kill 17 -- berth run …           SIGKILL the command before change 17
//	faults fail 17 ENOSPC -- berth run …    let change 17 fail with ENOSPC
//
// Only the command itself is killed: its children live on, as they do when the
// kernel picks one victim. What they do after that is not watched any more.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

const usage = `usage: faults count [-v] -- COMMAND…        count the changes; -v lists them on standard error
       faults kill N -- COMMAND…            kill COMMAND before its Nth change
       faults fail N ERRNO -- COMMAND…      let the Nth change fail, with ENOSPC, EIO, ENOMEM, …

A change is a system call of COMMAND, or of any process that comes of it, that alters files, mounts, namespaces,
processes, devices or sockets. Exit status: of COMMAND, 128+S when signal S ended it; 2 for trouble of our own.
`

const exitTrouble = 2

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process around it; it returns the exit status.
func run(args []string, out, errOut io.Writer) int {
	p, command, err := parse(args)
	if err != nil {
		fmt.Fprintf(errOut, "faults: %v\n%s", err, usage)
		return exitTrouble
	}
	if p.list {
		p.log = errOut
	}
	result, err := trace(p, command)
	if err != nil {
		fmt.Fprintf(errOut, "faults: %v\n", err)
		return exitTrouble
	}
	switch {
	case p.counting():
		fmt.Fprintln(out, result.changes)
	case !result.injected:
		fmt.Fprintf(errOut, "faults: there was no change %d, only %d\n", p.at, result.changes)
	default:
		fmt.Fprintf(errOut, "faults: change %d was %s\n", p.at, result.what)
	}
	return result.status
}

// plan is what is to be done to the command.
type plan struct {
	at    int        // the change that is interfered with, from 1; 0: none
	errno unix.Errno // what it fails with; 0: the command is killed
	list  bool
	log   io.Writer // gets a line for each change; nil: nobody
}

func (p plan) counting() bool { return p.at == 0 }

// parse reads the words up to "--", and returns those after it as the command.
func parse(args []string) (plan, []string, error) {
	words, command := cut(args)
	if len(command) == 0 {
		return plan{}, nil, errors.New(`no command after "--"`)
	}
	switch {
	case len(words) == 1 && words[0] == "count":
		return plan{}, command, nil
	case len(words) == 2 && words[0] == "count" && words[1] == "-v":
		return plan{list: true}, command, nil
	case len(words) == 2 && words[0] == "kill":
		at, err := change(words[1])
		return plan{at: at}, command, err
	case len(words) == 3 && words[0] == "fail":
		at, err := change(words[1])
		if err != nil {
			return plan{}, nil, err
		}
		errno, err := errnoOf(words[2])
		return plan{at: at, errno: errno}, command, err
	}
	return plan{}, nil, errors.New("say what to do")
}

func cut(args []string) (words, command []string) {
	for i, a := range args {
		if a == "--" {
			return args[:i], args[i+1:]
		}
	}
	return args, nil
}

func change(word string) (int, error) {
	n, err := strconv.Atoi(word)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q does not number a change; the first is 1", word)
	}
	return n, nil
}

// errnoOf finds an error by its name (errno(3)).
func errnoOf(name string) (unix.Errno, error) {
	for n := unix.Errno(1); n < 134; n++ {
		if unix.ErrnoName(n) == name {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%q is not the name of an error, as ENOSPC is", name)
}
