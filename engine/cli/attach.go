package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/keeper"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/tty"
)

type attachOptions struct {
	detachKeys        *string
	noStdin, sigProxy bool
	latest            bool
}

func (o *attachOptions) flags(set *pflag.FlagSet) {
	set.Var(optionalValue{&o.detachKeys}, "detach-keys", "`KEYS` that end the connection and let the container run on (default ctrl-p,ctrl-q); nothing for none")
	set.BoolVarP(&o.latest, "latest", "l", false, "the container that was made last")
	set.BoolVar(&o.noStdin, "no-stdin", false, "do not connect the standard input")
	set.BoolVar(&o.sigProxy, "sig-proxy", true, "hand signals on to the container")
}

func attachVerb() Verb {
	var o attachOptions
	return Verb{
		Name: "attach", Usage: "[OPTION…] CONTAINER", Summary: "connect with a container that runs in the background",
		Text: `Shows what the container prints from now on, and hands what is typed on to it when it has a terminal (--tty) or an open
standard input (--interactive). Any number may be attached. The container may also be named by its unit.

Who does not read is not waited for: the container and its log go on, and what was not shown is said.

Exit status: the container's own; 0 after the detach keys; 125 when berth could not do its work.`,
		Flags: o.flags, Run: runAttach,
	}
}

func runAttach(ctx context.Context, env *Env, args []string) error {
	var o attachOptions
	set := newFlagSet("attach")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	keys, err := detachKeys(o.detachKeys)
	if err != nil {
		return err
	}
	find := latestContainer
	if !o.latest {
		if set.NArg() != 1 {
			return errors.New("name one container")
		}
		find = func() (engine.State, error) { return findContainer(set.Arg(0)) }
	}
	s, err := find()
	if err != nil {
		return err
	}
	if !s.Running() {
		return fmt.Errorf("%w: %q; `berth start --attach %s` starts it", engine.ErrNotRunning, s.Name, s.Name)
	}
	l := link{id: s.ID, name: s.Name, out: true, input: !o.noStdin && s.Container.Interactive, keys: keys, proxy: o.sigProxy}
	return l.join(ctx, env, s)
}

// join connects with a container that runs.
func (l *link) join(ctx context.Context, env *Env, s engine.State) error {
	if err := l.open(ctx); err != nil {
		if errors.Is(err, keeper.ErrUnknown) {
			return fmt.Errorf("container %q cannot be attached to: it is in the foreground of another berth, or its output goes elsewhere (--log-driver=%s)", s.Name, s.Log.Driver)
		}
		return err
	}
	defer l.close()
	if err := l.await(ctx); err != nil {
		return err
	}
	return l.run(ctx, env, s)
}

// link is a connection with a container by way of the keeper.
type link struct {
	id, name string
	out      bool // show the output
	input    bool // hand on what is typed
	keys     []byte
	proxy    bool // hand signals on

	waits bool         // the container is about to be started
	mu    sync.Mutex   // of conn
	conn  *keeper.Conn // with the keeper that is there now
	begun keeper.Begun
	ended *keeper.Ended
	own   *os.File // the caller's terminal
}

