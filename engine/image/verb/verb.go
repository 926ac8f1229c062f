// Package verb is the table of what berth-image can do: its verbs, their flags and the text about each. The program
// parses from it, and help, man pages and shell completion are printed from it. It links the standard library only, so
// that berth itself can tell which verbs it must hand over.
package verb

import (
	"fmt"
	"slices"
	"strings"
)

// Kind says what a flag takes.
type Kind int

const (
	Bool      Kind = iota
	Tristate       // true, false or not given, which differ; bare means true
	String         // one value, the last one given counts
	Strings        // may be repeated; a comma is part of the value
	Int            // a number, not negative
	Duration       // 5s, 2m; a bare number is seconds
	Unoffered      // a flag that Podman has and that is refused with Doc as the reason
)

// A Flag is one row: what it is called, what it takes and what it does.
type Flag struct {
	_       [0]func() // not comparable: the compiler would make a function for each length of a list, 8 kB in berth
	Name    string
	Short   string // one letter or empty
	Kind    Kind
	Value   string // what the value is called in help; empty for a Bool
	Default string
	Doc     string
}

// A Verb is one command.
type Verb struct {
	Name    string   // words as typed: "pull", "image inspect"
	Aliases []string // other spellings that do the same
	Args    string   // how the arguments are called in help
	Min     int      // fewest arguments
	Max     int      // most arguments, -1 for any number
	Doc     string   // one sentence
	Flags   []Flag
}

// Global returns the flags that stand before the verb. They choose the store and are the same for all verbs.
func Global() []Flag {
	return []Flag{
		{Name: "root", Kind: String, Value: "DIR", Doc: "where images and containers are stored, instead of what storage.conf says"},
		{Name: "runroot", Kind: String, Value: "DIR", Doc: "where the store keeps its state of this boot"},
		{Name: "storage-driver", Kind: String, Value: "NAME", Doc: "storage driver, overlay unless storage.conf says otherwise"},
		{Name: "storage-opt", Kind: Strings, Value: "KEY=VALUE", Doc: "option of the storage driver; replaces those of storage.conf"},
		{Name: "signature-policy", Kind: String, Value: "FILE", Doc: "policy.json to use instead of the system's"},
		{Name: "log-level", Kind: String, Value: "LEVEL", Default: "fatal", Doc: "debug, info, warn, error or fatal: what the storage and registry libraries may say beside berth's own messages"},
	}
}

// Table returns every verb in the order of the help text.
func Table() []Verb {
	return slices.Concat(imageVerbs(), manifestVerbs(), artifactVerbs())
}

