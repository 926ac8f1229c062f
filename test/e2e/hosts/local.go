package hosts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/berth-pods/berth/test/e2e/hosts/agent"
)

// localMachine is the machine that the tests were started on: real, used as it is, and not to be switched off. What
// scripts use besides lies in dir.
type localMachine struct {
	dir string
}

var errLocal = errors.New("not on the machine that the tests were started on")

// startLocal builds what scripts use. The programs under test are those that are installed.
func startLocal(ctx context.Context, o Options) (*localMachine, error) {
	if err := checkLocal(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "berth-e2e-")
	if err != nil {
		return nil, err
	}
	m := &localMachine{dir}
	p := payload{repo: o.Repo, kind: Local, base: Base{"/nonexistent"}, dir: dir}
	if err := p.stage(ctx, p.tests()); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, os.Chmod(dir, 0o755) // users read the images
}

func checkLocal() error {
	name, err := os.ReadFile("/proc/1/comm")
	if err != nil {
		return err
	}
	if string(name) != "systemd\n" {
		return fmt.Errorf("PID 1 of this machine is %q, not systemd", name[:len(name)-1])
	}
	return nil
}

func (m *localMachine) Run(ctx context.Context, c agent.Command, io agent.Streams) (int, error) {
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Env = append(os.Environ(),
		"BERTH_IMAGES="+filepath.Join(m.dir, testDir),
		"BERTH_TOOLS="+filepath.Join(m.dir, toolDir))
	cmd.Env = append(cmd.Env, c.Env...)
	cmd.Dir = c.Dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = io.Stdin, io.Stdout, io.Stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		return -1, context.Cause(ctx)
	}
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return failed.ExitCode(), nil
	}
	if err != nil {
		return -1, err
	}
	return 0, nil
}

// Reboot refuses.
func (m *localMachine) Reboot(context.Context) error { return errLocal }

// PowerCut refuses.
func (m *localMachine) PowerCut(context.Context) error { return errLocal }

// Close removes what was built for the scripts.
func (m *localMachine) Close() error { return os.RemoveAll(m.dir) }
