package proc

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNoNamespace(t *testing.T) {
	for _, tt := range []struct {
		kind string
		err  error
		want string
	}{
		{"net", unix.ENOSPC, "make net namespace: no space left on device; there are as many as user.max_net_namespaces allows: `sysctl -w user.max_net_namespaces=NUMBER`"},
		{"uts", unix.EPERM, "make uts namespace: operation not permitted; a unit's RestrictNamespaces=, or the container"},
		{"ipc", unix.ENOMEM, "make ipc namespace: cannot allocate memory"},
	} {
		if err := NoNamespace(tt.kind, tt.err); !errors.Is(err, tt.err) || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%v; want %s", err, tt.want)
		}
	}
}