func imageVerbs() []Verb {
	return []Verb{
		{Name: "pull", Aliases: []string{"image pull"}, Args: "IMAGE…", Min: 1, Max: -1,
			Doc:   "Fetch images from a registry, or copy them from an archive or a directory, and print their IDs.",
			Flags: pullFlags()},
		{Name: "load", Aliases: []string{"image load"}, Args: "", Min: 0, Max: 0,
			Doc:   "Store the images of a docker-archive, an OCI archive or an OCI layout directory under all their names.",
			Flags: loadFlags()},
		{Name: "images", Aliases: []string{"image ls", "image list"}, Args: "[IMAGE]", Min: 0, Max: 1,
			Doc:   "List the images in the store.",
			Flags: listFlags()},
		{Name: "image inspect", Args: "IMAGE…", Min: 1, Max: -1,
			Doc: "Print what is known about images as JSON.",
			Flags: []Flag{
				{Name: "format", Short: "f", Kind: String, Value: "json|TEMPLATE", Default: "json", Doc: "print a Go template per image instead"},
			}},
		{Name: "image exists", Args: "IMAGE", Min: 1, Max: 1,
			Doc: "Exit with 0 when the image is in the store, with 1 when it is not."},
		{Name: "tag", Aliases: []string{"image tag"}, Args: "IMAGE NAME…", Min: 2, Max: -1,
			Doc: "Give an image more names; a name that another image has moves to this one."},
		{Name: "untag", Aliases: []string{"image untag"}, Args: "IMAGE [NAME…]", Min: 1, Max: -1,
			Doc: "Take names away from an image, all of them when none is given; the image stays."},
		{Name: "rmi", Aliases: []string{"image rm", "image remove"}, Args: "IMAGE…", Min: 0, Max: -1,
			Doc: "Remove names, and with its last name the image and the layers that nothing else uses.",
			Flags: []Flag{
				{Name: "all", Short: "a", Kind: Bool, Doc: "remove every image that no container uses"},
				{Name: "force", Short: "f", Kind: Bool, Doc: "remove the image with all its names; one that is missing is no error. An image that a container uses stays"},
				{Name: "ignore", Short: "i", Kind: Bool, Doc: "an image that is missing is no error"},
				{Name: "no-prune", Kind: Bool, Doc: "accepted: parent images without a name are always kept"},
			}},
		{Name: "push", Aliases: []string{"image push"}, Args: "IMAGE [DESTINATION]", Min: 1, Max: 2,
			Doc:   "Write an image to a registry, or to docker-archive:, oci-archive:, oci: or dir: with a path.",
			Flags: append(pushFlags(), encryptionFlags()...)},
		{Name: "save", Aliases: []string{"image save"}, Args: "IMAGE…", Min: 1, Max: -1,
			Doc:   "Write images into an archive or a directory, which load reads again.",
			Flags: saveFlags()},
		{Name: "import", Aliases: []string{"image import"}, Args: "FILE|URL|- [NAME]", Min: 1, Max: 2,
			Doc:   "Make an image of the tar archive of a root file system.",
			Flags: importFlags()},
		{Name: "image check-store", Args: "", Min: 0, Max: 0,
			Doc: "Look for damage in the store; system check calls it.",
			Flags: []Flag{
				{Name: "force", Short: "f", Kind: Bool, Doc: "remove damaged images and containers"},
				{Name: "max", Short: "m", Kind: Duration, Value: "TIME", Default: "24h", Doc: "how long a layer may lie there that no image and no container has"},
				{Name: "quick", Short: "q", Kind: Bool, Doc: "do not compare the files of each layer"},
				{Name: "repair", Short: "r", Kind: Bool, Doc: "remove damaged images"},
			}},
		{Name: "image of-container", Args: "CONTAINER [NAME]", Min: 1, Max: 2,
			Doc: "Make an image of a container of the store; commit calls it, which knows the container.",
			Flags: []Flag{
				{Name: "all", Kind: Bool, Doc: "read the whole root file system from standard input, and make it the only layer"},
				{Name: "author", Kind: String, Value: "NAME", Doc: "who has made the image"},
				{Name: "change", Short: "c", Kind: Strings, Value: "INSTRUCTION", Doc: "CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME or WORKDIR, as in a Containerfile"},
				{Name: "config", Kind: String, Value: "FILE", Doc: "JSON of a Docker image's configuration; --change counts more"},
				{Name: "created-by", Kind: String, Value: "TEXT", Doc: "command in the history"},
				{Name: "format", Kind: String, Value: "oci|docker", Default: "oci", Doc: "format of the image"},
				{Name: "message", Short: "m", Kind: String, Value: "TEXT", Doc: "comment in the history"},
				{Name: "settings", Kind: String, Value: "FILE", Doc: "as --config, and counts less: what the container was made with"},
			}},
		{Name: "history", Aliases: []string{"image history"}, Args: "IMAGE", Min: 1, Max: 1,
			Doc: "Show how an image came to be, the newest step first.",
			Flags: []Flag{
				{Name: "format", Kind: String, Value: "json|TEMPLATE", Doc: "JSON, or a Go template per step"},
				{Name: "human", Short: "H", Kind: Bool, Default: "true", Doc: "sizes and times for people; otherwise bytes and dates"},
				{Name: "no-trunc", Kind: Bool, Doc: "print IDs and commands in full"},
				{Name: "quiet", Short: "q", Kind: Bool, Doc: "print IDs only"},
			}},
		{Name: "image remote-digest", Args: "IMAGE", Min: 1, Max: 1,
			Doc:   "Print the digest of what the registry has under the name of an image, without fetching it.",
			Flags: registryFlags()},
		{Name: "image tree", Args: "IMAGE", Min: 1, Max: 1,
			Doc: "Show the layers of an image, and which images end at each.",
			Flags: []Flag{
				{Name: "whatrequires", Kind: Bool, Doc: "show the layers upon the image instead, which are of the images based on it"},
			}},
		{Name: "image mount", Args: "[IMAGE…]", Min: 0, Max: -1,
			Doc: "Mount images to be read and print where, or list those that are mounted.",
			Flags: []Flag{
				{Name: "all", Short: "a", Kind: Bool, Doc: "mount all images"},
				{Name: "format", Kind: String, Value: "json", Doc: "list as JSON"},
			}},
		{Name: "image unmount", Aliases: []string{"image umount"}, Args: "[IMAGE…]", Min: 0, Max: -1,
			Doc: "Take mounts of images away, one each.",
			Flags: []Flag{
				{Name: "all", Short: "a", Kind: Bool, Doc: "those of all images"},
				{Name: "force", Short: "f", Kind: Bool, Doc: "all mounts of an image at once"},
			}},
		{Name: "image diff", Args: "IMAGE [IMAGE]", Min: 1, Max: 2,
			Doc: "Show what an image changes in the file system of the one below it, or of another image: A for added, C for changed, D for deleted.",
			Flags: []Flag{
				{Name: "format", Kind: String, Value: "json", Doc: "print as JSON"},
			}},
		{Name: "image prune", Args: "", Min: 0, Max: 0,
			Doc: "Remove images without a name that no container uses, and what is left of pulls that were given up.",
			Flags: []Flag{
				{Name: "all", Short: "a", Kind: Bool, Doc: "every image that no container uses, except for the last good ones of auto-update"},
				{Name: "build-cache", Kind: Bool, Doc: "accepted: there is no cache of builds"},
				{Name: "filter", Kind: Strings, Value: "KEY=VALUE", Doc: "until=TIME, label=KEY[=VALUE] or label!=KEY[=VALUE]; all must match"},
				{Name: "force", Short: "f", Kind: Bool, Doc: "do not ask"},
			}},
		{Name: "image sign", Args: "IMAGE…", Min: 1, Max: -1,
			Doc: "Write signatures with a GPG key for images that a registry has.",
			Flags: append(registryFlags(), []Flag{
				{Name: "all", Short: "a", Kind: Bool, Doc: "of a list of images, all, and not only the list and the image for this machine"},
				{Name: "directory", Short: "d", Kind: String, Value: "DIR", Doc: "where the signatures go, instead of where registries.d says, or of /var/lib/containers/sigstore"},
				{Name: "sign-by", Kind: String, Value: "KEY", Doc: "name of the key, as gpg knows it"},
			}...)},
		{Name: "image trust set", Args: "REGISTRY|default", Min: 1, Max: 1,
			Doc: "Say in policy.json whose signatures the images of a registry, or of a repository on it, must have to be pulled.",
			Flags: []Flag{
				{Name: "pubkeysfile", Short: "f", Kind: Strings, Value: "FILE", Doc: "file with the public key; with several, a signature by each is wanted"},
				{Name: "type", Short: "t", Kind: String, Value: "accept|reject|signedBy|sigstoreSigned", Default: "signedBy", Doc: "what is wanted"},
			}},
		{Name: "image trust show", Args: "[REGISTRY]", Min: 0, Max: 1,
			Doc: "Show policy.json, or the part of it that decides about the images of a registry or repository.",
			Flags: []Flag{
				{Name: "json", Short: "j", Kind: Bool, Doc: "print as JSON"},
				{Name: "noheading", Short: "n", Kind: Bool, Doc: "leave the header out"},
				{Name: "raw", Kind: Bool, Doc: "print the file as it is"},
			}},
		{Name: "image scp", Args: "[[USER@]HOST::]IMAGE [[USER@]HOST::]", Min: 1, Max: 2,
			Doc: "Copy an image from one machine to another by ssh, where berth or Podman must be, or with localhost as HOST from one user to another, which root may do.",
			Flags: []Flag{
				{Name: "quiet", Short: "q", Kind: Bool, Doc: "print nothing"},
			}},
		{Name: "login", Args: "[REGISTRY]", Min: 0, Max: 1,
			Doc:   "Check a user and password with a registry and store them in auth.json, or with the credential helper that registries.conf names.",
			Flags: loginFlags()},
		{Name: "logout", Args: "[REGISTRY]", Min: 0, Max: 1,
			Doc: "Remove the credentials for a registry.",
			Flags: []Flag{
				{Name: "all", Short: "a", Kind: Bool, Doc: "those for all registries"},
				{Name: "authfile", Kind: String, Value: "FILE", Doc: "credentials file, instead of auth.json and of $REGISTRY_AUTH_FILE"},
				{Name: "compat-auth-file", Kind: String, Value: "FILE", Doc: "Docker's configuration file, in which the credentials are"},
			}},
		{Name: "search", Aliases: []string{"image search"}, Args: "TERM", Min: 1, Max: 1,
			Doc:   "Ask a registry, or the search registries of registries.conf, for images.",
			Flags: searchFlags()},
	}
}

