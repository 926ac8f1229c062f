package cli

func systemVerb() Verb {
	events, info := eventsVerb(), infoVerb()
	events.Name, info.Name = "system events", "system info"
	return Verb{
		Name: "system", Usage: "COMMAND", Summary: "look at all of berth at once, and clean up",
		Sub: []Verb{systemDfVerb(), events, info, systemPruneVerb(), systemResetVerb()},
	}
}
