package engine

import (
	"cmp"
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
	stdout, stderr *os.File   // the container's
	stdin          *os.File   // nil: nothing, or the caller's
	pipes          []*os.File // for the keeper, and what they are
	streams        []keeper.Stream
	record         keeper.Record
	keeping        Keeping
	guards         bool // and nothing is to be kept
	dial           func() (Keeping, error)
	own            []*os.File // to be closed
	outlets        outlets    // into the caller's files
}

// Written waits, when a container that was run in the foreground has ended, until what it has written is in the caller's files. Their
// errors are its own.
func (s State) Written() error {
	if s.output == nil {
		return nil
	}
	return s.output.outlets.finish()
}

// chooseLog decides where the output is kept. The record says it from the first: nobody may see the container's end.
func (e *Engine) chooseLog(s *State) (err error) {
	s.Log, err = spec.ParseLog(s.Container, spec.LogFacts{ID: s.ID, Name: s.Name, Image: s.Image, ImageID: s.ImageID})
	if err == nil && s.Log.Driver == spec.LogK8sFile && s.Log.Path == "" {
		s.Log.Path = filepath.Join(e.Logs(s.ID), "ctr.log")
	}
	return err
}

// openOutput decides where the output goes, and connects to the keeper when it is to be kept.
func (e *Engine) openOutput(s *State) (*output, error) {
	var err error
	o := &output{stdout: os.Stdout, stderr: os.Stderr, dial: e.Keeper}
	if err := e.refuseGuest(*s); err != nil {
		return nil, err
	}
	piped := e.pipes(*s)
	if s.Container.TTY && s.Container.Detach && !piped {
		return nil, errors.New("a terminal in a unit needs the keeper of the manager whose unit it is")
	}
	if s.Log.Driver == spec.LogNone && !piped && s.Container.Detach { // else the caller sees it
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		o.stdout, o.stderr, o.own = null, null, []*os.File{null}
	}
	if !piped && s.notify == nil && s.Health == nil {
		if e.Keeper != nil && s.Container.SDNotify != "ignore" && e.Host.Environment["NOTIFY_SOCKET"] != "" {
			o.keeping, err = o.dial()
			o.guards = err == nil // where there is no keeper it starts without
		}
		return o, nil
	}
	if e.Keeper == nil {
		return nil, errors.New("a health check, and Notify=yes, need the keeper")
	}
	if s.Log.Driver == spec.LogK8sFile && filepath.Dir(s.Log.Path) == e.Logs(s.ID) {
		if err := os.MkdirAll(filepath.Dir(s.Log.Path), 0o700); err != nil {
			return nil, fmt.Errorf("directory of the log file: %w", err)
		}
	}
	o.keeping, err = o.dial()
	switch {
	case errors.Is(err, keeper.ErrNone) && s.Log.Driver == spec.LogJournald && s.Health == nil && s.notify == nil && !s.connectable():
		fmt.Fprintf(e.Warn, "container %q: its output is the journal's socket, which cannot be opened as /dev/stdout: %v; %s helps\n", s.Name, err, e.keeperHint())
		return o, nil
	case err != nil && s.Health != nil:
		return nil, fmt.Errorf("health check: %w; %s helps", err, e.keeperHint())
	case err != nil && s.notify != nil:
		return nil, fmt.Errorf("Notify=yes: %w; %s helps", err, e.keeperHint())
	case err != nil:
		return nil, fmt.Errorf("log driver %s: %w; %s helps", s.Log.Driver, err, e.keeperHint())
	}
	if s.notify != nil {
		o.pipes, o.streams = []*os.File{s.notify}, []keeper.Stream{{Name: "notify"}}
	}
	if !piped {
		return o, nil
	}
	s.Kept = true
	if s.Container.TTY {
		return o, nil // the runtime makes it
	}
	return o, o.pipe(s.connectable())
}

// connectable tells whether people can be connected with what a container in a unit reads, by the keeper.
func (s *State) connectable() bool {
	return s.Container.Detach && (s.Container.TTY || s.Container.Interactive)
}

// keeperHint says how a keeper that is not there comes to be there. Of one that runs already systemd opens no other socket.
func (e *Engine) keeperHint() string {
	if e.Host.Service {
		return "`systemctl restart berth-keeper.service`, by root,"
	}
	return "`systemctl start berth-keeper.socket`"
}

