package sd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/berth-pods/berth/engine/proc"
)

// NameServerUnit is the unit of the name server that all containers share.
const NameServerUnit = "berth-dns.service"

// NameServer says how aardvark-dns is started.
type NameServer struct {
	User  bool     // by the user's manager, not the system's
	With  string   // unit that it ends with; "" for none
	Words []string // that start it, less its own
}

// StartNameServer starts aardvark-dns as a unit of its own. netavark would start it in a scope, where nobody brings it
// back when it is killed; systemd does, within a moment, and no container notices. The words are netavark's: --config DIR …
func StartNameServer(ctx context.Context, run proc.Runner, s NameServer, args []string) error {
	if _, err := os.Stat("/run/systemd/system"); err != nil && !s.User {
		return fmt.Errorf("start %s: %w", s.Words[0], syscall.Exec(s.Words[0], append(s.Words, args...), os.Environ()))
	}
	dir := ""
	if i := slices.Index(args, "--config"); i >= 0 && i+1 < len(args) {
		dir = args[i+1]
	}
	words := s.args(dir, args)
	_, err := run(ctx, proc.Command{Path: "/usr/bin/systemd-run", Args: words})
	var exit *proc.ExitError
	if errors.As(err, &exit) { // it is there, but was between an end and a start when netavark looked for it
		if control(ctx, run, s.User, "restart", NameServerUnit) == nil {
			return nil
		}
	}
	return err
}

// args are the words of systemd-run(1). aardvark-dns forks and writes its PID beside the files of the networks;
// it ends on its own, with status 0, when the last network is gone.
func (s NameServer) args(dir string, args []string) []string {
	words := []string{
		"--quiet", "--collect", "--unit=" + NameServerUnit, "--description=Names of containers", "--service-type=forking",
		"--property=PIDFile=" + filepath.Join(dir, "aardvark.pid"), "--property=Restart=on-failure", "--property=RestartSec=50ms",
		"--property=StartLimitIntervalSec=0",
	}
	if s.With != "" {
		words = append(words, "--property=PartOf="+s.With, "--property=After="+s.With)
	}
	if s.User {
		words = append([]string{"--user"}, words...)
	}
	return slices.Concat(words, []string{"--"}, s.Words, args)
}

// StartDHCP starts netavark's DHCP client, which keeps the leases of containers. Distributions have a socket unit for it;
// where there is none it gets units of its own. It is there when StartDHCP returns: systemd listens until it runs.
func StartDHCP(ctx context.Context, run proc.Runner, netavark string) error {
	return startDHCP(ctx, run, netavark, "/run/podman/nv-proxy.sock")
}

func startDHCP(ctx context.Context, run proc.Runner, netavark, socket string) error {
	const unit = "netavark-dhcp-proxy"
	listens := func() bool {
		_, err := os.Stat(socket)
		return err == nil
	}
	err := control(ctx, run, false, "start", unit+".socket")
	if err == nil && !listens() { // somebody has removed it, as `podman system reset` does; systemd does not look
		if err := control(ctx, run, false, "restart", unit+".socket"); err != nil {
			return fmt.Errorf("start netavark's DHCP client: %w; `systemctl status %s.socket` tells more", err, unit)
		}
	}
	if err == nil || listens() {
		return nil
	}
	args := []string{"--quiet", "--collect", "--unit=" + unit, "--socket-property=ListenStream=" + socket, "--socket-property=SocketMode=0660", "--", netavark, "dhcp-proxy", "-a", "30"}
	if _, err := run(ctx, proc.Command{Path: "/usr/bin/systemd-run", Args: args}); err != nil {
		return fmt.Errorf("start netavark's DHCP client: %w; `systemctl status %s.socket` tells more", err, unit)
	}
	return nil
}

// Stop stops a unit and waits until it has stopped; StopLater only asks for it, and Restart starts it again too.
func Stop(ctx context.Context, run proc.Runner, user bool, unit string) error {
	return control(ctx, run, user, "stop", unit)
}

// StopLater asks for a unit's stop.
func StopLater(ctx context.Context, run proc.Runner, user bool, unit string) error {
	return control(ctx, run, user, "--no-block", "stop", unit)
}

// Restart stops a unit and starts it again.
func Restart(ctx context.Context, run proc.Runner, user bool, unit string) error {
	return control(ctx, run, user, "restart", unit)
}

func control(ctx context.Context, run proc.Runner, user bool, words ...string) error {
	if _, err := call(ctx, run, user, words...); err != nil {
		return fmt.Errorf("%s %s: %w", words[len(words)-2], words[len(words)-1], err)
	}
	return nil
}

// Returns tells whether systemd is about to start a unit again whose service is ending: because somebody has asked for it,
// or because of what the unit says about the way in which it ended ($SERVICE_RESULT, systemd.exec(5)). An error says that the
// manager has not told.
func Returns(ctx context.Context, run proc.Runner, user bool, unit string) (bool, error) {
	out, err := call(ctx, run, user, "list-jobs", "--plain", "--no-legend", unit) // ID UNIT TYPE STATE
	if err != nil {
		return false, err
	}
	if job := strings.Fields(string(out)); len(job) > 2 {
		return job[2] != "stop", nil
	}
	policy, err := property(ctx, run, user, unit, "Restart")
	return restarts(policy, os.Getenv("SERVICE_RESULT")), err
}

// restarts is the table of systemd.service(5), Restart=.
func restarts(policy, result string) bool {
	clean := result == "success" || result == ""
	switch policy {
	case "always":
		return true
	case "on-success":
		return clean
	case "on-failure":
		return !clean
	case "on-abnormal":
		return !clean && result != "exit-code"
	case "on-watchdog":
		return result == "watchdog"
	case "on-abort":
		return result == "signal" || result == "core-dump"
	}
	return false
}
