package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/sd"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/engine/tty"
)

// connect lets systemd start a container and is connected with it from its first word on, until its end or the detach keys.
func connect(ctx context.Context, env *Env, c spec.Container, id string, start func() error) error {
	l, err := linkOf(c, id)
	if err != nil {
		return err
	}
	l.waits = true
	if err := l.open(ctx); err != nil {
		return err
	}
	defer l.close()
	if err := start(); err != nil {
		return l.failed(ctx, env, err)
	}
	if err := l.await(ctx); err != nil {
		return err
	}
	s, err := runDirs().Find(id)
	if err != nil && !errors.Is(err, engine.ErrNoContainer) { // it may have ended
		return err
	}
	return l.run(ctx, env, s)
}

// startHeard lets systemd start a container, and says of a failure what its own berth has told the keeper. Where there is
// none, the unit's log has it.
func startHeard(ctx context.Context, env *Env, c spec.Container, id string, start func() error) error {
	l, err := linkOf(c, id)
	if err != nil {
		return err
	}
	l.waits, l.out = true, false
	if l.open(ctx) != nil {
		return start()
	}
	defer l.close()
	if err := start(); err != nil {
		return l.failed(ctx, env, err)
	}
	return nil
}

// detachKeys reads the keys that were given, or else those of containers.conf, or the usual ones.
func detachKeys(given *string) ([]byte, error) {
	conf, err := loadConfig()
	if err != nil {
		return nil, err
	}
	word := tty.DefaultDetachKeys
	for _, said := range []*string{conf.Engine.DetachKeys, given} {
		if said != nil {
			word = *said
		}
	}
	keys, err := tty.ParseDetachKeys(word)
	if err != nil {
		return nil, fmt.Errorf("--detach-keys: %w", err)
	}
	return keys, nil
}

// linkOf is the connection that a container's options ask for.
func linkOf(c spec.Container, id string) (*link, error) {
	keys, err := detachKeys(c.DetachKeys)
	if err != nil {
		return nil, err
	}
	l := &link{
		id: id, name: c.Name, keys: keys, proxy: c.SigProxy,
		out: c.Attached("stdout") || c.Attached("stderr"), input: c.Interactive && c.Attached("stdin"),
	}
	if l.name == "" {
		l.name = id[:12]
	}
	return l, nil
}

// failLimit is how long the keeper may take to hand on what a failed start has told it before the start ended.
const failLimit = 2 * time.Second

// failed says why a container has not started: as its own berth has told it, or else as systemd does.
func (l *link) failed(ctx context.Context, env *Env, err error) error {
	if ctx.Err() != nil { // nobody waits for it any more
		if s, findErr := runDirs().Find(l.id); findErr == nil && sd.IsService(s.Unit) {
			return errors.Join(err, sd.Stop(context.WithoutCancel(ctx), env.Run, userManaged(), s.Unit))
		}
		return err
	}
	var exit *ExitError
	if errors.As(err, &exit) {
		return err
	}
	defer time.AfterFunc(failLimit, func() { l.conn.Hangup() }).Stop()
	for {
		e, nextErr := l.conn.Next()
		switch {
		case nextErr != nil:
			return err
		case e.Ended != nil && e.Ended.Error != "":
			return &ExitError{Code: e.Ended.Code, Err: errors.New(e.Ended.Error)}
		}
	}
}
