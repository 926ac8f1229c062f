package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/keeper"
	"github.com/berth-pods/berth/engine/spec"
)

// output is where a container's stdout and stderr go. A pipe can be opened anew through /dev/stdout or /proc/self/fd/1, as
// images like nginx do; the socket of the journal that a unit has by itself cannot.
type output struct {
	stdout, stderr *os.File // the container's
	pipes          []*os.File
	record         keeper.Record
	keeping        Keeping
	dial           func() (Keeping, error)
	own            []*os.File // to be closed
}

// openOutput decides where the output goes, and connects to the keeper when it is to be kept.
func (e *Engine) openOutput(s *State) (*output, error) {
	var err error
	s.Log, err = spec.ParseLog(s.Container, spec.LogFacts{ID: s.ID, Name: s.Name, Image: s.Image, ImageID: s.ImageID})
	if err != nil {
		return nil, err
	}
	o := &output{stdout: os.Stdout, stderr: os.Stderr, dial: e.Keeper}
	switch {
	case s.Log.Driver == spec.LogNone:
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		o.stdout, o.stderr, o.own = null, null, []*os.File{null}
		return o, nil
	}
	piped := e.pipes(*s)
	if !piped && s.Health == nil {
		return o, nil
	}
	if e.Keeper == nil {
		return nil, errors.New("a health check needs the keeper")
	}
	if s.Log.Driver == spec.LogK8sFile && s.Log.Path == "" {
		s.Log.Path = filepath.Join(e.Logs(s.ID), "ctr.log")
		if err := os.MkdirAll(filepath.Dir(s.Log.Path), 0o700); err != nil {
			return nil, fmt.Errorf("directory of the log file: %w", err)
		}
	}
	o.keeping, err = o.dial()
	switch {
	case errors.Is(err, keeper.ErrNone) && s.Log.Driver == spec.LogJournald && s.Health == nil:
		fmt.Fprintf(e.Warn, "container %q: its output is the journal's socket, which cannot be opened as /dev/stdout: %v; `systemctl start berth-keeper.socket` helps\n", s.Name, err)
		return o, nil
	case err != nil && s.Health != nil:
		return nil, fmt.Errorf("health check: %w; `systemctl start berth-keeper.socket` helps", err)
	case err != nil:
		return nil, fmt.Errorf("log driver %s: %w; `systemctl start berth-keeper.socket` helps", s.Log.Driver, err)
	case !piped:
		return o, nil
	}
	s.Kept = true
	return o, o.pipe()
}

// pipes reports whether the keeper reads the container's output. In the foreground the output is the caller's. A user's
// keeper can write into the journal of the user's own units only: one that the system's manager runs for a user keeps the
// journal's socket.
func (e *Engine) pipes(s State) bool {
	switch {
	case e.Keeper == nil, s.Container.TTY:
		return false
	case s.Log.Driver == spec.LogK8sFile:
		return true
	}
	return s.Log.Driver == spec.LogJournald && s.Container.Detach && s.Unit != "" &&
		(!e.Host.Rootless || strings.Contains(e.Host.Cgroup, "/user@"))
}

// pipe makes the pipes. They block, as programs expect.
func (o *output) pipe() error {
	for _, end := range []**os.File{&o.stdout, &o.stderr} {
		var fds [2]int
		if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
			return fmt.Errorf("pipe for the container's output: %w", err)
		}
		r, w := os.NewFile(uintptr(fds[0]), "output"), os.NewFile(uintptr(fds[1]), "output")
		*end, o.pipes, o.own = w, append(o.pipes, r), append(o.own, r, w)
	}
	return nil
}

// hand sends the pipes to the keeper. wait must be called before the container's program runs.
func (o *output) hand(s State, namespace string, rootless bool) error {
	if o.keeping == nil {
		return nil
	}
	identifier := s.Log.Tag
	if identifier == "" {
		identifier = strings.TrimSuffix(s.Unit, ".service")
	}
	if identifier == "" {
		identifier = s.Name
	}
	o.record = keeper.Record{
		ID: s.ID, Name: s.Name, Image: s.Image, PID: s.Init.PID, Start: s.Init.Start, Unit: s.Unit,
		Driver: s.Log.Driver, Identifier: identifier, Tag: s.Log.Tag, Fields: s.Log.Fields, Namespace: namespace,
		Path: s.Log.Path, MaxSize: s.Log.MaxSize, Health: s.probing, Userns: rootless,
	}
	if len(o.pipes) > 0 {
		o.record.Streams = []keeper.Stream{{Name: "stdout"}, {Name: "stderr"}}
	}
	if err := o.keeping.Keep(o.record, o.pipes...); err != nil && !errors.Is(err, keeper.ErrLost) {
		return err
	}
	return nil
}

// wait returns when the pipes are safe with the keeper, or with the next one if it has ended meanwhile.
func (o *output) wait(ctx context.Context) error {
	if o.keeping == nil {
		return nil
	}
	return o.again(ctx, o.keeping.Wait(ctx))
}

// again hands the pipes to the next keeper when the one before has ended.
func (o *output) again(ctx context.Context, err error) error {
	for try := 0; errors.Is(err, keeper.ErrLost) && try < 10; try++ {
		if closeErr := o.keeping.Close(); closeErr != nil {
			return closeErr
		}
		if o.keeping, err = o.dial(); err != nil {
			o.keeping = nil
			return err
		}
		if err = o.keeping.Keep(o.record, o.pipes...); err == nil {
			err = o.keeping.Wait(ctx)
		}
	}
	return err
}

// close lets go of everything: the container and the keeper have their own handles.
func (o *output) close() {
	if o == nil {
		return
	}
	for _, f := range o.own {
		f.Close()
	}
	if o.keeping != nil {
		o.keeping.Close()
	}
}
