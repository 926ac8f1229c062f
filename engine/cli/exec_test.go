package cli

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/spec"
)

// TestStartStatus: run and exec that come to nothing have Podman's exit statuses.
func TestStartStatus(t *testing.T) {
	for _, tt := range []struct {
		err       error
		run, exec int
	}{
		{engine.ErrCommandNotFound, 127, 127},
		{engine.ErrCommandNotRunnable, 126, 126},
		{engine.ErrNoUser, 126, 255},
		{engine.ErrNotRunning, 125, 255},
		{spec.ErrNoCommand, 125, 125},
	} {
		for status, err := range map[int]error{tt.run: startError(tt.err), tt.exec: execError(tt.err)} {
			var exit *ExitError
			got := statusFailed
			if errors.As(err, &exit) {
				got = exit.Code
			}
			if got != status || !errors.Is(err, tt.err) {
				t.Errorf("%v: %d, want %d", tt.err, got, status)
			}
		}
	}
}

func TestCommonPath(t *testing.T) {
	for _, tt := range []struct{ a, b, want string }{
		{"/a/b/c", "/a/b/d", "/a/b"}, {"/a/b", "/a/b/c", "/a/b"}, {"/a", "/b", ""}, {"/", "/a", ""}, {"/ab", "/a", ""},
		{"/user.slice/user-1000.slice/session-1.scope", "/user.slice/user-1000.slice/user@1000.service/app.slice/x.service/container", "/user.slice/user-1000.slice"},
	} {
		if got := commonPath(tt.a, tt.b); got != tt.want {
			t.Errorf("%s and %s: %q, want %q", tt.a, tt.b, got, tt.want)
		}
	}
}

// TestCopied: a unit gets of the caller's variables those that it needs, and only those that are set.
func TestCopied(t *testing.T) {
	for _, e := range os.Environ() {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value) // back afterwards
		os.Unsetenv(name)
	}
	for _, e := range []string{"A=1", "AB=2", "B=3", "CONTAINERS_CONF=/x", "http_proxy=p", "LISTEN_FDS=1", "NOTIFY_SOCKET=/y"} {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
	for _, tt := range []struct {
		c    spec.Container
		want string
	}{
		{spec.Container{}, "CONTAINERS_CONF"},
		{spec.Container{HTTPProxy: true}, "CONTAINERS_CONF http_proxy"},
		{spec.Container{Environment: []string{"B", "UNSET", "X=1"}}, "B CONTAINERS_CONF"},
		{spec.Container{Environment: []string{"A*"}}, "A AB CONTAINERS_CONF"},
		{spec.Container{EnvHost: true}, "A AB B CONTAINERS_CONF http_proxy"},
	} {
		if got := strings.Join(copied(tt.c), " "); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.c, got, tt.want)
		}
	}
}
