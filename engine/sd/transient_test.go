package sd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/berth-pods/berth/engine/proc"
)

func TestTransientArgs(t *testing.T) {
	unit := Transient{Unit: "web", Program: "/usr/bin/berth", Start: []string{"run", "-d", "image", "sh", "-c", "echo $HOME ${A} 5%"}, Stop: []string{"rm", "-f", "web"}}
	want := []string{
		"--quiet", "--collect", "--unit=web.service", "--description=web, started by berth", "--service-type=notify", "--property=NotifyAccess=all", "--property=Delegate=yes",
		"--property=KillMode=mixed", "--property=SyslogIdentifier=web", `--property=ExecStop="/usr/bin/berth" "rm" "-f" "web"`,
		`--property=ExecStopPost=-"/usr/bin/berth" "rm" "-f" "web"`, "--same-dir", "--",
		"/usr/bin/berth", "run", "-d", "image", "sh", "-c", "echo $$HOME $${A} 5%",
	}
	if got := unit.args(); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	unit.User, unit.Setenv, unit.Properties = true, []string{"TOKEN"}, []string{"TasksMax=5"}
	got := strings.Join(unit.args(), " ")
	if !strings.Contains(got, " --property=TasksMax=5 --user --setenv=TOKEN --same-dir -- ") {
		t.Errorf("a user's: %s", got)
	}
}

func TestQuote(t *testing.T) {
	for word, want := range map[string]string{"a b": `"a b"`, `a"b`: `"a\"b"`, `a\b`: `"a\\b"`, "$A": `"$$A"`, "%n": `"%%n"`, "": `""`} {
		if got := quote([]string{word}); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
}

func TestRestarts(t *testing.T) {
	for _, tt := range []struct {
		policy, result string
		want           bool
	}{
		{"no", "exit-code", false}, {"always", "success", true}, {"on-success", "success", true}, {"on-success", "signal", false},
		{"on-failure", "success", false}, {"on-failure", "exit-code", true}, {"on-abnormal", "exit-code", false}, {"on-abnormal", "timeout", true},
		{"on-watchdog", "watchdog", true}, {"on-abort", "core-dump", true}, {"on-abort", "exit-code", false}, {"", "signal", false},
	} {
		if got := restarts(tt.policy, tt.result); got != tt.want {
			t.Errorf("%s after %s: %v", tt.policy, tt.result, got)
		}
	}
}

func TestNameServerArgs(t *testing.T) {
	got := strings.Join(NameServer{Words: []string{"/lib/aardvark-dns"}}.args("/run/x", []string{"--config", "/run/x", "-p", "53", "run"}), " ")
	if !strings.HasSuffix(got, " -- /lib/aardvark-dns --config /run/x -p 53 run") || !strings.Contains(got, "--property=PIDFile=/run/x/aardvark.pid ") {
		t.Error(got)
	}
	got = strings.Join(NameServer{User: true, With: "net.service", Words: []string{"/lib/net", "enter", "/lib/dns"}}.args("/run/x", []string{"run"}), " ")
	if !strings.HasPrefix(got, "--user ") || !strings.HasSuffix(got, " --property=PartOf=net.service --property=After=net.service -- /lib/net enter /lib/dns run") {
		t.Error(got)
	}
}

// TestStartAfterAnother: the end of a unit of the same name is waited for, those who start the same are, and one that runs, and a start that
// fails by itself, are told at once.
func TestStartAfterAnother(t *testing.T) {
	loaded := &proc.ExitError{Program: "systemd-run", Code: 1, Stderr: "Failed to start transient service unit: Unit a.service was already loaded or has a fragment file."}
	failed := &proc.ExitError{Program: "systemd-run", Code: 1, Stderr: "Job for a.service failed"}
	const ours = "a, started by berth"
	for _, tt := range []struct {
		name                     string
		shared                   bool
		state, file, description string
		first                    error
		stop                     error
		want                     string // programs that were called
		err                      error
	}{
		{name: "nothing in the way", want: "systemd-run"},
		{name: "it is ending", state: "deactivating", first: loaded, want: "systemd-run show --job-mode=fail systemd-run"},
		{name: "it has ended meanwhile", shared: true, state: "inactive", first: loaded, want: "systemd-run show systemd-run"},
		{name: "another's runs", state: "active", first: loaded, want: "systemd-run show systemd-run(berth-a.service)"},
		{name: "another's runs, and many start this one", shared: true, state: "active", description: "A", first: loaded, want: "systemd-run show systemd-run(berth-a.service)"},
		{name: "others start it", shared: true, state: "activating", description: ours, first: loaded, want: "systemd-run show start", err: ErrAtOnce},
		{name: "others start it after its end", shared: true, state: "deactivating", description: ours, first: loaded, stop: failed, want: "systemd-run show --job-mode=fail start", err: ErrAtOnce},
		{name: "others have started it, and it has ended", shared: true, state: "inactive", file: "/run/systemd/transient/a.service", description: ours, first: loaded, want: "systemd-run show start", err: ErrAtOnce},
		{name: "others run one of that name", state: "activating", description: ours, first: loaded, want: "systemd-run show systemd-run(berth-a.service)"},
		{name: "another's unit file", state: "inactive", file: "/etc/a.service", first: loaded, want: "systemd-run show systemd-run(berth-a.service)"},
		{name: "it fails itself", state: "deactivating", first: failed, want: "systemd-run", err: failed},
	} {
		var calls []string
		first := tt.first
		run := func(_ context.Context, c proc.Command) ([]byte, error) {
			if filepath.Base(c.Path) == "systemctl" {
				calls = append(calls, c.Args[0])
				if c.Args[0] == "--job-mode=fail" {
					return nil, tt.stop
				}
				return fmt.Appendf(nil, "ActiveState=%s\nFragmentPath=%s\nDescription=%s\n", tt.state, tt.file, tt.description), nil
			}
			call := filepath.Base(c.Path)
			if slices.Contains(c.Args, "--unit=berth-a.service") {
				call += "(berth-a.service)"
			}
			calls = append(calls, call)
			err := first
			first = nil
			return nil, err
		}
		err := Transient{Unit: "a", Program: "/berth", Shared: tt.shared}.start(context.Background(), run)
		if got := strings.Join(calls, " "); got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: called %s, %v; want %s", tt.name, got, err, tt.want)
		}
		var made *StartError
		if errors.As(err, &made) != errors.Is(tt.err, failed) || made != nil && made.Unit != "a.service" {
			t.Errorf("%s: its unit: %+v", tt.name, made)
		}
	}
}
