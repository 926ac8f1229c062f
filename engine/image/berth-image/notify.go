//go:build containers_image_openpgp

package main

import (
	"net"
	"strings"
)

// notifier returns the function that sends state lines to the service manager at socket, the value of $NOTIFY_SOCKET: a
// path, or @NAME in the abstract namespace. With no socket it does nothing. Errors are passed over: a status that does
// not arrive must not stop a pull.
func notifier(socket string) func(state string) {
	if socket == "" {
		return func(string) {}
	}
	if name, ok := strings.CutPrefix(socket, "@"); ok {
		socket = "\x00" + name
	}
	return func(state string) {
		c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = c.Write([]byte(state))
	}
}
