// Command berth-keeper reads what containers write and hands it on to the journal or to files. The service manager starts it
// through its socket, one for the system and one for each user; nobody else calls it.
//
// One thread does nearly all the work, so the runtime need not watch the limits of its control group, for which it would keep a
// file open in some groups and not in others (package runtime, GOMAXPROCS).
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/keeper"
)

func main() {
	// It works in one goroutine, but for what has to be waited for, and lives in a few megabytes: a small heap, collected often, and one thread for Go code.
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(6 << 20)
	runtime.GOMAXPROCS(1)
	work := run
	if len(os.Args) > 1 {
		work = func() error { return keeper.Errand(os.Args[1:]) }
	}
	if err := work(); err != nil {
		fmt.Fprintln(os.Stderr, "berth-keeper:", err)
		os.Exit(1)
	}
}

func run() error {
	listener, guests, stored, err := given()
	if err != nil {
		return err
	}
	k, err := keeper.New(listener)
	if err != nil {
		return err
	}
	k.Notify = keeper.Notifier{Socket: os.Getenv("NOTIFY_SOCKET")}
	if usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64); err == nil {
		k.Alive = time.Duration(usec) * time.Microsecond / 4
	}
	k.User = os.Getuid() != 0
	k.Warn = os.Stderr
	if k.Self, err = os.Executable(); err != nil {
		return err
	}
	k.Self = strings.TrimSuffix(k.Self, " (deleted)") // a newer one has been installed
	if guests > 0 {
		if err := k.Admit(guests); err != nil {
			return err
		}
	}
	k.Prepare()
	k.Restore(stored)
	if err := k.Notify.Ready(); err != nil {
		return err
	}
	return k.Run()
}

// given sorts the descriptors that the service manager has passed on (sd_listen_fds_with_names(3)).
func given() (listener, guests int, stored map[string][]int, err error) {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return 0, 0, nil, errors.New("no socket; systemd starts this program, through berth-keeper.socket")
	}
	count, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil {
		return 0, 0, nil, fmt.Errorf("LISTEN_FDS: %w", err)
	}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	stored = map[string][]int{}
	for i := range count {
		fd := 3 + i
		unix.CloseOnExec(fd)
		name := ""
		if i < len(names) {
			name = names[i]
		}
		switch name {
		case "berth-keeper.socket":
			listener = fd
		case "berth-keeper-users.socket":
			guests = fd
		default:
			stored[name] = append(stored[name], fd)
		}
	}
	if listener == 0 {
		return 0, 0, nil, errors.New("no socket; systemd starts this program, through berth-keeper.socket")
	}
	return listener, guests, stored, nil
}
