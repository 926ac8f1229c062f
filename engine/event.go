package engine

import (
	"github.com/berth-pods/berth/engine/events"
	"github.com/berth-pods/berth/engine/spec"
)

// tell tells what has happened to a container: one entry of the journal for all that happened at once. It never waits, and
// nothing depends on it.
func (e *Engine) tell(s State, what ...string) { e.tellOf(s.event(what...)) }

// tellEnd tells that a container has ended, how if that is known, and what happened with its end.
func (e *Engine) tellEnd(s State, exit *Exit, also ...string) {
	event := s.event(append([]string{"died"}, also...)...)
	if exit != nil {
		event.ExitCode = &exit.Code
	}
	e.tellOf(event)
}

func (e *Engine) tellOf(event events.Event) {
	if e.Event != nil {
		e.Event(event)
	}
}

func (s State) event(what ...string) events.Event {
	return events.Event{Type: "container", What: what, ID: s.ID, Name: s.Name, Image: s.Image, Pod: s.Pod, Attributes: spec.Labels(s.Container.Labels)}
}

// Tell tells what a command, which needs no more of the engine, has done to a container.
func (s State) Tell(what string) { s.event(what).Send() }

func (p Pod) event(what string) events.Event {
	return events.Event{Type: "pod", What: []string{what}, ID: p.ID, Name: p.Name, Attributes: spec.Labels(p.Spec.Common.Labels)}
}

// TellCreated tells that a pod has been made.
func (p Pod) TellCreated() { p.event("create").Send() }