// refuseGuest refuses what the system's keeper does not do for a user.
func (e *Engine) refuseGuest(s State) error {
	const instead = "; where that is needed, put the file into the user's own unit directory, and let his manager run it"
	switch {
	case !e.Host.Service || !s.Container.Detach || s.Unit == "":
		return nil
	case s.Log.Driver == spec.LogK8sFile:
		return errors.New("a unit of the system's with User= writes to the journal: leave LogDriver= out" + instead)
	case s.connectable():
		return errors.New("a unit of the system's with User= can have no terminal and no standard input" + instead)
	}
	return nil
}

// pipes reports whether the keeper reads the container's output. In the foreground the output is the caller's. A user's
// keeper can write into the journal of the user's own units only: one that the system's manager runs for a user, with the
// state of the user's session, keeps the journal's socket.
func (e *Engine) pipes(s State) bool {
	here := s.Container.Detach && s.Unit != "" && (!e.Host.Rootless || e.Host.Service || strings.Contains(e.Host.Cgroup, "/user@"))
	switch {
	case e.Keeper == nil, s.Container.TTY && !s.Container.Detach:
		return false
	case s.Log.Driver == spec.LogK8sFile:
		return true
	case s.Log.Driver == spec.LogNone:
		return here && s.connectable()
	}
	return s.Log.Driver == spec.LogJournald && here
}

// pipe makes the pipes, one for the standard input too where that is wanted. They block, as programs expect.
func (o *output) pipe(input bool) error {
	ends := []struct {
		name  string
		place **os.File
	}{{"stdout", &o.stdout}, {"stderr", &o.stderr}, {"stdin", &o.stdin}}
	if !input {
		ends = ends[:2]
	}
	for _, end := range ends {
		var fds [2]int
		if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
			return fmt.Errorf("pipe for the container's output: %w", err)
		}
		ours, its := os.NewFile(uintptr(fds[0]), end.name), os.NewFile(uintptr(fds[1]), end.name)
		if end.name == "stdin" {
			ours, its = its, ours
		}
		*end.place, o.pipes, o.own = its, append(o.pipes, ours), append(o.own, ours, its)
		o.streams = append(o.streams, keeper.Stream{Name: end.name})
	}
	return nil
}

// addTerminal is pipe for a container with a terminal, which is there once the runtime has made the container.
func (o *output) addTerminal(master *os.File) {
	o.pipes, o.own = append(o.pipes, master), append(o.own, master)
	o.streams = append(o.streams, keeper.Stream{Name: "terminal"})
}

// hand sends the pipes to the keeper. wait must be called before the container's program runs.
func (o *output) hand(s State, host Host) error {
	if o.keeping == nil {
		return nil
	}
	if o.guards {
		_ = o.keeping.Guard(s.Init.PID, s.Init.Start)
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
		Driver: s.Log.Driver, Identifier: identifier, Tag: s.Log.Tag, Fields: s.Log.Fields, Namespace: host.Journal,
		Path: s.Log.Path, MaxSize: s.Log.MaxSize, Health: s.probing, Notify: host.Environment["NOTIFY_SOCKET"], Userns: host.Rootless, Guard: true,
	}
	o.record.Streams, o.record.Pasta = o.streams, pasta(cmp.Or(s.NetFiles, s.Network.Dir))
	if err := o.keeping.Keep(o.record, o.pipes...); err != nil && !errors.Is(err, keeper.ErrLost) {
		return err
	}
	return nil
}

// wait returns when the pipes are safe with the keeper, or with the next one if it has ended meanwhile.
func (o *output) wait(ctx context.Context) error {
	if o.keeping == nil || o.guards {
		return nil
	}
	return o.again(ctx, o.keeping.Wait(ctx))
}

// started releases the keeper from killing the container if we are killed. One that has been killed itself does not care, and the next
// one, to which the record may be handed again, need not be told.
func (o *output) started() {
	if o.keeping != nil {
		_ = o.keeping.Started()
		o.record.Guard = false
	}
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

// KeepTerminal has the keeper hold the terminal of a command, or the next one if it ends meanwhile, and lets go of the keeper.
func (e *Engine) KeepTerminal(ctx context.Context, keeping Keeping, r keeper.Record, terminal *os.File) error {
	o := output{dial: e.Keeper, keeping: keeping, record: r, pipes: []*os.File{terminal}}
	defer o.close()
	err := keeping.Keep(r, terminal)
	if err == nil {
		err = keeping.Wait(ctx)
	}
	return o.again(ctx, err)
}

// close lets go of everything: the container and the keeper have their own handles.
func (o *output) close() {
	if o == nil {
		return
	}
	for _, f := range o.own {
		f.Close()
	}
	o.outlets.handed()
	if o.keeping != nil {
		o.keeping.Close()
	}
}
