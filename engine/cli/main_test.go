package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestMain gives the tests a store of their own: what they keep must not lie among what the machine has.
func TestMain(m *testing.M) {
	os.Exit(inOwnStore(m))
}

func inOwnStore(m *testing.M) int {
	dir, err := os.MkdirTemp("", "berth-cli-test.")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	conf := filepath.Join(dir, "storage.conf")
	text := fmt.Sprintf("[storage]\ndriver = \"overlay\"\ngraphroot = %q\nrunroot = %q\n", filepath.Join(dir, "store"), filepath.Join(dir, "run"))
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	os.Setenv("CONTAINERS_STORAGE_CONF", conf)
	return m.Run()
}
