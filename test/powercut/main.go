// Command powercut shows what a power cut leaves of berth's files. The machine under test has a disk whose every write is
// recorded; afterwards the writes are replayed, up to each flush and to points between them, and what is on the disk then is
// mounted and looked at with berth itself.
//
//	powercut prepare [-fs ext4|xfs|btrfs] DIR            make DIR/disk.img: a file system, and a place for marks
//	powercut mark DEVICE WORD WORD WORD                  in the machine: tell what is promised from here on
//	powercut ledger [-unsynced] DEVICE NAME FILE N       in the machine: write up to record N, and promise each
//	powercut torn DIR N                                  in the machine: replace a file as one should not, the control
//	powercut replay [-every N] [-mixed N] [-deep N] [-limit N] DIR ROOT ARCHIVE
//	                                                     look at the states, with the berth that is installed in ROOT
//
// replay ends with a line "tally: …" as the end-to-end scripts do, and fails when something is wrong, or when the controls
// were not found out.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "powercut:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: powercut prepare|mark|ledger|torn|replay …; see the program's documentation")

func run(args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	verb, args := args[0], args[1:]
	f := flag.NewFlagSet("powercut "+verb, flag.ContinueOnError)
	unsynced := f.Bool("unsynced", false, "promise records that are not on the disk")
	fsType := f.String("fs", "ext4", "the `TYPE` of the file system: ext4, xfs or btrfs")
	var o replayOptions
	f.IntVar(&o.every, "every", 4, "of the writes between flushes, cut the power after each `N`th")
	f.IntVar(&o.mixed, "mixed", 1, "at each flush, try `N` states with only some of the writes before it")
	f.IntVar(&o.deep, "deep", 8, "of the states, let berth go on from each `N`th")
	f.IntVar(&o.limit, "limit", 0, "look at `N` states, spread over all; 0 is all")
	f.Uint64Var(&o.seed, "seed", 1, "of the choice of writes")
	if err := f.Parse(args); err != nil {
		return err
	}
	args = f.Args()
	switch {
	case verb == "prepare" && len(args) == 1:
		return prepare(args[0], *fsType)
	case verb == "mark" && len(args) == 4:
		return mark(args[0], strings.Join(args[1:], " "))
	case verb == "ledger" && len(args) == 4:
		n, err := strconv.Atoi(args[3])
		if err != nil {
			return err
		}
		return ledger(record{device: args[0], name: args[1], file: args[2], synced: !*unsynced}, n)
	case verb == "torn" && len(args) == 2:
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		return torn(args[0], n)
	case verb == "replay" && len(args) == 3:
		o.dir, o.root, o.archive = args[0], args[1], args[2]
		return runReplay(o)
	}
	return errUsage
}
