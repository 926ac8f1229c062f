package cli

import (
	"context"
	"errors"
	"time"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/keeper"
	"github.com/berth-pods/berth/engine/spec"
)

func inspectVerb() Verb {
	return Verb{
		Name: "inspect", Usage: "CONTAINER…", Summary: "show all that is known of containers, as JSON",
		Run: runInspect,
	}
}

// inspected has the names of Podman's `inspect`, as far as there is something to say.
type inspected struct {
	ID              string    `json:"Id"`
	Name            string    `json:"Name"`
	Created         time.Time `json:"Created"`
	Path            string    `json:"Path"`
	Args            []string  `json:"Args"`
	Image           string    `json:"Image"`
	ImageName       string    `json:"ImageName"`
	Unit            string    `json:"Unit"`
	State           inspectedState
	NetworkSettings inspectedNetwork
	Config          spec.Container
}

type inspectedState struct {
	Status  string
	Running bool
	Paused  bool
	Pid     int

	ExitCode   int
	OOMKilled  bool
	Error      string
	StartedAt  time.Time
	FinishedAt time.Time
	Health     *keeper.Verdict `json:",omitempty"`
}

type inspectedNetwork struct {
	Networks    []string
	IPAddresses []string
	Ports       []spec.PortMapping
}

func runInspect(_ context.Context, env *Env, args []string) error {
	set := newFlagSet("inspect")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() == 0 {
		return errors.New("no container is named")
	}
	list := []inspected{}
	var errs []error
	for _, name := range set.Args() {
		s, err := findContainer(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, inspectState(s))
	}
	return errors.Join(append(errs, printJSON(env.Out, list))...)
}

func inspectState(s engine.State) inspected {
	i := inspected{
		ID: s.ID, Name: s.Name, Created: s.Created, Image: s.ImageID, ImageName: s.Image, Unit: s.Unit,
		State:           inspectedState{Status: status(s), Running: s.Running(), Pid: s.Init.PID, Health: health(s)},
		NetworkSettings: inspectedNetwork{Networks: s.Network.Networks, IPAddresses: s.Addresses, Ports: s.Network.Publish},
		Config:          s.Container,
	}
	if len(s.Command) > 0 {
		i.Path, i.Args = s.Command[0], s.Command[1:]
	}
	if !i.State.Running {
		i.State.Pid = 0
	}
	i.State.Paused, i.State.ExitCode, i.State.StartedAt, i.State.FinishedAt = i.State.Status == "paused", exitCode(s), s.Started, s.Finished
	if s.Exit != nil {
		i.State.OOMKilled, i.State.Error = s.Exit.OOM, s.Exit.Error
	}
	return i
}