// registryFlags are those of all verbs that talk to a registry.
func registryFlags() []Flag {
	return []Flag{
		{Name: "authfile", Kind: String, Value: "FILE", Doc: "credentials file, instead of auth.json and of $REGISTRY_AUTH_FILE"},
		{Name: "cert-dir", Kind: String, Value: "DIR", Doc: "directory with *.crt, *.cert and *.key for the registry"},
		{Name: "creds", Kind: String, Value: "USER:PASSWORD", Doc: "credentials for this call; the password is asked for on a terminal when it is left out"},
		{Name: "tls-verify", Kind: Tristate, Doc: "false: also accept plain HTTP and certificates that cannot be verified; when not given registries.conf decides"},
	}
}

func pushFlags() []Flag {
	return slices.Concat(registryFlags(), []Flag{
		{Name: "all", Kind: Bool, Doc: "of a list of images, all, and not only the one for this machine"},
		{Name: "compress", Kind: Bool, Doc: "dir: compress the layers"},
		{Name: "compression-format", Kind: String, Value: "gzip|zstd|zstd:chunked", Doc: "compress layers so; as they are when not given, gzip for those that are not compressed"},
		{Name: "compression-level", Kind: Int, Value: "N", Doc: "how hard to compress: 1 to 9 for gzip, 1 to 20 for zstd"},
		{Name: "digestfile", Kind: String, Value: "FILE", Doc: "write the digest of the manifest that the registry has into this file"},
		{Name: "disable-content-trust", Kind: Bool, Doc: "accepted, as Docker has it: policy.json decides"},
		{Name: "force-compression", Kind: Bool, Doc: "compress layers anew that are compressed in another way"},
		{Name: "format", Short: "f", Kind: String, Value: "oci|v2s2|v2s1", Doc: "type of the manifest; as the image has it when not given"},
		{Name: "quiet", Short: "q", Kind: Bool, Doc: "print nothing"},
		{Name: "remove-signatures", Kind: Bool, Doc: "leave the signatures of the image out"},
	}, againFlags(), signFlags())
}

