package hosts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/berth-pods/berth/test/e2e/hosts/agent"
)

// CopyIn copies a file into the machine; the parents of "to" are made.
func CopyIn(ctx context.Context, m Machine, from, to string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	script := `mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"`
	args := []string{"sh", "-c", script, "copy", to, fmt.Sprintf("%o", info.Mode().Perm())}
	return runToSuccess(ctx, m, args, agent.Streams{Stdin: f})
}

// CopyOut copies a file out of the machine.
func CopyOut(ctx context.Context, m Machine, from, to string) error {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	err = runToSuccess(ctx, m, []string{"cat", "--", from}, agent.Streams{Stdout: f})
	return errors.Join(err, f.Close())
}

// runToSuccess makes an error of an exit code, with what the command said.
func runToSuccess(ctx context.Context, m Machine, args []string, io agent.Streams) error {
	var said strings.Builder
	io.Stderr = &said
	code, err := m.Run(ctx, agent.Command{Args: args}, io)
	if err == nil && code != 0 {
		err = fmt.Errorf("exit code %d: %s", code, strings.TrimSpace(said.String()))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return nil
}
