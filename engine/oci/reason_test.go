package oci

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
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

// TestReasonOfNamespaces: what is said when there may be no more of them speaks of the settings, and what is said of a disk does not.
func TestReasonOfNamespaces(t *testing.T) {
	for said, want := range map[string]bool{
		"clone: No space left on device":                                             true,
		"unshare: No space left on device":                                           true,
		"nsexec[7]: failed to unshare remaining namespaces: No space left on device": true,
		"mkdir `/x`: No space left on device":                                        false,
	} {
		if err := reason("crun", said); strings.Contains(err.Error(), "sysctl -ar user.max_") != want || !strings.Contains(err.Error(), said) {
			t.Errorf("%v", err)
		}
	}
}

// FuzzLog: of what a runtime has written, the last error is told, whatever stands around it; and a PID is one, or refused.
func FuzzLog(f *testing.F) {
	for _, text := range []string{"", "{}", `{"msg":"x","level":"debug"}`, `{"msg":"x","level":"error"}`, "null\n[]\n7", `{"msg":"x","level":"err`, "\x00", `{"msg":7,"level":"error"}`} {
		f.Add(text, "mount: no such device", "7\n")
	}
	f.Add("", "\u2028", "-7")
	f.Add("", "x", "99999999999999999999")
	f.Fuzz(func(t *testing.T, text, said, pid string) {
		dir := t.TempDir()
		line, err := json.Marshal(map[string]string{"msg": said, "level": "error"})
		if err != nil {
			t.Fatal(err)
		}
		log, pidFile := filepath.Join(dir, "log"), filepath.Join(dir, "pid")
		write := func(path, text string) {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(log, text+"\n"+string(line)+"\n"+`{"msg":"a note","level":"warning"}`)
		if got := lastError(log); got != string([]rune(said)) {
			t.Errorf("%q after %q is told as %q", said, text, got)
		}
		write(pidFile, pid)
		n, err := Runtime{Path: "/crun"}.readPID(pidFile)
		if (err == nil) != (n > 1) || err != nil && !strings.Contains(err.Error(), "PID") {
			t.Errorf("%q is the PID %d, %v", pid, n, err)
		}
	})
}
