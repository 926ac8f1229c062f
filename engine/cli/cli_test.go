package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/installed"
)

func TestImagesOfCountsEachOnce(t *testing.T) {
	env := &Env{Run: func(context.Context, proc.Command) ([]byte, error) {
		return []byte(`[{"Id":"a","Names":["x:1","x:2"]},{"Id":"a","Names":["x:1","x:2"]},{"Id":"b"}]`), nil
	}}
	if list, err := imagesOf(t.Context(), env); err != nil || len(list) != 2 || list[1].ID != "b" {
		t.Errorf("%+v, %v", list, err)
	}
}

// A group without a command lists its own on standard output, and fails.
func TestGroupsAlone(t *testing.T) {
	for _, group := range []string{"", "container", "healthcheck", "network", "pod", "quadlet", "secret", "setup", "system", "volume"} {
		for _, words := range [][]string{{group}, {group, "--help"}, {group, "-h"}} {
			var out bytes.Buffer
			alone := len(words) == 1
			err := dispatch(context.Background(), &Env{Out: &out}, slices.DeleteFunc(words, func(w string) bool { return w == "" }))
			if !strings.Contains(out.String(), "\nCommands:\n") || alone != (err != nil) || alone && !strings.HasPrefix(err.Error(), "missing command `berth "+group) {
				t.Errorf("%q: %v, %q", words, err, out.String())
			}
		}
	}
	if _, err := call("volume", "--fly", "x"); err == nil || err.Error() != "unknown flag: --fly; see `berth volume --help`" {
		t.Error(err)
	}
}

// What programs ask of a command that they take for Podman or Docker.
func TestVersion(t *testing.T) {
	for _, tt := range []struct{ words, want string }{
		{"--version", "berth " + installed.Version + " with the commands of podman version 5.4.2\n"},
		{"-v", "berth " + installed.Version + " with the commands of podman version 5.4.2\n"},
		{"version --format {{.Client.Version}}={{.Server.Version}}", installed.Version + "=" + installed.Version + "\n"},
		{"version x", `version takes no arguments, and "x" is one`},
		{"info x", `info takes no arguments, and "x" is one`},
		// One that lists or prunes all is not to be taken for one that does so with one thing.
		{"volume ls x", `volume ls takes no arguments, and "x" is one`},
		{"volume prune -f x", `volume prune takes no arguments, and "x" is one`},
		{"network ls x", `network ls takes no arguments, and "x" is one`},
		{"network prune -f x", `network prune takes no arguments, and "x" is one`},
		{"secret ls x", `secret ls takes no arguments, and "x" is one`},
		{"pod ps x", `pod ps takes no arguments, and "x" is one`},
		{"pod prune x", `pod prune takes no arguments, and "x" is one`},
		{"container prune -f x", `container prune takes no arguments, and "x" is one`},
		{"system df x", `system df takes no arguments, and "x" is one`},
	} {
		var out bytes.Buffer
		if err := dispatch(t.Context(), &Env{Out: &out}, strings.Fields(tt.words)); err != nil {
			out.WriteString(err.Error())
		}
		if out.String() != tt.want {
			t.Errorf("%s: got %q, want %q", tt.words, out.String(), tt.want)
		}
	}
}

// TestTellEnding: a command that is interrupted says nothing of contexts, and has the status of shells.
func TestTellEnding(t *testing.T) {
	for _, tt := range []struct {
		cause, err error
		code       int
		said       string
	}{
		{nil, nil, 0, ""},
		{nil, errors.New("a\nb"), 125, "Error: a\nError: b\n"},
		{nil, errors.New("the registry says \x1b]0;x\a\u009bä\r"), 125, "Error: the registry says ?]0;x??ä?\n"},
		{nil, &ExitError{Code: 7}, 7, ""},
		{nil, &ExitError{Code: 1, Err: errors.New("a\nb")}, 1, "Error: a\nError: b\n"},
		{interruption(syscall.SIGINT), nil, 0, ""},
		{interruption(syscall.SIGINT), context.Canceled, 130, ""},
		{interruption(syscall.SIGTERM), context.Canceled, 143, ""},
		{interruption(syscall.SIGTERM), fmt.Errorf("wait for x: %w", context.Canceled), 143, "Error: wait for x: interrupted\n"},
		{interruption(syscall.SIGINT), &ExitError{Code: 1, Err: fmt.Errorf("a: %w", interruption(syscall.SIGINT))}, 130, "Error: a: interrupted\n"},
		{interruption(syscall.SIGINT), &ExitError{Code: 3}, 3, ""},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		if tt.cause != nil {
			cancel(tt.cause)
		}
		var said strings.Builder
		if code := tellEnding(ctx, &said, tt.err); code != tt.code || said.String() != tt.said {
			t.Errorf("%v, %v: %d, %q", tt.cause, tt.err, code, said.String())
		}
	}
}