// encryptionFlags are about single images.
func encryptionFlags() []Flag {
	return []Flag{
		{Name: "encrypt-layer", Kind: Strings, Value: "N[,N…]", Doc: "encrypt only these layers: 0 is the lowest, -1 the highest"},
		{Name: "encryption-key", Kind: Strings, Value: "WAY:KEY", Doc: "encrypt the layers for the owner of this key: jwe:FILE with a public key, pkcs7:FILE with a certificate, pgp:USER, pkcs11:FILE or provider:NAME; with several, each of them opens the image"},
	}
}

// decryptionKey is one of the verbs that fetch.
func decryptionKey() Flag {
	return Flag{Name: "decryption-key", Kind: Strings, Value: "FILE[:PASSWORD]", Doc: "private key that opens encrypted layers; file=FILE in the place of the password reads it from there, so that nobody sees it among the words of a command"}
}

// againFlags say how often a registry is tried.
func againFlags() []Flag {
	return []Flag{
		{Name: "retry", Kind: Int, Value: "N", Default: "3", Doc: "how often to try again when the link or the registry fails"},
		{Name: "retry-delay", Kind: Duration, Value: "TIME", Doc: "wait this long between tries; 1s, 2s, 4s … with some jitter when not given"},
	}
}

// signFlags say who signs what is pushed.
func signFlags() []Flag {
	return []Flag{
		{Name: "sign-by", Kind: String, Value: "KEY", Doc: "sign with this GPG key; the signature goes where registries.d says, /var/lib/containers/sigstore when it does not"},
		{Name: "sign-by-sigstore", Kind: Unoffered, Value: "FILE", Doc: "parameter files of Fulcio and Rekor are not supported: sign with --sign-by-sigstore-private-key"},
		{Name: "sign-by-sigstore-private-key", Kind: String, Value: "FILE", Doc: "sign with this private key; registries.d must say use-sigstore-attachments for the registry"},
		{Name: "sign-passphrase-file", Kind: String, Value: "FILE", Doc: "file whose first line is the passphrase of the key"},
	}
}

