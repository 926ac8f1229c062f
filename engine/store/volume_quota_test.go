package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]uint64{"10": 10, "10k": 10 << 10, "10M": 10 << 20, "2g": 2 << 30, "1t": 1 << 40, "5kb": 5 << 10, "5KiB": 5 << 10} {
		if got, err := parseSize(text); got != want || err != nil {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "m", "-1", "1.5g", "99999999999t", "1x"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q is taken as %d", text, got)
		}
	}
}

// A file system without quotas refuses in a sentence, and nothing of the volume is there.
func TestLimitWithoutQuotas(t *testing.T) {
	root := t.TempDir()
	_, err := createVolume(root, Volume{Name: "data", Options: map[string]string{"o": "size=10m"}}, nil)
	if err == nil {
		t.Skip("this file system has project quotas")
	}
	if !strings.Contains(err.Error(), root) || !strings.Contains(err.Error(), "project quotas") {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(root, "data")); err == nil {
		t.Error("something is left")
	}
}
