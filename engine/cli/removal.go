package cli

import (
	"errors"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/network"
	"github.com/berth-pods/berth/engine/store"
)

// Podman's exit statuses of commands that remove things.
const (
	statusNone = 1 // there is none of that name, and nothing else is wrong
	statusUsed = 2 // something runs, or is used
)

var errNetworkUsed = errors.New("is used")

// removed is the end of a command that has removed several things. The gravest failure is the status, whatever their order:
// a script that passes over a status of 1 must not pass over one of the others.
func removed(errs ...error) error {
	err := errors.Join(errs...)
	if err == nil {
		return nil
	}
	return &ExitError{Code: removalStatus(err), Err: err}
}

func removalStatus(err error) int {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		code := 0
		for _, err := range all.Unwrap() {
			code = max(code, removalStatus(err))
		}
		return code
	}
	for _, none := range []error{engine.ErrNoContainer, engine.ErrNoPod, store.ErrNoVolume, network.ErrNone} {
		if errors.Is(err, none) {
			return statusNone
		}
	}
	var volume *engine.VolumeUsedError
	if errors.Is(err, engine.ErrRunning) || errors.Is(err, errNetworkUsed) || errors.As(err, &volume) {
		return statusUsed
	}
	return statusFailed
}
