package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

// ErrIsRunning says that a container runs already.
var ErrIsRunning = errors.New("container runs already")

// Exit is how a container ended.
type Exit struct {
	Code  int    `json:"code"`
	OOM   bool   `json:"oom,omitempty"`
	Error string `json:"error,omitempty"` // why it could not start

	Restarts int `json:"restarts,omitempty"` // how often systemd had started it again by itself
}

// Create makes a container that Start can start: its writable layer and its record. Variables that are to be copied from
// the caller get their values now.
func (e *Engine) Create(ctx context.Context, c spec.Container) (State, error) {
	if !Outlives(c) {
		return State{}, errors.New("a container on a directory (--rootfs) or with a user namespace of its own cannot be made without starting it yet; `berth run` does both")
	}
	s, err := e.begin(ctx, c)
	if err != nil {
		return s, err
	}
	defer s.unlock()
	if err := e.makeKept(ctx, &s); err != nil {
		return s, errors.Join(err, e.remove(context.WithoutCancel(ctx), s, true))
	}
	e.tell(s, "create")
	return s, e.Dirs.release(s)
}

func (e *Engine) makeKept(ctx context.Context, s *State) error {
	image, err := e.image(ctx, s.Container)
	if err != nil {
		return err
	}
	s.makeOf(image)
	given, err := e.environment(s.Container)
	if err != nil {
		return err
	}
	s.Container.EnvFiles, s.Container.Environment = nil, withValues(given, e.Host.Environment)
	s.Container.Remove, s.Container.Replace, s.Unit, s.Maker = false, false, "", e.maker()
	args, err := spec.Args(s.Container, image.Config)
	if err != nil {
		return err
	}
	s.setCommand(args, image.Config)
	if err := errors.Join(e.label(s), e.memberIDs(ctx, s)); err != nil {
		return err
	}
	peers, err := e.lockPeers(ctx, *s)
	if err != nil {
		return err
	}
	defer peers.unlock()
	if _, _, err := e.chooseVolumes(s, image.Config); err != nil { // others may take them before it runs
		return err
	}
	if err := e.makeLayer(ctx, s, image, CreateOptions{IDs: s.fileIDs(), Label: s.Label}); err != nil {
		return err
	}
	// From here on the record tells what there is to know of it: one whose maker is killed is there as a whole.
	if err := os.Remove(e.Dirs.stateFile(s.ID)); err != nil {
		return err
	}
	if err := e.Dirs.keepNew(*s); err != nil {
		return err
	}
	return writeID(*s)
}

// withValues gives NAME the value that the caller has for it, if any. What ends in a * stays as it is.
func withValues(list []string, caller map[string]string) []string {
	var out []string
	for _, e := range list {
		if strings.Contains(e, "=") || strings.HasSuffix(e, "*") {
			out = append(out, e)
		} else if value, ok := caller[e]; ok {
			out = append(out, e+"="+value)
		}
	}
	return out
}

// Start starts a container that is kept, as Run does a new one. When it fails the container is there as before, and why is
// written down.
func (e *Engine) Start(ctx context.Context, s State) (State, error) {
	if s.Running() {
		return s, fmt.Errorf("%w: %q", ErrIsRunning, s.Name)
	}
	if err := s.Startable(); err != nil {
		return s, err
	}
	lock, err := e.Dirs.lockKept(s.ID) // somebody may start it as well, or be at its files
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := e.Dirs.Load(s.ID); err == nil {
			return s, unmade(s)
		}
		err = fmt.Errorf("%w any more", ErrNoContainer)
	}
	if err != nil {
		return s, fmt.Errorf("start container %q: %w", s.Name, err)
	}
	now, err := e.settle(ctx, s.ID)
	now.locks = []*os.File{lock}
	defer now.unlock()
	if err != nil {
		return s, err
	}
	now.Container.Detach, now.Container.Interactive = s.Container.Detach, s.Container.Interactive // as the caller wants it
	e.renew(&now)
	if lock, err = e.Dirs.reserve(now); err != nil {
		return s, err
	}
	now.locks = append(now.locks, lock)
	err = e.launch(ctx, &now, func(ctx context.Context, err error) error {
		exit := Exit{Code: StartCode(err), Error: err.Error()}
		if now.locks != nil {
			return e.putAway(ctx, now, exit)
		}
		return e.Cleanup(ctx, now, exit)
	})
	return now, err
}

// Startable says why a container cannot be started, or started again.
func (s State) Startable() error {
	switch {
	case s.Lasting():
		return nil
	case s.ImageID == "" && !s.Container.Remove && Outlives(s.Container):
		return unmade(s)
	}
	return fmt.Errorf("container %q goes with its end (--rm): it cannot be started again", s.Name)
}