func saveFlags() []Flag {
	return []Flag{
		{Name: "compress", Kind: Bool, Doc: "docker-dir: compress the layers"},
		{Name: "format", Kind: String, Value: "docker-archive|oci-archive|oci-dir|docker-dir", Default: "docker-archive", Doc: "what to write"},
		{Name: "multi-image-archive", Short: "m", Kind: Bool, Doc: "all arguments are images; otherwise those after the first are further names of the first, which must be its own"},
		{Name: "output", Short: "o", Kind: String, Value: "FILE|DIR", Doc: "write there instead of to standard output; an archive is complete or absent"},
		{Name: "quiet", Short: "q", Kind: Bool, Doc: "no progress"},
		{Name: "uncompressed", Kind: Bool, Doc: "oci-archive, oci-dir: leave layers uncompressed that are so"},
	}
}

func importFlags() []Flag {
	return []Flag{
		{Name: "arch", Kind: String, Value: "ARCH", Doc: "architecture of the image, this machine's when not given"},
		{Name: "change", Short: "c", Kind: Strings, Value: "INSTRUCTION", Doc: "CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME or WORKDIR, as in a Containerfile"},
		{Name: "message", Short: "m", Kind: String, Value: "TEXT", Doc: "comment in the history"},
		{Name: "os", Kind: String, Value: "OS", Doc: "operating system of the image"},
		{Name: "quiet", Short: "q", Kind: Bool, Doc: "print the ID only"},
		{Name: "variant", Kind: String, Value: "VARIANT", Doc: "variant of the architecture"},
	}
}

func loginFlags() []Flag {
	return []Flag{
		{Name: "authfile", Kind: String, Value: "FILE", Doc: "credentials file, instead of auth.json and of $REGISTRY_AUTH_FILE"},
		{Name: "cert-dir", Kind: String, Value: "DIR", Doc: "directory with *.crt, *.cert and *.key for the registry"},
		{Name: "compat-auth-file", Kind: String, Value: "FILE", Doc: "Docker's configuration file, in which the credentials are to be instead"},
		{Name: "get-login", Kind: Bool, Doc: "print the user whose credentials are stored, and do nothing"},
		{Name: "password", Short: "p", Kind: String, Value: "PASSWORD", Doc: "password; others can see it while the command runs, so prefer --password-stdin"},
		{Name: "password-stdin", Kind: Bool, Doc: "read the password from standard input"},
		{Name: "tls-verify", Kind: Tristate, Doc: "false: also accept plain HTTP and certificates that cannot be verified"},
		{Name: "username", Short: "u", Kind: String, Value: "USER", Doc: "user"},
		{Name: "secret", Kind: String, Value: "NAME", Doc: "take the password from this secret of berth secret; the user is that of --username, else NAME"},
		{Name: "verbose", Short: "v", Kind: Bool, Doc: "say where the credentials are stored"},
	}
}

func searchFlags() []Flag {
	return append(registryFlags(), []Flag{
		{Name: "compatible", Kind: Bool, Doc: "with the columns of Docker: stars, official and automated too"},
		{Name: "filter", Short: "f", Kind: Strings, Value: "KEY=VALUE", Doc: "stars=N, is-official=BOOL, is-automated=BOOL; all must match"},
		{Name: "format", Kind: String, Value: "json|TEMPLATE", Doc: "JSON, or a Go template per answer"},
		{Name: "limit", Kind: Int, Value: "N", Default: "25", Doc: "so many answers of each registry at most"},
		{Name: "list-tags", Kind: Bool, Doc: "list the tags of the repository TERM"},
		{Name: "no-trunc", Kind: Bool, Doc: "print descriptions in full"},
	}...)
}