// open connects with the container.
func (l *link) open(ctx context.Context) error {
	conn, err := keeper.Dial(keeperSocket())
	if err != nil {
		return fmt.Errorf("attach to container %q: %w; `systemctl start berth-keeper.socket` helps", l.name, err)
	}
	a := keeper.Attach{ID: l.id, Wait: l.waits, Silent: !l.out}
	if l.own = screen(); l.own != nil {
		if size, err := tty.SizeOf(l.own); err == nil {
			a.Rows, a.Columns = size.Rows, size.Columns
		}
	}
	if err := conn.Attach(ctx, a); err != nil {
		conn.Close()
		return fmt.Errorf("attach to container %q: %w", l.name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		l.conn.Close()
	}
	l.conn = conn
	return nil
}

// use does something with the connection. While there is none, for one keeper has ended and the next has not been found yet,
// it waits; Next notices that.
func (l *link) use(do func(*keeper.Conn) error) error {
	const pause, tries = 20 * time.Millisecond, 500
	for try := 0; ; try++ {
		l.mu.Lock()
		err := do(l.conn)
		l.mu.Unlock()
		if !errors.Is(err, keeper.ErrLost) || try == tries {
			return err
		}
		time.Sleep(pause)
	}
}

func (l *link) close() { l.conn.Close() }

// await returns when the container is there, or is known not to come.
func (l *link) await(ctx context.Context) error {
	e, err := l.conn.Next()
	for errors.Is(err, keeper.ErrLost) {
		if err = l.open(ctx); err == nil {
			e, err = l.conn.Next()
		}
	}
	switch {
	case err != nil:
		return err
	case e.Begun != nil:
		l.begun = *e.Begun
	case e.Ended != nil:
		l.ended = e.Ended
	}
	return nil
}

// run shows the container's output until its end, or until the detach keys are typed, and ends with its exit status.
func (l *link) run(ctx context.Context, env *Env, s engine.State) error {
	if l.ended != nil {
		return l.exit(ctx, env, s)
	}
	if l.proxy {
		defer proxySignals(s.Init)()
	} else {
		defer context.AfterFunc(ctx, func() { l.use((*keeper.Conn).Hangup) })()
	}
	session := tty.Session{Remote: &remote{l: l, ctx: ctx}, Out: io.Discard}
	if l.input && l.begun.Input {
		session.In = os.Stdin
		if l.begun.Terminal || tty.Is(os.Stdin) {
			session.DetachKeys = l.keys
		}
	}
	if l.begun.Terminal {
		session.Screen = l.own
	} else {
		session.Cooked = true
	}
	err := session.Run()
	switch {
	case errors.Is(err, tty.ErrDetached):
		return nil
	case err != nil && l.left(ctx):
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("container %q: %w", l.name, err)
	}
	return l.exit(ctx, env, s)
}

// left tells whether the caller has had enough. A signal that is handed on does not say so.
func (l *link) left(ctx context.Context) bool { return !l.proxy && ctx.Err() != nil }

// endLimit is how long the unit's last command may take to tell how the container has ended.
const endLimit = 10 * time.Second

// exit ends with the container's exit status.
func (l *link) exit(ctx context.Context, env *Env, s engine.State) error {
	if l.ended == nil {
		if pidfd, err := s.Init.Open(); err == nil { // its output has ended before it
			_, err := proc.Wait(ctx, pidfd, -1)
			pidfd.Close()
			if err != nil {
				return err
			}
		}
	}
	if !l.awaitEnd() { // by somebody else than the unit, or the keeper has been restarted in that moment
		code, err := exitOf(ctx, env, s, 20)
		if err == nil && code < 0 {
			return fmt.Errorf("container %q has ended; how is not known", l.name)
		}
		return exitWith(code, err)
	}
	if l.ended.Error != "" {
		return &ExitError{Code: l.ended.Code, Err: errors.New(l.ended.Error)}
	}
	return exitWith(l.ended.Code, nil)
}

// awaitEnd waits until the unit's last command has told how the container has ended; false when it does not.
func (l *link) awaitEnd() bool {
	defer time.AfterFunc(endLimit, func() { l.conn.Hangup() }).Stop()
	for l.ended == nil {
		e, err := l.conn.Next()
		if err != nil {
			return false
		}
		l.ended = e.Ended
	}
	return true
}

// proxySignals hands signals on to the container's PID 1, and to no later process with its number.
func proxySignals(init proc.ID) (stop func()) {
	pidfd, err := init.Open()
	if err != nil {
		return func() {}
	}
	signals := proc.Catch()
	go func() {
		for sig := range signals {
			proc.Signal(pidfd, sig.(syscall.Signal))
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		pidfd.Close()
	}
}

// remote is the link as a terminal's session sees it.
type remote struct {
	l   *link
	ctx context.Context
}

func (r *remote) Type(text []byte) error {
	return r.l.use(func(c *keeper.Conn) error { return c.Type(text) })
}

func (r *remote) Resize(z tty.Size) error {
	return r.l.use(func(c *keeper.Conn) error { return c.Resize(z.Rows, z.Columns) })
}

func (r *remote) End() error {
	if r.l.begun.Terminal {
		return r.Type([]byte{tty.EndOfFile})
	}
	return r.l.use((*keeper.Conn).CloseInput)
}

// Show writes what the container prints. The keeper may end and another take its place meanwhile.
func (r *remote) Show() error {
	out := newSpool()
	defer out.close()
	for {
		e, err := r.l.conn.Next()
		if errors.Is(err, keeper.ErrLost) && !r.l.left(r.ctx) {
			r.l.waits = false
			err = r.l.open(r.ctx)
			if errors.Is(err, keeper.ErrUnknown) {
				return nil // it has ended meanwhile
			}
			if err == nil {
				continue
			}
		}
		switch {
		case err != nil:
			return err
		case e.Stdout != nil:
			out.write(os.Stdout, e.Stdout)
		case e.Stderr != nil:
			out.write(os.Stderr, e.Stderr)
		case e.Lost > 0:
			out.write(os.Stderr, fmt.Appendf(nil, "\r\n[%d bytes are not shown: they were not read in time; the log has them]\r\n", e.Lost))
		case e.Ended != nil:
			r.l.ended = e.Ended
			return nil
		case e.Finished:
			return nil
		}
	}
}
