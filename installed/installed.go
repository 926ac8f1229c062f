// Package installed says which version this is and where its programs lie. The Makefile has the linker set the variables, so that
// all programs of one build agree.
package installed

import "path/filepath"

// Set with -ldflags -X.
var (
	Version = "0.0.0-dev"
	// BinDir has berth itself, as units and people call it.
	BinDir = "/usr/bin"
	// LibexecDir has the programs that berth calls.
	LibexecDir = "/usr/libexec/berth"
	// SystemGenerators and UserGenerators are where systemd finds the generator (systemd.generator(7)).
	SystemGenerators = "/usr/lib/systemd/system-generators"
	UserGenerators   = "/usr/lib/systemd/user-generators"
)

// Engine is the path of berth.
func Engine() string { return filepath.Join(BinDir, "berth") }

// Generator is the path of the generator of the system's manager or of a user's.
func Generator(user bool) string {
	if user {
		return filepath.Join(UserGenerators, "berth-user-generator")
	}
	return filepath.Join(SystemGenerators, "berth-system-generator")
}
