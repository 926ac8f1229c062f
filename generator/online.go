package generator

// waitOnline is what a user's units wait for before they start. A user's manager cannot see the system's targets, so the
// unit asks. It gives up when the system has come up without the target: then nothing wants it, and it will never come.
const waitOnline = `[Unit]
Description=Wait for the system's network, if it is on its way

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=90s
ExecStart=/bin/sh -c 'until systemctl -q is-active network-online.target; do \
	case "$$(systemctl is-system-running)" in initializing|starting) sleep 0.2 ;; *) exit 0 ;; esac; done'
`

// WaitOnline is the unit that every unit of a user names in After=. It has the name of Podman's, in whose place it stands:
// Podman's own waits for its whole timeout where no unit of the system wants the network.
func WaitOnline() *Output {
	return &Output{Name: userNetworkOnline, Text: []byte(waitOnline)}
}
