package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/proc"
)

// DefaultStopTimeout is how long a container may take to end after its stop signal before it is killed.
const DefaultStopTimeout = 10 * time.Second

// RemoveOptions say how far Remove goes.
type RemoveOptions struct {
	Force   bool           // stop a running container first
	Ignore  bool           // no container of that name: no error
	Volumes bool           // remove its anonymous volumes too; those of a container with --rm go in any case
	Timeout *time.Duration // instead of the container's own; negative waits without limit
	Exit    *Exit          // how it has ended, when that is known
	Returns bool           // its unit runs it again: its state stays until then, without anything that it had
	// Spare tells that the container is not the one that was meant, and stays. It is asked whenever the container was waited for: more
	// is known of it then. nil spares none.
	Spare func(State) bool
}

// Spares tells whether the container is one that stays.
func (o RemoveOptions) Spares(s State) bool { return o.Spare != nil && o.Spare(s) }

// ErrRunning says that a container runs and was not to be stopped.
var ErrRunning = errors.New("container is running")

// errOver says that nothing is left to be removed of the container that was meant.
var errOver = errors.New("container has gone meanwhile")

// Remove stops the container and takes away everything it had. It may be called at any moment, again and again, also
// after a Run or a Remove that was killed half-way. Who makes or starts the container right now is waited for.
func (e *Engine) Remove(ctx context.Context, nameOrID string, o RemoveOptions) error {
	s, err := e.stopped(ctx, nameOrID, o)
	if errors.Is(err, errOver) || errors.Is(err, ErrNoContainer) && o.Ignore {
		return nil
	}
	if err != nil {
		return err
	}
	defer s.unlock()
	defer s.netns.Close() // nil is no error
	if s.stays = o.Returns; s.stays && s.Exit != nil {
		return nil // it has been put away
	}
	if err := e.remove(ctx, s, o.Volumes || s.Container.Remove); err != nil {
		return err
	}
	if s.stays {
		exit := s
		exit.Exit, exit.Finished = o.Exit, time.Now().UTC()
		if err := e.Dirs.save(exit); err != nil {
			return err
		}
	}
	if s.Started.IsZero() || s.Exit != nil { // there was no end, or it has been told
		e.tell(s, "remove")
	} else {
		e.tellEnd(s, o.Exit, "remove")
	}
	return nil
}

// stopped finds a container, stops it as far as the options allow, and locks it: who wants to start it finds it gone then.
func (e *Engine) stopped(ctx context.Context, nameOrID string, o RemoveOptions) (State, error) {
	find := e.Dirs.Find
	if o.Ignore {
		find = e.Dirs.FindSurely
	}
	s, err := find(nameOrID)
	if errors.Is(err, ErrDamaged) && s.ID != "" {
		return e.damaged(ctx, s)
	}
	for err == nil {
		if o.Spares(s) {
			return s, errOver
		}
		// A handle on the network namespace keeps it until its rules are taken away.
		ns, _ := s.Init.OpenNamespace("net")
		var grace time.Duration
		if s.Running() { // then nobody makes it, and a stop that was hurried goes on
			grace = removeGrace
		}
		if err = e.Stop(ctx, s, o); err == nil {
			patience, cancel := outlast(ctx, grace)
			s, err = e.Dirs.await(patience, s.ID, e.Warn)
			cancel()
			if errors.Is(err, ErrNoContainer) { // who has seen its end has removed it
				err = errOver
			}
		}
		if err == nil && !s.Running() && !o.Spares(s) {
			if ns != nil {
				s.netns, s.Network.NetNS = ns, handlePath(ns)
			}
			return s, nil
		}
		ns.Close() // nil is no error
		s.unlock() // it has been started meanwhile, or there is an error
	}
	return s, err
}

// damaged locks a container that does not run and whose record cannot be read: what is found by its ID can be removed.
func (e *Engine) damaged(ctx context.Context, s State) (State, error) {
	now, err := e.Dirs.await(ctx, s.ID, e.Warn)
	now.Name = cmp.Or(now.Name, s.Name)
	switch {
	case errors.Is(err, ErrDamaged) && now.ID != "":
		fmt.Fprintf(e.Warn, "%v; volumes without a name, and the file with its ID, stay if it had any\n", err)
		return now, nil
	case errors.Is(err, ErrNoContainer):
		err = errOver
	case err == nil:
		err = fmt.Errorf("the record of container %s has been written anew meanwhile; try again", s.ID[:12])
	}
	now.unlock()
	return now, err
}

// removeGrace is how long a removal that was interrupted waits for others who are at what the container has left.
const removeGrace = 3 * time.Second

// outlast returns a context that is done when ctx has been done for this long. The function frees what it holds.
func outlast(ctx context.Context, grace time.Duration) (context.Context, func()) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return longer, func() {
		stop()
		cancel()
	}
}

// Stop ends a running container, as far as the options allow. For a user it must be called outside of any user namespace:
// the user may signal all processes of the namespaces that are the user's own, but the root of one of them may signal
// none of another's (user_namespaces(7)).
func (e *Engine) Stop(ctx context.Context, s State, o RemoveOptions) error {
	if !s.Running() {
		return nil
	}
	if !o.Force {
		return fmt.Errorf("%w: %q; stop it first, or use --force", ErrRunning, s.Name)
	}
	timeout := s.StopTime
	if o.Timeout != nil {
		timeout = *o.Timeout
	}
	e.awaitStart(ctx, s)
	return e.stop(ctx, s, timeout)
}

