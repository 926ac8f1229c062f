package verb

// manifestVerbs are about lists of images: one name for images for several platforms.
func manifestVerbs() []Verb {
	return []Verb{
		{Name: "manifest create", Args: "LIST [IMAGE…]", Min: 1, Max: -1,
			Doc: "Make a list of images, of those given or empty, and print its ID.",
			Flags: append(registryFlags(), []Flag{
				{Name: "all", Kind: Bool, Doc: "of an image that is a list itself, add all images and not only the one for this machine"},
				{Name: "amend", Short: "a", Kind: Bool, Doc: "add to the list when there is one of that name"},
				{Name: "annotation", Kind: Strings, Value: "KEY=VALUE", Doc: "annotation of the list"},
			}...)},
		{Name: "manifest add", Args: "LIST IMAGE|FILE…", Min: 2, Max: -1,
			Doc: "Add images of the store or of a registry to a list, or files as one artifact, and print the ID of the list.",
			Flags: append(append(registryFlags(), platformFlags()...), []Flag{
				{Name: "all", Kind: Bool, Doc: "of an image that is a list itself, add all images and not only one"},
				{Name: "artifact", Kind: Bool, Doc: "the arguments are files, which become an artifact; they must stay where they are until the list is pushed"},
				{Name: "artifact-config", Kind: String, Value: "FILE", Doc: "configuration of the artifact"},
				{Name: "artifact-config-type", Kind: String, Value: "TYPE", Doc: "media type of the configuration"},
				{Name: "artifact-exclude-titles", Kind: Bool, Doc: "leave the names of the files out"},
				{Name: "artifact-layer-type", Kind: String, Value: "TYPE", Doc: "media type of the files; found out from their names or contents when not given"},
				{Name: "artifact-subject", Kind: String, Value: "IMAGE", Doc: "image that the artifact refers to"},
				{Name: "artifact-type", Kind: String, Value: "TYPE", Default: "application/vnd.unknown.artifact.v1", Doc: "media type of the artifact"},
			}...)},
		{Name: "manifest annotate", Args: "LIST [IMAGE|DIGEST|FILE]", Min: 1, Max: 2,
			Doc: "Change what a list says of one of its images, or of the artifact with a file, or of itself, and print the ID of the list.",
			Flags: append(platformFlags(), []Flag{
				{Name: "index", Kind: Bool, Doc: "give the annotations to the list itself, and name no image"},
				{Name: "os-features", Kind: String, Value: "NAME,…", Doc: "what the operating system must have"},
				{Name: "subject", Kind: String, Value: "IMAGE", Doc: "with --index: the image that the list refers to"},
			}...)},
		{Name: "manifest inspect", Args: "LIST", Min: 1, Max: 1,
			Doc:   "Print a list of the store as JSON, or the one that a registry has under this name.",
			Flags: registryFlags()},
		{Name: "manifest push", Args: "LIST [DESTINATION]", Min: 1, Max: 2,
			Doc:   "Write a list with its images to the registry that is in its name, or in the destination.",
			Flags: manifestPushFlags()},
		{Name: "manifest remove", Args: "LIST IMAGE|DIGEST|FILE", Min: 2, Max: 2,
			Doc: "Take an image or an artifact out of a list, and print the ID of the list."},
		{Name: "manifest rm", Args: "LIST…", Min: 1, Max: -1,
			Doc: "Remove lists. The images that they name stay.",
			Flags: []Flag{
				{Name: "ignore", Short: "i", Kind: Bool, Doc: "a list that is missing is no error"},
			}},
		{Name: "manifest exists", Args: "LIST", Min: 1, Max: 1,
			Doc: "Exit with 0 when the list is in the store, with 1 when it is not."},
	}
}

// platformFlags say for which machines an image of a list is.
func platformFlags() []Flag {
	return []Flag{
		{Name: "annotation", Kind: Strings, Value: "KEY=VALUE", Doc: "annotation of the image in the list"},
		{Name: "arch", Kind: String, Value: "ARCH", Doc: "architecture that the list is to name, instead of the image's"},
		{Name: "features", Kind: String, Value: "NAME,…", Doc: "accepted: an OCI index has no place for features of processors"},
		{Name: "os", Kind: String, Value: "OS", Doc: "operating system"},
		{Name: "os-version", Kind: String, Value: "VERSION", Doc: "version of the operating system"},
		{Name: "variant", Kind: String, Value: "VARIANT", Doc: "variant of the architecture"},
	}
}

// manifestPushFlags are those of push, of which some mean all images of the list.
func manifestPushFlags() []Flag {
	flags := []Flag{
		{Name: "add-compression", Kind: Strings, Value: "gzip|zstd|zstd:chunked", Doc: "have each image in this compression too"},
		{Name: "rm", Kind: Bool, Doc: "remove the list when it has been pushed"},
	}
	for _, f := range pushFlags() {
		switch f.Name {
		case "all":
			f.Default, f.Doc = "true", "with its images; otherwise the registry must have them"
		case "sign-by":
			f.Doc = "sign the list and its images with this GPG key; the signatures go where registries.d says, /var/lib/containers/sigstore when it does not"
		case "format":
			f.Value, f.Doc = "oci|v2s2", "type of the list and of its images; as they are when not given"
		}
		flags = append(flags, f)
	}
	return flags
}