func unmade(s State) error {
	return fmt.Errorf("container %q is not there as a whole: it is being made, or who made it was killed; `berth rm %s` removes what is left", s.Name, s.Name)
}

// renew makes the record of a container the state of a new run.
func (e *Engine) renew(s *State) {
	s.atRest = false
	s.Unit, s.Runtime, s.Existing = UnitOf(e.Host.Cgroup), e.RuntimeProgram, true
	s.Checked = false
	s.Init, s.Exit, s.Started, s.Finished = proc.ID{}, nil, time.Time{}, time.Time{}
	s.StopTime = s.Container.StopTimeout
	s.Network.Dir = e.Dirs.Container(s.ID)
}

// settle returns the record of a container that does not run, and takes away first what a berth that was killed has left in this
// boot. The caller has locked it.
func (e *Engine) settle(ctx context.Context, id string) (State, error) {
	now, err := e.Dirs.Load(id)
	switch {
	case err == nil && now.Running():
		return now, fmt.Errorf("%w: %q", ErrIsRunning, now.Name)
	case err == nil:
		err = e.putAway(ctx, now, Exit{Code: unknownExit})
	case errors.Is(err, ErrNoContainer):
		err = nil
	}
	if err != nil {
		return now, err
	}
	if now, err = e.Dirs.kept(id); err != nil {
		return now, err
	}
	return now, e.Dirs.clear(now)
}

// unknownExit stands for the end of a container that nobody has seen: the machine lost its power, say.
const unknownExit = 255

// StartCode is the exit status of a container that could not start: those that shells use for a command that cannot be run, and
// Podman's for other reasons.
func StartCode(err error) int {
	switch {
	case errors.Is(err, ErrCommandNotFound):
		return 127
	case errors.Is(err, ErrCommandNotRunnable), errors.Is(err, ErrNoUser):
		return 126
	}
	return 125
}

// Cleanup takes away what a container that has ended had while it ran, and writes down how it ended. What is not kept is
// removed, and so is what was killed before its layer was made. It may be called again and again; what another run of the container
// has by now is left alone.
func (e *Engine) Cleanup(ctx context.Context, s State, exit Exit) error {
	return e.afterRun(s, func(s State) error {
		whole := s.Lasting()
		if whole {
			var err error
			if whole, err = e.Dirs.hasRecord(s.ID); err != nil {
				return fmt.Errorf("put away container %q: %w", s.Name, err)
			}
		}
		if !whole {
			return e.removeEnded(ctx, s, exit)
		}
		return e.putAway(ctx, s, exit)
	})
}

// afterRun calls f with a container as it is now, locked, unless it has been put away since it was as s says, and started again, maybe.
func (e *Engine) afterRun(s State, f func(State) error) error {
	lock, err := e.Dirs.lockAny(s.ID)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // nothing of it is there any more
		return fmt.Errorf("put away container %q: %w", s.Name, err)
	}
	defer lock.Close() // nil is no error
	now, err := e.Dirs.Load(s.ID)
	if errors.Is(err, ErrNoContainer) && s.Lasting() && !s.Running() || err == nil && now.Init != s.Init {
		return nil
	}
	if err == nil { // renamed, updated or connected since it was started, maybe
		s = s.asIn(now)
	}
	return f(s)
}

// asIn is the container as it is now, for who has started it and knows where it is.
func (s State) asIn(now State) State {
	now.Network.NetNS, now.netns, now.cgroupInside = s.Network.NetNS, s.netns, s.cgroupInside
	return now
}

// removeEnded is Cleanup of what is not kept, by who has locked it.
func (e *Engine) removeEnded(ctx context.Context, s State, exit Exit) error {
	err := e.remove(ctx, s, !s.Lasting())
	if err == nil {
		e.tellEnd(s, &exit, "remove")
	}
	return err
}

// putAway is Cleanup of a container that is kept, by who has locked it. How it has ended is what the first one says, which may have been
// killed since.
func (e *Engine) putAway(ctx context.Context, s State, exit Exit) error {
	if s.Exit == nil {
		if !s.Started.IsZero() {
			e.tellEnd(s, &exit)
		}
		s.Exit, s.Finished = &exit, time.Now().UTC()
		_ = e.Dirs.save(s) // for the next one; the record gets it below
	}
	if err := e.loosen(ctx, s); err != nil {
		return err
	}
	if err := e.Dirs.keep(s); err != nil {
		return err
	}
	return e.Dirs.release(s)
}
