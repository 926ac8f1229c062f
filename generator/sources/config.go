package sources

import (
	"os"

	"github.com/berth-pods/berth/generator"
	"github.com/berth-pods/berth/installed"
)

// Config is the configuration of the generator on this machine, for the system's manager or a user's. $BERTH and $PODMAN, which
// test suites and drop-ins made for Podman set, name another engine. Without checkUnits the units that the system has
// of its own are not looked for.
func Config(getenv func(string) string, user, checkUnits bool) generator.Config {
	cfg := generator.Config{User: user, Engine: installed.Engine(), Reporter: installed.Generator(user), DeviceExists: isPresent}
	for _, name := range [...]string{"PODMAN", "BERTH"} {
		if program := getenv(name); program != "" {
			cfg.Engine = program
		}
	}
	if checkUnits {
		cfg.Existing = ExistingUnits(getenv, user)
	}
	return cfg
}

// isPresent: what cannot be looked at may be there.
func isPresent(path string) bool {
	_, err := os.Stat(path)
	return !os.IsNotExist(err)
}
