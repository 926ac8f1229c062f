package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-pods/berth/engine/keeper"
	"github.com/berth-pods/berth/engine/spec"
)

// prepareHealth works out how the container is to be probed, and writes the processes that the keeper will let the runtime
// add to it.
func (e *Engine) prepareHealth(s *State, image Image, config *specs.Spec) error {
	var err error
	if s.Health, err = spec.ParseHealth(s.Container.HealthFlags, image.Config.Health); err != nil {
		return err
	}
	h := s.Health
	if h == nil {
		if s.Container.SDNotify == "healthy" {
			return errors.New("the container is to be ready when it is healthy (Notify=healthy), but has no health check; set HealthCmd=")
		}
		return nil
	}
	dir := e.Dirs.Container(s.ID)
	// What was found out when the container ran before says nothing now.
	if err := os.RemoveAll(filepath.Join(dir, keeper.HealthFile)); err != nil {
		return err
	}
	s.probing = &keeper.Health{
		Runtime: e.Runtime.Words(Bundle{Dir: dir, Cgroup: s.Cgroup != "", RuntimeRoot: e.Dirs.runtimeRoot()}), Cgroup: s.Cgroup, Dir: dir,
		LogDir: h.LogDir, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries, OnFailure: h.OnFailure,
		LogCount: h.LogCount, LogSize: h.LogSize, Fast: s.Container.SDNotify == "healthy",
	}
	if err := e.writeProbe(*s, config, keeper.HealthProcess, h.Command); err != nil {
		return err
	}
	if h.Startup == nil {
		return nil
	}
	s.probing.Startup = &keeper.Startup{
		Interval: h.Startup.Interval, Timeout: h.Startup.Timeout, Retries: h.Startup.Retries, Success: h.Startup.Success,
	}
	return e.writeProbe(*s, config, keeper.StartupProcess, h.Startup.Command)
}

func (e *Engine) writeProbe(s State, config *specs.Spec, file string, command []string) error {
	process, err := spec.Exec(spec.ExecInput{
		Options: spec.ExecOptions{Command: command}, Container: s.Container, Base: *config.Process, Host: e.Host.Environment,
	})
	if err != nil {
		return fmt.Errorf("health check: %w", err)
	}
	data, err := json.Marshal(process)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(e.Dirs.Container(s.ID), file), data, 0o600)
}

// awaitHealthy tells systemd that the service is ready when the first probe has succeeded.
func (e *Engine) awaitHealthy(ctx context.Context, s State) error {
	if s.Container.SDNotify != "healthy" {
		return nil
	}
	err := s.output.keeping.AwaitHealthy(ctx, s.ID)
	for try := 0; errors.Is(err, keeper.ErrLost) && try < 10; try++ {
		if err = s.output.again(ctx, err); err == nil {
			err = s.output.keeping.AwaitHealthy(ctx, s.ID)
		}
	}
	if err == nil {
		err = e.Manager.Notify("READY=1")
	}
	if err != nil {
		return fmt.Errorf("wait until container %q is healthy: %w", s.Name, err)
	}
	return nil
}