// startGrace is how long a start may take to let the program run after systemd was told that the container is there.
const startGrace = 10 * time.Second

// awaitStart waits for who starts the container right now: its program is not there yet, and the first process of a PID namespace hears no
// signal that it has no handler for (pid_namespaces(7)). Who has it in hand for longer does something else.
func (e *Engine) awaitStart(ctx context.Context, s State) {
	ctx, cancel := context.WithTimeout(ctx, startGrace)
	defer cancel()
	_, _ = e.Dirs.Await(ctx, s.ID, e.Warn) // the process itself tells what has become of it
}

// stop sends the stop signal and waits for the end; after timeout, or when ctx is done, it kills.
func (e *Engine) stop(ctx context.Context, s State, timeout time.Duration) error {
	pidfd, err := s.Init.Open()
	if errors.Is(err, proc.ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer pidfd.Close()
	sig := unix.SIGTERM
	if s.StopSig != "" {
		if sig, err = proc.ParseSignal(s.StopSig); err != nil {
			return err
		}
	}
	if err := proc.Signal(pidfd, sig); err != nil {
		return fmt.Errorf("stop container %q: %w", s.Name, err)
	}
	if s.Cgroup != "" { // one that is frozen hears nothing
		if err := e.Cgroups.Thaw(s.Cgroup); err != nil {
			fmt.Fprintf(e.Warn, "container %q stays frozen: %v\n", s.Name, err)
		}
	}
	defer e.tell(s, "stop")
	ended, err := proc.Wait(ctx, pidfd, timeout)
	if ended {
		return nil
	}
	if err == nil {
		fmt.Fprintf(e.Warn, "container %q did not end within %s after %s: killing it\n", s.Name, timeout, proc.SignalName(sig))
	}
	if err := proc.Signal(pidfd, unix.SIGKILL); err != nil {
		return fmt.Errorf("kill container %q: %w", s.Name, err)
	}
	_, err = proc.Wait(context.WithoutCancel(ctx), pidfd, -1)
	return err
}

// remove takes away what a container that no longer runs has left. It goes on after an error, and keeps the state file
// as long as something is left that another try could take away.
func (e *Engine) remove(ctx context.Context, s State, volumes bool) error {
	errs := []error{e.loosen(ctx, s)}
	if volumes {
		errs = append(errs, e.removeAnonymous(s))
	}
	if err := errors.Join(errs...); s.atRest && err != nil { // the record, which another try needs, goes with the layer
		return err
	}
	if !s.Container.Rootfs {
		if err := e.Store.Remove(s.ID); err != nil {
			errs = append(errs, fmt.Errorf("file system of %q: %w", s.Name, err))
		} else {
			errs = append(errs, e.Dirs.forget(s.ID))
		}
	}
	errs = append(errs, e.releaseIDs(s), e.releaseLevel(s.ID))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := removeID(s); err != nil {
		fmt.Fprintf(e.Warn, "the file with the ID of container %q stays: %v\n", s.Name, err)
	}
	if s.stays {
		return nil
	}
	if err := e.Dirs.release(s); err != nil {
		return err
	}
	if s.Container.RemoveImage && s.ImageID != "" {
		if err := e.RemoveImage(ctx, s.ImageID); err != nil {
			fmt.Fprintf(e.Warn, "the image of container %q stays: %v\n", s.Name, err)
		}
	}
	return nil
}

// loosen ends what is left of a container's processes and takes its connections away: all that it had while it ran.
func (e *Engine) loosen(ctx context.Context, s State) error {
	var errs []error
	if err := e.end(ctx, s); err != nil {
		errs = append(errs, fmt.Errorf("processes of %q: %w", s.Name, err))
	}
	if s.Networked {
		if err := e.Network.Teardown(ctx, s.Network); err != nil {
			errs = append(errs, fmt.Errorf("network of %q: %w", s.Name, err))
		}
	}
	errs = append(errs, e.removeImageMounts(s), e.releaseLayers(s))
	return errors.Join(errs...)
}

// end kills what is left of the container's processes. With PID 1 the kernel kills all others of its PID namespace, and
// the mounts go with them; the runtime's own state lies in the container's directory. So the runtime need not be called.
func (e *Engine) end(ctx context.Context, s State) error {
	pidfd, err := s.Init.Open()
	if err == nil {
		defer pidfd.Close()
		if err := proc.Signal(pidfd, unix.SIGKILL); err != nil {
			return err
		}
		if _, err := proc.Wait(ctx, pidfd, -1); err != nil {
			return err
		}
	}
	if err != nil && !errors.Is(err, proc.ErrGone) {
		return err
	}
	group := s.Cgroup
	if s.cgroupInside != "" { // this thread is the one that Run divided the group on
		group = s.cgroupInside
	}
	if group == "" {
		return nil
	}
	return e.Cgroups.Remove(ctx, group)
}
