package sd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/berth-pods/berth/engine/proc"
)

// Transient is a container's unit that systemd makes for this boot, shaped as the generator shapes those of files.
type Transient struct {
	User     bool   // the user's manager, not the system's
	Unit     string // without .service
	Program  string
	Start    []string // the words that start the container
	Stop     []string // the words that stop it, or take it away; they must succeed when there is none
	StopPost []string // the words for after its end; nil: Stop
	Setenv   []string // names of variables that the unit gets from the caller
	// Properties are more properties, as NAME=VALUE.
	Properties []string
	Shared     bool // others may start the same at the same time: that is ErrAtOnce

	prefixed bool // the unit's name is berth-UNIT
}

// Available says what is missing where no service manager runs (sd_booted(3)).
func Available() error {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return errors.New("berth run -d needs systemd to look after the container, and systemd does not run here; without -d the container runs in the foreground")
	}
	return nil
}

// StartError says that a unit was made and has not started. The manager may try it again, as its Restart= says.
type StartError struct {
	Unit string
	error
}

func (e *StartError) Unwrap() error { return e.error }

// StartTransient starts the unit and returns when the container has started; StartError when it has not.
func StartTransient(ctx context.Context, run proc.Runner, t Transient) error {
	if err := Available(); err != nil {
		return err
	}
	return t.start(ctx, run)
}

// ErrAtOnce says that others have started the same at the same time. How that has ended is known: their job is done.
var ErrAtOnce = errors.New("others start it at the same time")

func (t Transient) start(ctx context.Context, run proc.Runner) error {
	for {
		_, err := run(ctx, proc.Command{Path: "/usr/bin/systemd-run", Args: t.args()})
		if err == nil {
			return nil
		}
		others := taken(err)
		if others {
			there, lookErr := properties(ctx, run, t.User, t.unit(), "ActiveState,FragmentPath,Description")
			switch {
			case lookErr != nil:
			case t.ended(ctx, run, there):
				continue
			case t.Shared && there["Description"] == t.description():
				_ = Systemctl(ctx, run, t.User, "start", t.unit())
				err = ErrAtOnce
			case !t.prefixed: // a service of the machine's has the container's name
				t.prefixed = true
				continue
			}
		}
		name := strings.TrimSuffix(t.unit(), ".service")
		err = fmt.Errorf("start unit %s.service: %w; `journalctl -u %[1]s` tells more", name, err)
		if others {
			return err
		}
		return &StartError{t.unit(), err}
	}
}

// taken reports whether a unit could not be made because there is one with its name.
func taken(err error) bool {
	var exit *proc.ExitError
	return errors.As(err, &exit) && strings.Contains(exit.Stderr, "already loaded")
}

func (t Transient) unit() string {
	if t.prefixed {
		return "berth-" + t.Unit + ".service"
	}
	return t.Unit + ".service"
}

// ended reports whether the unit could not be made because one of its name was about to end, and waits for that: its container
// may be gone before it. One that others have made anew is left alone.
func (t Transient) ended(ctx context.Context, run proc.Runner, there map[string]string) bool {
	switch there["ActiveState"] {
	case "inactive":
		return there["FragmentPath"] == "" // it has gone meanwhile
	case "deactivating":
		return control(ctx, run, t.User, "--job-mode=fail", "stop", t.unit()) == nil
	}
	return false
}

// Lives tells whether a unit is there, also between two runs of its service, whose commands are for the container of an ID.
func Lives(ctx context.Context, run proc.Runner, user bool, unit, id string) bool {
	there, err := properties(ctx, run, user, unit, "ActiveState,ExecStop")
	return err == nil && strings.Contains(there["ExecStop"], id) && there["ActiveState"] != "inactive" && there["ActiveState"] != "failed"
}

func (t Transient) description() string { return t.Unit + ", started by berth" }

// args are the words of systemd-run(1). Without a description all words would be it, with the passwords that may be among
// them, and go into the journal.
func (t Transient) args() []string {
	stop := quote(append([]string{t.Program}, t.Stop...))
	post := stop
	if t.StopPost != nil {
		post = quote(append([]string{t.Program}, t.StopPost...))
	}
	args := []string{"--quiet", "--collect", "--unit=" + t.unit(), "--description=" + t.description(), "--service-type=notify"}
	for _, p := range append([]string{"NotifyAccess=all", "Delegate=yes", "KillMode=mixed", "SyslogIdentifier=" + t.Unit, "ExecStop=" + stop, "ExecStopPost=-" + post}, t.Properties...) {
		args = append(args, "--property="+p)
	}
	if t.User {
		args = append(args, "--user")
	}
	for _, name := range t.Setenv {
		args = append(args, "--setenv="+name)
	}
	args = append(args, "--same-dir", "--", t.Program)
	for _, w := range t.Start {
		// The manager replaces variables in the words of a service (systemd.service(5), "Command lines").
		args = append(args, strings.ReplaceAll(w, "$", "$$"))
	}
	return args
}

// RuntimeMax is how long this process's unit may run, as systemd writes it: "infinity" without a limit.
func RuntimeMax(ctx context.Context, run proc.Runner, user bool) (string, error) {
	args := []string{"show", "--property=RuntimeMaxUSec", "--value"}
	if user {
		args = append(args, "--user")
	}
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	unit := ""
	for _, part := range strings.Split(strings.TrimSpace(string(text)), "/") {
		if strings.HasSuffix(part, ".service") || strings.HasSuffix(part, ".scope") {
			unit = part
		}
	}
	out, err := run(ctx, proc.Command{Path: "/usr/bin/systemctl", Args: append(args, "--", unit)})
	return strings.TrimSpace(string(out)), err
}

// Scope is a program that runs in a scope of its own.
type Scope struct {
	User    bool // the user's manager, not the system's
	Slice   string
	Program string
	Args    []string
}

// StartUnit starts a unit of the system's manager, or of the user's, and returns when it has started.
func StartUnit(ctx context.Context, run proc.Runner, user bool, unit string) error {
	if _, err := call(ctx, run, user, "--no-ask-password", "--quiet", "start", unit); err != nil {
		return fmt.Errorf("start unit %s: %w", unit, err)
	}
	return nil
}

// Reachable tells whether the system's manager, or the user's, can be asked.
func Reachable(user bool) bool {
	manager := "/run/systemd/system"
	if user {
		manager = filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "systemd/private")
	}
	_, err := os.Stat(manager)
	return err == nil
}

// ExecScope replaces this process by the program in the scope, whose control group may be divided. It returns nil, with
// nothing done, where there is no service manager to ask.
func ExecScope(s Scope) error {
	if !Reachable(s.User) {
		return nil
	}
	words := []string{"systemd-run", "--scope", "--quiet", "--collect", "--property=Delegate=yes", "--description=A command of berth"}
	if s.User {
		words = append(words, "--user")
	}
	if s.Slice != "" {
		words = append(words, "--slice="+s.Slice)
	}
	words = append(append(words, "--", s.Program), s.Args...)
	err := syscall.Exec("/usr/bin/"+words[0], words, os.Environ())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("start a scope: %w", err)
}

// quote writes words as an Exec line takes them (systemd.service(5), "Command lines").
func quote(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		w = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `$$`, `%`, `%%`).Replace(w)
		quoted[i] = `"` + w + `"`
	}
	return strings.Join(quoted, " ")
}
