package sd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/berth-pods/berth/engine/proc"
)

// IsService tells whether a unit is one that systemd starts and stops, unlike a scope.
func IsService(unit string) bool { return strings.HasSuffix(unit, ".service") }

// Systemctl asks the service manager, the user's own or the system's, and waits for what it does.
func Systemctl(ctx context.Context, run proc.Runner, user bool, verb, unit string) error {
	if _, err := call(ctx, run, user, verb, "--", unit); err != nil {
		return fmt.Errorf("systemctl %s %s: %w", verb, unit, err)
	}
	return nil
}

// call calls systemctl(1).
func call(ctx context.Context, run proc.Runner, user bool, words ...string) ([]byte, error) {
	if user {
		words = append([]string{"--user"}, words...)
	}
	return run(ctx, proc.Command{Path: "/usr/bin/systemctl", Args: words})
}

// ExitOf is how the main process of a unit has ended, as a shell would say it, if the manager remembers.
func ExitOf(ctx context.Context, run proc.Runner, user bool, unit string) (int, bool) {
	if !IsService(unit) {
		return 0, false
	}
	values, err := properties(ctx, run, user, unit, "ExecMainCode,ExecMainStatus")
	status, noNumber := strconv.Atoi(values["ExecMainStatus"])
	if err != nil || noNumber != nil {
		return 0, false
	}
	switch values["ExecMainCode"] { // of waitid(2): CLD_EXITED, CLD_KILLED, CLD_DUMPED
	case "1":
		return status, true
	case "2", "3":
		return 128 + status, true
	}
	return 0, false
}

// IsTransient tells whether a unit was made by a command, and has no file that somebody has written.
func IsTransient(ctx context.Context, run proc.Runner, user bool, unit string) bool {
	text, err := property(ctx, run, user, unit, "Transient")
	return err == nil && text == "yes"
}

// HasTransientFile tells whether the manager has a file of its own for a unit that a command has made. It goes when the unit does
// (systemd.unit(5), "Unit File Load Path").
func HasTransientFile(user bool, unit string) bool {
	_, err := os.Lstat(filepath.Join(managerDir(user), "transient", unit))
	return err == nil
}

// Restarts is how often the manager has started each of the units again by itself; 0 when it does not say.
func Restarts(ctx context.Context, run proc.Runner, user bool, units ...string) []int {
	counts := make([]int, len(units))
	if len(units) == 0 {
		return nil
	}
	out, _ := call(ctx, run, user, append([]string{"show", "--property=NRestarts", "--value", "--"}, units...)...)
	for i, text := range strings.Fields(string(out)) {
		if i < len(counts) {
			counts[i], _ = strconv.Atoi(text)
		}
	}
	return counts
}

// property asks the manager for one property of a unit.
func property(ctx context.Context, run proc.Runner, user bool, unit, name string) (string, error) {
	out, err := call(ctx, run, user, "show", "--property="+name, "--value", "--", unit)
	return strings.TrimSpace(string(out)), err
}

// properties asks the manager for several properties of a unit, as they are at one moment.
func properties(ctx context.Context, run proc.Runner, user bool, unit, names string) (map[string]string, error) {
	out, err := call(ctx, run, user, "show", "--property="+names, "--", unit)
	values := map[string]string{}
	for _, line := range strings.Split(string(out), "\n") {
		name, value, _ := strings.Cut(line, "=")
		values[name] = value
	}
	return values, err
}

// SetProperties changes properties of a unit that is there, until the next boot at the latest; those of a transient unit go
// with it.
func SetProperties(ctx context.Context, run proc.Runner, user bool, unit string, list []string) error {
	args := append([]string{"set-property", "--runtime", "--", unit}, list...)
	if _, err := call(ctx, run, user, args...); err != nil {
		return fmt.Errorf("systemctl set-property %s %s: %w", unit, strings.Join(list, " "), err)
	}
	return nil
}
