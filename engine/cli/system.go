package cli

import (
	"context"
	"errors"
)

func systemVerb() Verb {
	events, info := eventsVerb(), infoVerb()
	events.Name, info.Name = "system events", "system info"
	return Verb{
		Name: "system", Usage: "COMMAND", Summary: "look at all of berth at once, and clean up",
		Sub: []Verb{systemDfVerb(), events, info, systemPruneVerb(), systemResetVerb()},
		Run: func(context.Context, *Env, []string) error {
			return errors.New("name a command: `berth system --help` lists them")
		},
	}
}
