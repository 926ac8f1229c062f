package cli

// verbs lists the commands in the order in which --help shows them.
func verbs() []Verb {
	return []Verb{
		runVerb(), rmVerb(), psVerb(), inspectVerb(), logsVerb(),
		volumeVerb(), secretVerb(), networkVerb(), quadletVerb(), lintVerb(), generateVerb(), schemaVerb(), completionVerb(), versionVerb(),
	}
}
