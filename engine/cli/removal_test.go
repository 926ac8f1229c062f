package cli

import (
	"errors"
	"fmt"
	"testing"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/network"
	"github.com/berth-pods/berth/engine/store"
)

// TestRemovalStatus: each order of failures has the status of the gravest.
func TestRemovalStatus(t *testing.T) {
	none := []error{engine.ErrNoContainer, engine.ErrNoPod, fmt.Errorf("volume: %w", store.ErrNoVolume), network.ErrNone}
	used := []error{fmt.Errorf("%w: web", engine.ErrRunning), fmt.Errorf("volume: %w", &engine.VolumeUsedError{}), fmt.Errorf("network %w by", errNetworkUsed)}
	other := errors.New("input/output error")
	if err := removed(nil, nil); err != nil {
		t.Error(err)
	}
	status := func(errs ...error) int {
		var exit *ExitError
		if !errors.As(removed(errs...), &exit) {
			t.Fatalf("%v: no status", errs)
		}
		return exit.Code
	}
	for _, n := range none {
		for _, u := range used {
			for want, errs := range map[int][]error{1: {n, nil}, 2: {u}, 125: {other}} {
				if got := status(errs...); got != want {
					t.Errorf("%v: %d, want %d", errs, got, want)
				}
			}
			for _, errs := range [][]error{{n, u}, {u, n}, {n, nil, n, u}, {errors.Join(n, u)}} {
				if got := status(errs...); got != 2 {
					t.Errorf("%v: %d, want 2", errs, got)
				}
			}
			for _, errs := range [][]error{{n, other}, {other, n}, {u, other, n}, {errors.Join(other, u), n}} {
				if got := status(errs...); got != 125 {
					t.Errorf("%v: %d, want 125", errs, got)
				}
			}
		}
	}
}
