package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/berth-pods/berth/engine/config"
	"github.com/berth-pods/berth/engine/proc"
)

// global is what the flags before the verb have said. There is one command line to a process.
var global struct {
	settings config.Settings
	words    []string  // those flags, for a berth that this one lets others start
	tell     io.Writer // of what is wrong with containers.conf, which is no error then; nil: it is one
}

// GlobalFlag is a flag before the verb, as Podman has them.
type GlobalFlag struct {
	Name, Value, Text string
	set               func(value string) error // nil: it is taken, and changes nothing
}

// GlobalFlags lists the flags before the verb.
func GlobalFlags() []GlobalFlag {
	s := &global.settings
	add := func(list *[]string) func(string) error {
		return func(value string) error { *list = append(*list, value); return nil }
	}
	elsewhere := func(text string) func(string) error { return func(string) error { return errors.New(text) } }
	const storage = "say it in storage.conf, whose place $CONTAINERS_STORAGE_CONF names"
	const remote = "berth has no service to connect to: use `ssh HOST berth …`"
	return []GlobalFlag{
		{"module", "NAME", "read this file of containers.conf.modules, or with this path, after containers.conf", add(&s.Modules)},
		{"runtime", "NAME", "the OCI runtime: a name, or a path", func(value string) error { s.Runtime = value; return nil }},
		{"hooks-dir", "DIRECTORY", "look for hooks here instead of where containers.conf says", add(&s.HooksDirs)},
		{"cdi-spec-dir", "DIRECTORY", "look for descriptions of devices here instead", add(&s.CDISpecDirs)},
		{"network-config-dir", "DIRECTORY", "the definitions of networks are here", func(value string) error { s.NetworkConfigDir = value; return nil }},
		{"volumepath", "DIRECTORY", "volumes are here", func(value string) error { s.VolumePath = value; return nil }},
		{"log-level", "LEVEL", "no effect", nil},
		{"cgroup-manager", "NAME", "no effect: it is systemd", nil},
		{"events-backend", "NAME", "no effect: events are in the journal", nil},
		{"conmon", "PATH", "no effect: there is no monitor", nil},
		{"network-cmd-path", "PATH", "no effect", nil},
		{"tmpdir", "DIRECTORY", "no effect", nil},
		{"ssh", "MODE", "no effect", nil},
		{"config", "DIRECTORY", "no effect", nil},
		{"syslog", "", "no effect: what berth says is in the journal", nil},
		{"transient-store", "", "no effect: what ends with its container is kept in memory only", nil},
		{"root", "DIRECTORY", "refused", elsewhere(storage)},
		{"runroot", "DIRECTORY", "refused", elsewhere(storage)},
		{"imagestore", "DIRECTORY", "refused", elsewhere(storage)},
		{"storage-driver", "NAME", "refused", elsewhere(storage)},
		{"storage-opt", "OPTION", "refused", elsewhere(storage)},
		{"connection", "NAME", "refused", elsewhere(remote)},
		{"url", "URL", "refused", elsewhere(remote)},
		{"identity", "FILE", "refused", elsewhere(remote)},
		{"remote", "", "refused", elsewhere(remote)},
	}
}

// globalFlags takes the flags before the verb.
func globalFlags(args []string) ([]string, error) {
	flags := GlobalFlags()
	for len(args) > 0 && strings.HasPrefix(args[0], "--") && args[0] != "--help" && args[0] != "--version" {
		name, value, hasValue := strings.Cut(args[0][2:], "=")
		i := slices.IndexFunc(flags, func(f GlobalFlag) bool { return f.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("unknown flag: --%s; `berth --help` lists the commands", name)
		}
		if args = args[1:]; flags[i].Value != "" && !hasValue {
			if len(args) == 0 {
				return nil, fmt.Errorf("--%s needs a value", name)
			}
			value, args = args[0], args[1:]
		}
		if flags[i].set == nil {
			continue
		}
		var err error
		if flags[i].Value == "DIRECTORY" || name == "runtime" && strings.Contains(value, "/") {
			value, err = callersPath(value)
		}
		if err = errors.Join(err, flags[i].set(value)); err != nil {
			return nil, fmt.Errorf("--%s: %w", name, err)
		}
		global.words = append(global.words, "--"+name+"="+value)
	}
	return args, nil
}

// checkModules is for the verbs that do not look at containers.conf: a module that is not there is an error of theirs too.
func checkModules() error {
	if len(global.settings.Modules) == 0 {
		return nil
	}
	_, err := loadConfig()
	return err
}

// ownWords are the words of a command for berth itself that is to be like this one.
func ownWords(words ...string) []string { return append(slices.Clone(global.words), words...) }

// itself is another berth like this one, with a command of its own.
func itself(words ...string) proc.Command {
	return proc.Command{Path: selfPath(), Args: ownWords(words...)}
}

// loadConfig is containers.conf as the flags before the verb want it. It is asked for several times by one command, and read once.
var loadConfig = sync.OnceValues(readConfig)

func readConfig() (config.Config, error) {
	conf, err := config.Load(os.Getenv("HOME"), rootlessMode(), global.settings)
	if err != nil && global.tell != nil {
		fmt.Fprintln(global.tell, err)
		err = nil
	}
	return conf, err
}
