package proc

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// NoNamespace says that a namespace of a kind, as net, was not made, and what can be done about it (namespaces(7), unshare(2)).
func NoNamespace(kind string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, unix.ENOSPC):
		hint = "; there are as many as user.max_" + kind + "_namespaces allows: `sysctl -w user.max_" + kind + "_namespaces=NUMBER`, by root on the host, allows more"
	case errors.Is(err, unix.EPERM):
		hint = "; a unit's RestrictNamespaces=, or the container that berth is in, forbids it"
	}
	return fmt.Errorf("make %s namespace: %w%s", kind, err, hint)
}
