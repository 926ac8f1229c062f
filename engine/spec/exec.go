package spec

import (
	"errors"
	"fmt"
	"path"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// ExecOptions say what is to run in a container that runs already, and how it differs from the container's own program.
type ExecOptions struct {
	Command     []string
	Environment []string // NAME=VALUE, or NAME to copy it from the caller
	WorkDir     string   // "": the container's
	User        string   // "": the container's
	Privileged  bool
	Terminal    bool
	// Rows and Columns are the terminal's size; 0 leaves it to the runtime.
	Rows, Columns uint
}

// ExecInput is everything that the process of an exec is made from.
type ExecInput struct {
	Options   ExecOptions
	Container Container
	Base      specs.Process // of the container's own program, as it is in config.json
	Process   Process       // the user of the options, resolved in the container; without one it does not matter
	Host      map[string]string
	Bounding  []string // capabilities that may be given at all; nil for all
}

// ErrNoCommand says that an exec has nothing to run.
var ErrNoCommand = errors.New("nothing to run: name a command after the container")

// Exec makes the process that is added to a container. It is the container's own in all that the options leave alone. The
// same input gives the same value.
func Exec(in ExecInput) (*specs.Process, error) {
	o := in.Options
	if len(o.Command) == 0 {
		return nil, ErrNoCommand
	}
	p := in.Base
	p.Args, p.Terminal, p.ConsoleSize = o.Command, o.Terminal, nil
	if o.Terminal && o.Rows > 0 {
		p.ConsoleSize = &specs.Box{Height: o.Rows, Width: o.Columns}
	}
	if o.WorkDir != "" {
		if !path.IsAbs(o.WorkDir) {
			return nil, fmt.Errorf("working directory %q is not an absolute path", o.WorkDir)
		}
		dir, err := workDir(Container{WorkDir: o.WorkDir}, ImageConfig{})
		if err != nil {
			return nil, err
		}
		p.Cwd = dir
	}
	who := Process{UID: p.User.UID, GID: p.User.GID, Groups: p.User.AdditionalGids}
	if o.User != "" {
		who = in.Process
		p.User.UID, p.User.GID, p.User.AdditionalGids = who.UID, who.GID, groups(in.Container, who)
	}
	if o.User != "" || o.Privileged {
		c := in.Container
		c.Privileged = c.Privileged || o.Privileged
		caps, err := capabilities(c, who)
		if err != nil {
			return nil, err
		}
		limitCapabilities(caps, in.Bounding)
		p.Capabilities = caps
	}
	var err error
	p.Env, err = execEnvironment(in)
	return &p, err
}

// terminalType is TERM for a program with a terminal: the caller's, whose keys and screen it is.
func terminalType(caller map[string]string) string {
	if term := caller["TERM"]; term != "" {
		return term
	}
	return "xterm"
}

// execEnvironment is the container's environment without what was only for its own program, then what was asked for.
func execEnvironment(in ExecInput) ([]string, error) {
	env := map[string]string{}
	for _, e := range in.Base.Env {
		if name, value, ok := strings.Cut(e, "="); ok && !OwnVariable(name) {
			env[name] = value
		}
	}
	if in.Options.User != "" && in.Process.Home != "" {
		env["HOME"] = in.Process.Home
	}
	if in.Options.Terminal {
		env["TERM"] = terminalType(in.Host)
	}
	for _, e := range in.Options.Environment {
		if err := setVariable(env, e, in.Host); err != nil {
			return nil, err
		}
	}
	return sortedEnvironment(env), nil
}