func pullFlags() []Flag {
	return []Flag{
		{Name: "all-tags", Short: "a", Kind: Bool, Doc: "pull every tag of the repository"},
		{Name: "arch", Kind: String, Value: "ARCH", Doc: "take the image for this architecture, as in amd64 or arm64, not for this machine's"},
		{Name: "authfile", Kind: String, Value: "FILE", Doc: "credentials file, instead of auth.json and of $REGISTRY_AUTH_FILE"},
		{Name: "cert-dir", Kind: String, Value: "DIR", Doc: "directory with *.crt, *.cert and *.key for the registry"},
		{Name: "creds", Kind: String, Value: "USER:PASSWORD", Doc: "credentials for this pull; the password is asked for on a terminal when it is left out"},
		decryptionKey(),
		{Name: "disable-content-trust", Kind: Bool, Doc: "accepted, as Docker has it: policy.json decides"},
		{Name: "os", Kind: String, Value: "OS", Doc: "take the image for this operating system"},
		{Name: "platform", Kind: String, Value: "OS/ARCH[/VARIANT]", Doc: "the same in one flag"},
		{Name: "policy", Kind: String, Value: "always|missing|newer|never", Default: "always", Doc: "when to ask the registry: always, when the image is missing here, when the registry's is another one, or never"},
		{Name: "quiet", Short: "q", Kind: Bool, Doc: "print the image IDs only"},
		{Name: "retry", Kind: Int, Value: "N", Default: "3", Doc: "how often to try again when the link or the registry fails"},
		{Name: "retry-delay", Kind: Duration, Value: "TIME", Doc: "wait this long between tries; 1s, 2s, 4s … with some jitter when not given"},
		{Name: "tls-verify", Kind: Tristate, Doc: "false: also accept plain HTTP and certificates that cannot be verified; when not given registries.conf decides"},
		{Name: "variant", Kind: String, Value: "VARIANT", Doc: "take the image for this variant of the architecture, as in v7"},
	}
}

func loadFlags() []Flag {
	return []Flag{
		{Name: "input", Short: "i", Kind: String, Value: "FILE|DIR", Doc: "read this archive or OCI layout directory instead of standard input; gzip, zstd, xz and bzip2 are recognised"},
		{Name: "quiet", Short: "q", Kind: Bool, Doc: "print the names only, no progress"},
	}
}

func listFlags() []Flag {
	return []Flag{
		{Name: "all", Short: "a", Kind: Bool, Doc: "also list images without a name that another image is based on"},
		{Name: "digests", Kind: Bool, Doc: "add a column with the digest of the manifest"},
		{Name: "filter", Short: "f", Kind: Strings, Value: "KEY=VALUE", Doc: "reference=GLOB, id=PREFIX, digest=PREFIX, label=KEY[=VALUE], label!=KEY[=VALUE], dangling=BOOL, intermediate=BOOL, readonly=BOOL, containers=BOOL, manifest=BOOL, before=IMAGE, since=IMAGE, until=TIME; all must match"},
		{Name: "format", Kind: String, Value: "json|TEMPLATE", Doc: "JSON, or a Go template per image; \"table …\" keeps the header"},
		{Name: "history", Kind: Bool, Doc: "add a column with the names that the image had"},
		{Name: "no-trunc", Kind: Bool, Doc: "print IDs in full"},
		{Name: "noheading", Short: "n", Kind: Bool, Doc: "leave the header out"},
		{Name: "quiet", Short: "q", Kind: Bool, Doc: "print IDs only"},
		{Name: "sort", Kind: String, Value: "created|id|repository|size|tag", Default: "created", Doc: "order of the list"},
	}
}

// Find takes the verb off the front of args, longest spelling first, so that "image ls" is not taken for "image".
func Find(table []Verb, args []string) (v Verb, rest []string, err error) {
	for n := min(3, len(args)); n > 0; n-- {
		typed := strings.Join(args[:n], " ")
		for _, v := range table {
			if v.called(typed) {
				return v, args[n:], nil
			}
		}
	}
	if len(args) == 0 {
		return Verb{}, nil, fmt.Errorf("no verb given")
	}
	if len(args) > 1 && slices.Contains(groups, args[0]) {
		return Verb{}, nil, fmt.Errorf("unrecognized command `berth %s %s`; `berth %[1]s --help` lists the commands", args[0], args[1])
	}
	return Verb{}, nil, fmt.Errorf("unrecognized command `berth %s`; `berth --help` lists the commands", args[0])
}

// groups are the first words of commands that do nothing by themselves.
var groups = []string{"image", "manifest", "artifact"}

// IsGroup is true for "image" and the like where no command follows.
func IsGroup(words []string) bool {
	return len(words) > 0 && slices.Contains(groups, words[0]) && (len(words) == 1 || words[1] == "--help" || words[1] == "-h")
}

func (v Verb) called(typed string) bool {
	if v.Name == typed {
		return true
	}
	for _, a := range v.Aliases {
		if a == typed {
			return true
		}
	}
	return false
}
