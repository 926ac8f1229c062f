package cli

import (
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/engine/tty"
)

// streams are what a container in the foreground can be connected with.
var streams = []string{"stdin", "stdout", "stderr"}

// checkTerminal refuses what does not go together.
func checkTerminal(c spec.Container) error {
	for _, s := range c.Attach {
		if !slices.Contains(streams, s) {
			return fmt.Errorf("--attach=%s: known are stdin, stdout, stderr", s)
		}
	}
	if len(c.Attach) > 0 && c.Detach && os.Getenv("NOTIFY_SOCKET") == "" { // in a unit the two are of different berths
		return fmt.Errorf("--attach and --detach exclude each other")
	}
	if c.TTY && c.LogDriver == spec.LogPassthrough {
		return fmt.Errorf("--tty and --log-driver=%s exclude each other: the output is the terminal's", c.LogDriver)
	}
	if c.DetachKeys != nil {
		if _, err := tty.ParseDetachKeys(*c.DetachKeys); err != nil {
			return fmt.Errorf("--detach-keys: %w", err)
		}
	}
	return nil
}

// screen is the terminal of the caller, nil where there is none.
func screen() *os.File {
	for _, f := range []*os.File{os.Stdin, os.Stdout, os.Stderr} {
		if tty.Is(f) {
			return f
		}
	}
	return nil
}

// showTerminal connects the caller with the container's terminal, if it has one. The function that it returns waits for the end
// of the output, and gives the caller's terminal its settings back.
func showTerminal(s engine.State) (wait func()) {
	master := s.Terminal()
	if master == nil {
		return func() {}
	}
	session := tty.Session{Out: io.Discard, Screen: screen(), Master: master}
	if s.Container.Attached("stdout") || s.Container.Attached("stderr") {
		session.Out = os.Stdout
	}
	if s.Container.Interactive && s.Container.Attached("stdin") {
		session.In = os.Stdin
	}
	done := make(chan struct{})
	go func() {
		if err := session.Run(); err != nil {
			fmt.Fprintf(os.Stderr, "terminal of container %q: %v\n", s.Name, err)
		}
		close(done)
	}()
	return func() {
		<-done // with the last process of the container the kernel ends the output
		master.Close()
	}
}
