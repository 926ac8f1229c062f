package oci

import (
	"errors"
	"testing"

	"github.com/berth-pods/berth/engine"
)

// TestReason: what crun 1.21 and runc 1.1 say of programs that cannot be run, and of other things.
func TestReason(t *testing.T) {
	for said, want := range map[string]error{
		"executable file `nope` not found in $PATH: No such file or directory":                                 engine.ErrCommandNotFound,
		"executable file `/nope` not found: No such file or directory":                                         engine.ErrCommandNotFound,
		"chdir to `/nope`: No such file or directory":                                                          engine.ErrCommandNotFound,
		`exec failed: unable to start container process: exec: "nope": executable file not found in $PATH`:     engine.ErrCommandNotFound,
		`exec failed: unable to start container process: exec: "/nope": stat /nope: no such file or directory`: engine.ErrCommandNotFound,
		"the path `/etc` is not a regular file: Operation not permitted":                                       engine.ErrCommandNotRunnable,
		"the path `/etc/passwd` exists but it is not executable: Operation not permitted":                      engine.ErrCommandNotRunnable,
		"open executable: Permission denied":                                                                   engine.ErrCommandNotRunnable,
		`exec failed: unable to start container process: exec: "/etc/passwd": permission denied`:               engine.ErrCommandNotRunnable,
		`exec failed: unable to start container process: exec: "/etc": is a directory`:                         engine.ErrCommandNotRunnable,
		"mount `/x` to `/y`: No such file or directory":                                                        nil,
		"capset: Operation not permitted":                                                                      nil,
		`unable to start container process: error mounting "/x" to rootfs at "/y": permission denied`:          nil,
	} {
		err := reason("crun", said)
		for _, kind := range []error{engine.ErrCommandNotFound, engine.ErrCommandNotRunnable} {
			if errors.Is(err, kind) != (kind == want) {
				t.Errorf("%q: %v", said, err)
			}
		}
	}
}
