package sd

import (
	"fmt"

	"github.com/coreos/go-systemd/v22/journal"
)

// Journal writes a line into the journal under the given identifier.
func Journal(identifier, line string) error {
	if err := journal.Send(line, journal.PriInfo, map[string]string{"SYSLOG_IDENTIFIER": identifier}); err != nil {
		return fmt.Errorf("write to the journal: %w", err)
	}
	return nil
}
