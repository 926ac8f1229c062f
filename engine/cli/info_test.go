package cli

import (
	"slices"
	"testing"
)

// TestTooOld: of what is older than berth needs both versions are told; what does not say its version, or is another program, is passed
// over.
func TestTooOld(t *testing.T) {
	for _, tt := range []struct {
		kernel, runtime, systemd string
		want                     []string
	}{
		{"6.12.57+deb13-amd64", "crun version 1.21\ncommit: 10", "systemd 257 (257.9-1~deb13u1)\n+PAM", nil},
		{"5.14.0-70.el9", "crun version 1.28.1-dirty", "systemd 252 (252-1)", nil},
		{"5.10.0-1-amd64", "crun version 1.8.1", "systemd 247 (247.3-7)", []string{
			"Linux 5.10 is older than 5.14, which berth needs", "crun 1.8 is older than 1.21, which berth needs", "systemd 247 is older than 252, which berth needs",
		}},
		{"4.19", "runc version 1.1.15", "", []string{"Linux 4.19 is older than 5.14, which berth needs"}},
		{"", "", "", nil},
	} {
		h := infoHost{Kernel: tt.kernel, OCIRuntime: infoProgram{Version: tt.runtime}}
		if got := tooOld(h, tt.systemd); !slices.Equal(got, tt.want) {
			t.Errorf("%+v: %q", tt, got)
		}
	}
}
