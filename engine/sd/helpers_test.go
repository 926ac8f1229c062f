package sd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-pods/berth/engine/proc"
)

func TestStartDHCP(t *testing.T) {
	for _, tt := range []struct {
		name    string
		unit    bool   // the distribution has one
		there   bool   // the socket is in its place
		removed bool   // it was, and systemd still believes so
		want    string // programs that were called
	}{
		{"first", true, false, false, "systemctl start netavark-dhcp-proxy.socket"},
		{"again", true, true, false, "systemctl start netavark-dhcp-proxy.socket"},
		{"removed", true, false, true, "systemctl start netavark-dhcp-proxy.socket; systemctl restart netavark-dhcp-proxy.socket"},
		{"no unit, first", false, false, false, "systemctl start netavark-dhcp-proxy.socket; systemd-run --quiet --collect --unit=netavark-dhcp-proxy " +
			"--socket-property=ListenStream=SOCKET --socket-property=SocketMode=0660 -- /netavark dhcp-proxy -a 30"},
		{"no unit, again", false, true, false, "systemctl start netavark-dhcp-proxy.socket"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "sock")
			listen := func() { os.WriteFile(socket, nil, 0o600) }
			if tt.there {
				listen()
			}
			var calls []string
			run := func(_ context.Context, c proc.Command) ([]byte, error) {
				calls = append(calls, filepath.Base(c.Path)+" "+strings.Join(c.Args, " "))
				program := filepath.Base(c.Path)
				switch {
				case program == "systemctl" && !tt.unit:
					return nil, errors.New("unit not found")
				case c.Args[0] == "restart" || program == "systemd-run" || !tt.removed:
					listen()
				}
				return nil, nil
			}
			if err := startDHCP(context.Background(), run, "/netavark", socket); err != nil {
				t.Fatal(err)
			}
			if got := strings.ReplaceAll(strings.Join(calls, "; "), socket, "SOCKET"); got != tt.want {
				t.Errorf("called %s, want %s", got, tt.want)
			}
			if _, err := os.Stat(socket); err != nil {
				t.Errorf("nobody listens: %v", err)
			}
		})
	}
}
