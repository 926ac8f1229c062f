package cli

import (
	"context"
	"fmt"
	"runtime"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine/format"
	"github.com/berth-pods/berth/installed"
)

func versionVerb() Verb {
	return Verb{
		Name: "version", Usage: "[OPTION…]", Summary: "print the version",
		Flags: func(set *pflag.FlagSet) { versionFlags(set, new(string)) }, Run: runVersion,
	}
}

func versionFlags(set *pflag.FlagSet, form *string) {
	set.StringVarP(form, "format", "f", "", "`FORM` of the output: json, or a template such as {{.Client.Version}}")
}

// versionOf has the names of Podman's `version --format json`.
type versionOf struct {
	APIVersion  string
	Version     string
	GoVersion   string
	GitCommit   string
	BuiltTime   string
	Built       int64
	BuildOrigin string
	OsArch      string
	Os          string
}

// apiVersion is the release of Podman that berth's words and output are compared with. Podman's API has the number of its release.
const apiVersion = "5.4.2"

func thisVersion() versionOf {
	return versionOf{APIVersion: apiVersion, Version: installed.Version, GoVersion: runtime.Version(), OsArch: runtime.GOOS + "/" + runtime.GOARCH, Os: runtime.GOOS}
}

type versions struct{ Client versionOf }

// Fields has the server's version, which scripts ask for: that of the program itself, as with a Podman that is not remote.
func (v versions) Fields() map[string]any { return map[string]any{"Server": v.Client} }

// parseAlone reads the words of a verb that takes options only.
func parseAlone(set *pflag.FlagSet, args []string) error {
	err := set.Parse(args)
	if err == nil && set.NArg() > 0 {
		err = fmt.Errorf("%s takes no arguments, and %q is one", set.Name(), set.Arg(0))
	}
	return err
}

func runVersion(_ context.Context, env *Env, args []string) error {
	var form string
	set := newFlagSet("version")
	versionFlags(set, &form)
	if err := parseAlone(set, args); err != nil {
		return err
	}
	v := versions{thisVersion()}
	switch form {
	case "json":
		return printJSON(env.Out, v)
	case "":
		_, err := fmt.Fprintf(env.Out, "berth version %s\n%s %s/%s\n", installed.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return err
	}
	if err := checkForm(form); err != nil {
		return err
	}
	return format.Rows(env.Out, form, []versions{v})
}
