// Package sd is the engine's way to systemd: notifications now, the bus later. It is the home of go-systemd.
package sd

import (
	"fmt"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Manager sends notifications to the service manager that started this process.
type Manager struct{}

// Notify sends a state (sd_notify(3)). Without NOTIFY_SOCKET in the environment nothing happens.
func (Manager) Notify(state string) error {
	if _, err := daemon.SdNotify(false, state); err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	return nil
}
