package proc

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ParseSignal reads a signal's number or name, with or without SIG, in any case; RTMIN+N too.
func ParseSignal(s string) (unix.Signal, error) {
	if n, err := strconv.Atoi(s); err == nil {
		if n < 1 || n > 64 {
			return 0, fmt.Errorf("signal %d is not from 1 to 64", n)
		}
		return unix.Signal(n), nil
	}
	name := strings.ToUpper(s)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if sig := unix.SignalNum(name); sig != 0 {
		return sig, nil
	}
	if n, ok := realTime(name); ok {
		return n, nil
	}
	return 0, fmt.Errorf("unknown signal %q; `kill -l` lists the names", s)
}

// realTime reads SIGRTMIN, SIGRTMIN+N, SIGRTMAX and SIGRTMAX-N. The C library keeps 32 and 33 to itself (signal(7)).
func realTime(name string) (unix.Signal, bool) {
	rest, up := strings.CutPrefix(name, "SIGRTMIN")
	rest, down := strings.CutPrefix(rest, "SIGRTMAX")
	offset := 0
	if rest != "" {
		n, err := strconv.ParseUint(rest[1:], 10, 8)
		if err != nil || n > 30 || up && rest[0] != '+' || down && rest[0] != '-' {
			return 0, false
		}
		offset = int(n)
	}
	switch {
	case up:
		return unix.Signal(firstRealTime + offset), true
	case down:
		return unix.Signal(64 - offset), true
	}
	return 0, false
}

// SignalName names a signal so that ParseSignal reads it back.
func SignalName(sig unix.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return strconv.Itoa(int(sig))
}

// Passed are the signals that a process hands on to the one that it stands for: all that somebody may send it. Left out are
// those that cannot be caught, those that the kernel sends about the process itself, and those of job control.
func Passed() []os.Signal {
	list := []os.Signal{
		unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGABRT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGTERM, unix.SIGIO, unix.SIGPWR,
	}
	for n := firstRealTime; n <= 64; n++ {
		list = append(list, unix.Signal(n))
	}
	return list
}

// Catch hands out what Passed lists, from now on until signal.Stop. Go makes ready for one signal after another in a goroutine that has a
// thread to itself: where the caller's has one too, each would be four changes of threads instead of two.
func Catch() chan os.Signal {
	signals := make(chan os.Signal, 16)
	caught := make(chan struct{})
	go func() {
		signal.Notify(signals, Passed()...)
		close(caught)
	}()
	<-caught
	return signals
}

// firstRealTime is SIGRTMIN of the C library.
const firstRealTime = 34
