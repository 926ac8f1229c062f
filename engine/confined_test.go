package engine

import (
	"errors"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestConfined(t *testing.T) {
	tests := []struct{ label, err, want string }{
		{"", "open /x: Permission denied", "open /x: Permission denied"},
		{"u:r:t:s0", "open /x: Permission denied", "ausearch -m avc -ts recent` shows what it has denied to u:r:t:s0"},
		{"u:r:t:s0", "open /x: no such file", "open /x: no such file"},
		{"", "write file `/proc/thread-self/attr/apparmor/exec`: No such file or directory", `AppArmor profile "p" is not loaded`},
	}
	for _, tt := range tests {
		err := errors.New(tt.err)
		got := confined(err, &specs.Spec{Process: &specs.Process{SelinuxLabel: tt.label, ApparmorProfile: "p"}})
		if !errors.Is(got, err) || !strings.Contains(got.Error(), tt.want) || tt.want == tt.err && got != err {
			t.Errorf("%s, %q: %v", tt.err, tt.label, got)
		}
	}
}
