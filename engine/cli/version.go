package cli

import (
	"context"
	"fmt"
	"runtime"
)

// Version is set by the linker.
var Version = "0.0.0-dev"

func versionVerb() Verb {
	return Verb{Name: "version", Summary: "print the version", Run: runVersion}
}

func runVersion(_ context.Context, env *Env, args []string) error {
	if err := newFlagSet("version").Parse(args); err != nil {
		return err
	}
	_, err := fmt.Fprintf(env.Out, "berth version %s\n%s %s/%s\n", Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
