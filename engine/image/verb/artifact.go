package verb

import "slices"

// artifactVerbs are about files that registries keep beside images.
func artifactVerbs() []Verb {
	return []Verb{
		{Name: "artifact add", Args: "ARTIFACT FILE…", Min: 2, Max: -1,
			Doc: "Make an artifact of files, or add files to one.",
			Flags: []Flag{
				{Name: "annotation", Kind: Strings, Value: "KEY=VALUE", Doc: "annotation of the files"},
				{Name: "append", Short: "a", Kind: Bool, Doc: "add to the artifact that is there"},
				{Name: "file-type", Kind: String, Value: "TYPE", Doc: "media type of the files; found out from their contents when not given"},
				{Name: "type", Kind: String, Value: "TYPE", Doc: "media type of the artifact"},
			}},
		{Name: "artifact extract", Args: "ARTIFACT PATH", Min: 2, Max: 2,
			Doc: "Write the files of an artifact into a directory under their titles, or the only one to a file.",
			Flags: []Flag{
				{Name: "digest", Kind: String, Value: "DIGEST", Doc: "only the file with this digest"},
				{Name: "title", Kind: String, Value: "TITLE", Doc: "only the file with this title"},
			}},
		{Name: "artifact inspect", Args: "ARTIFACT", Min: 1, Max: 1,
			Doc: "Print what is known about an artifact as JSON.",
			Flags: []Flag{
				{Name: "format", Short: "f", Kind: String, Value: "json|TEMPLATE", Default: "json", Doc: "print a Go template instead"},
			}},
		{Name: "artifact ls", Aliases: []string{"artifact list"}, Args: "", Min: 0, Max: 0,
			Doc: "List the artifacts in the store.",
			Flags: []Flag{
				{Name: "format", Kind: String, Value: "json|TEMPLATE", Doc: "JSON, or a Go template per artifact"},
				{Name: "no-trunc", Kind: Bool, Doc: "print digests in full"},
				{Name: "noheading", Short: "n", Kind: Bool, Doc: "leave the header out"},
				{Name: "quiet", Short: "q", Kind: Bool, Doc: "print digests only"},
			}},
		{Name: "artifact pull", Args: "ARTIFACT", Min: 1, Max: 1,
			Doc: "Fetch an artifact from a registry and print the digest of its manifest.",
			Flags: append(registryFlags(), []Flag{
				decryptionKey(),
				{Name: "quiet", Short: "q", Kind: Bool, Doc: "no progress"},
				{Name: "retry", Kind: Int, Value: "N", Default: "3", Doc: "how often to try again when the link or the registry fails"},
				{Name: "retry-delay", Kind: Duration, Value: "TIME", Doc: "wait this long between tries"},
			}...)},
		{Name: "artifact push", Args: "ARTIFACT [DESTINATION]", Min: 1, Max: 2,
			Doc: "Write an artifact to the registry that is in its name, or in the destination.",
			Flags: slices.Concat(registryFlags(), []Flag{
				{Name: "digestfile", Kind: String, Value: "FILE", Doc: "write the digest of the manifest into this file"},
				{Name: "quiet", Short: "q", Kind: Bool, Doc: "print nothing"},
			}, againFlags(), signFlags())},
		{Name: "artifact rm", Aliases: []string{"artifact remove"}, Args: "[ARTIFACT…]", Min: 0, Max: -1,
			Doc: "Remove artifacts with the files that no other artifact has.",
			Flags: []Flag{
				{Name: "all", Short: "a", Kind: Bool, Doc: "remove all artifacts"},
				{Name: "ignore", Short: "i", Kind: Bool, Doc: "an artifact that is missing is no error"},
			}},
	}
}
