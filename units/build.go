package units

import "strings"

// Build is [Build].
type Build struct {
	Shared
	Resolver
	Fetch

	Annotation          Pairs
	Arch                String
	BuildArg            Pairs
	Environment         Pairs
	File                String
	ForceRM             Bool
	GroupAdd            List
	IgnoreFile          String
	ImageTag            List
	Label               Pairs
	Network             List
	Pull                String
	Secret              Args
	SetWorkingDirectory String
	Target              String
	Variant             String
	Volume              List
}

func checkBuild(u *Unit, b *Build) {
	if len(b.ImageTag) == 0 || b.ImageTag[0].Text == "" {
		u.Errorf(u.sectionPos(), "no ImageTag key specified")
	}
	if strings.EqualFold(b.SetWorkingDirectory.Text, "yaml") {
		u.add(Finding{At: b.SetWorkingDirectory.At, Severity: Error,
			Message: "SetWorkingDirectory=yaml is only supported in .kube files", Hint: "use file, unit, a path or a URL"})
	}
	if u.File.Section("Service").Value("WorkingDirectory") != "" {
		return
	}
	set, file := b.SetWorkingDirectory.Text, b.File.Text
	switch {
	case set == "" && file == "":
		u.Errorf(u.sectionPos(), "neither SetWorkingDirectory, nor File key specified")
	case set == "" && !SelfContained(file):
		u.Errorf(b.File.At, "relative path in File key requires SetWorkingDirectory key to be set")
	case strings.EqualFold(set, "file") && file == "":
		u.Errorf(b.SetWorkingDirectory.At, "SetWorkingDirectory=file needs a File key")
	}
}

// SelfContained reports whether a Containerfile or a context is found without a working directory: an absolute path, a
// URL, or a path that a specifier begins.
func SelfContained(path string) bool {
	return path != "" && (path[0] == '/' || path[0] == '%') || IsURL(path)
}

// IsURL reports whether a build context is fetched: http, https and git addresses, and github.com/ in front of a path.
func IsURL(s string) bool {
	for _, prefix := range [...]string{"http://", "https://", "git://", "git@", "ssh://"} {
		if strings.HasPrefix(s, prefix) {
			return true
		}
	}
	return strings.Contains(s, "github.com/") && s[0] != '/' && s[0] != '.'
}
