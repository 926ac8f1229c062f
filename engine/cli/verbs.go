package cli

// verbs lists the commands in the order in which --help shows them.
func verbs() []Verb {
	return []Verb{
		createVerb(), startVerb(), attachVerb(), stopVerb(), restartVerb(), killVerb(), pauseVerb(), unpauseVerb(), waitVerb(), containerVerb(),
		runVerb(), execVerb(), rmVerb(), psVerb(), inspectVerb(), logsVerb(), healthcheckVerb(),
		eventsVerb(), infoVerb(), systemVerb(),
		cpVerb(), diffVerb(), commitVerb(), exportVerb(), mountVerb(), unmountVerb(), renameVerb(), portVerb(),
		topVerb(), statsVerb(), updateVerb(), initVerb(), unshareVerb(),
		volumeVerb(), secretVerb(), networkVerb(), podVerb(), quadletVerb(), lintVerb(), setupVerb(), generateVerb(), schemaVerb(), completionVerb(), versionVerb(),
		autoUpdateVerb(), pinVerb(), unpinVerb(),
	}
}
