package sd

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/berth-pods/berth/engine/proc"
)

// IsService tells whether a unit is one that systemd starts and stops, unlike a scope.
func IsService(unit string) bool { return strings.HasSuffix(unit, ".service") }

// Systemctl asks the service manager, the user's own or the system's, and waits for what it does.
func Systemctl(ctx context.Context, run proc.Runner, user bool, verb, unit string) error {
	args := []string{verb, "--", unit}
	if user {
		args = append([]string{"--user"}, args...)
	}
	if _, err := run(ctx, proc.Command{Path: "/usr/bin/systemctl", Args: args}); err != nil {
		return fmt.Errorf("systemctl %s %s: %w", verb, unit, err)
	}
	return nil
}

// ExitOf is how the main process of a unit has ended, as a shell would say it, if the manager remembers.
func ExitOf(ctx context.Context, run proc.Runner, user bool, unit string) (int, bool) {
	if !IsService(unit) {
		return 0, false
	}
	args := []string{"show", "--property=ExecMainCode,ExecMainStatus", "--", unit}
	if user {
		args = append([]string{"--user"}, args...)
	}
	out, err := run(ctx, proc.Command{Path: "/usr/bin/systemctl", Args: args})
	if err != nil {
		return 0, false
	}
	values := map[string]int{}
	for _, line := range strings.Split(string(out), "\n") {
		name, text, _ := strings.Cut(line, "=")
		if n, err := strconv.Atoi(text); err == nil {
			values[name] = n
		}
	}
	switch values["ExecMainCode"] { // of waitid(2): CLD_EXITED, CLD_KILLED, CLD_DUMPED
	case 1:
		return values["ExecMainStatus"], true
	case 2, 3:
		return 128 + values["ExecMainStatus"], true
	}
	return 0, false
}

// IsTransient tells whether a unit was made by a command, and has no file that somebody has written.
func IsTransient(ctx context.Context, run proc.Runner, user bool, unit string) bool {
	text, err := property(ctx, run, user, unit, "Transient")
	return err == nil && text == "yes"
}

// Restarts is how often the manager has started a unit again by itself; 0 when it does not say.
func Restarts(ctx context.Context, run proc.Runner, user bool, unit string) int {
	text, err := property(ctx, run, user, unit, "NRestarts")
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(text)
	return n
}

// property asks the manager for one property of a unit.
func property(ctx context.Context, run proc.Runner, user bool, unit, name string) (string, error) {
	args := []string{"show", "--property=" + name, "--value", "--", unit}
	if user {
		args = append([]string{"--user"}, args...)
	}
	out, err := run(ctx, proc.Command{Path: "/usr/bin/systemctl", Args: args})
	return strings.TrimSpace(string(out)), err
}

// SetProperties changes properties of a unit that is there, until the next boot at the latest; those of a transient unit go
// with it.
func SetProperties(ctx context.Context, run proc.Runner, user bool, unit string, properties []string) error {
	args := append([]string{"set-property", "--runtime", "--", unit}, properties...)
	if user {
		args = append([]string{"--user"}, args...)
	}
	if _, err := run(ctx, proc.Command{Path: "/usr/bin/systemctl", Args: args}); err != nil {
		return fmt.Errorf("systemctl set-property %s %s: %w", unit, strings.Join(properties, " "), err)
	}
	return nil
}
