package hosts

import (
	"context"
	"errors"
	"os"
	"os/exec"

	"github.com/berth-pods/berth/test/e2e/hosts/agent"
)

// localMachine is the machine that the tests were started on: real, and not to be switched off.
type localMachine struct{}

var errLocal = errors.New("not on the machine that the tests were started on")

func (localMachine) Run(ctx context.Context, c agent.Command, io agent.Streams) (int, error) {
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Dir = c.Dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = io.Stdin, io.Stdout, io.Stderr
	err := cmd.Run()
	var failed *exec.ExitError
	if errors.As(err, &failed) && ctx.Err() == nil {
		return failed.ExitCode(), nil
	}
	if err != nil {
		return -1, err
	}
	return 0, nil
}

func (localMachine) Reboot(context.Context) error   { return errLocal }
func (localMachine) PowerCut(context.Context) error { return errLocal }
func (localMachine) Close() error                   { return nil }
