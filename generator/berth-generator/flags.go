package main

import (
	"errors"
	"strconv"
	"strings"
)

const usage = `Usage: berth-generator [OPTIONS] NORMAL-DIR [EARLY-DIR LATE-DIR]

Turns Quadlet unit files into units of systemd, which are written to NORMAL-DIR.

  -dryrun        print the units, write nothing
  -user          read a user's unit directories; also when the program's name has "user" in
                 it, or it stands in a directory user-generators
  -v             say what is read and written
  -no-kmsg-log   write messages to standard error only, not to the kernel log
  -version       print the version
  -h, -help      print this text
`

type options struct {
	dryRun, user, verbose, noKmsg, version bool

	// report: the program was started by the unit of a file with errors; the operands are the findings.
	report   bool
	operands []string
}

var errHelp = errors.New("help wanted")

// parseFlags reads flags with one dash or two, booleans with =true or =false, up to the first operand.
func parseFlags(args []string) (options, error) {
	opts := options{user: isUserGenerator(args[0])}
	rest := args[1:]
	for len(rest) > 0 && len(rest[0]) > 1 && rest[0][0] == '-' {
		arg := rest[0]
		rest = rest[1:]
		if arg == "--" {
			break
		}
		if err := opts.set(arg); err != nil {
			return opts, err
		}
	}
	opts.operands = rest
	return opts, nil
}

// isUserGenerator goes by the program's name, or by the directory of generators that it stands in.
func isUserGenerator(path string) bool {
	at := strings.LastIndexByte(path, '/')
	return strings.Contains(path[at+1:], "user") || strings.HasSuffix(path[:at+1], "/user-generators/")
}

func (o *options) set(arg string) error {
	name, value, hasValue := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
	on := true
	if hasValue {
		var err error
		if on, err = strconv.ParseBool(value); err != nil {
			return errors.New("invalid boolean value \"" + value + "\" for -" + name)
		}
	}
	switch name {
	case "dryrun":
		o.dryRun = on
	case "user":
		o.user = on
	case "v":
		o.verbose = on
	case "no-kmsg-log":
		o.noKmsg = on
	case "version":
		o.version = on
	case "report":
		o.report = on
	case "h", "help":
		return errHelp
	default:
		return errors.New("flag provided but not defined: -" + name)
	}
	return nil
}
