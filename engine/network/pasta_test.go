package network

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/proc"
)

// shellAsPasta is a shell in pasta's place.
func shellAsPasta(t *testing.T, script string, r engine.NetworkRequest) *exec.Cmd {
	t.Helper()
	program := filepath.Join(t.TempDir(), "pasta.avx2")
	shell, err := os.ReadFile("/bin/sh")
	if err == nil {
		err = os.WriteFile(program, shell, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command(program, "-c", script, "--", "--pid", engine.PastaPIDFile(r.Dir), "--netns", "/proc/7/fd/9")
}

// TestStopPastaWaits: the ports of a pasta are free when it has been stopped, also when it is deaf and there is no time to wait.
func TestStopPastaWaits(t *testing.T) {
	r := engine.NetworkRequest{Dir: t.TempDir()}
	cmd := shellAsPasta(t, "trap '' TERM; echo deaf; read line", r)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err := errors.Join(err, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	id, err := proc.Identify(cmd.Process.Pid)
	if err == nil {
		_, err = bufio.NewReader(out).ReadString('\n')
	}
	if err := errors.Join(err, os.WriteFile(engine.PastaPIDFile(r.Dir), fmt.Append(nil, id.PID), 0o600)); err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := stopPasta(over, r); err != nil || id.Running() {
		t.Errorf("%v; it runs: %t", err, id.Running())
	}
}

// TestStopPastaOfReusedPID: the PID of a pasta that has ended may be that of another container's by now, which goes on.
func TestStopPastaOfReusedPID(t *testing.T) {
	dir := t.TempDir()
	mine, other := engine.NetworkRequest{Dir: filepath.Join(dir, "mine")}, engine.NetworkRequest{Dir: filepath.Join(dir, "other")}
	cmd := shellAsPasta(t, "while read line; do echo $line; done", other) // it repeats what it reads
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	answers := bufio.NewReader(out)
	for _, r := range []engine.NetworkRequest{mine, other} { // the second is the control
		err := errors.Join(os.Mkdir(r.Dir, 0o700), os.WriteFile(engine.PastaPIDFile(r.Dir), fmt.Appendf(nil, "%d\n", cmd.Process.Pid), 0o600), stopPasta(t.Context(), r))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(in, "there?\n") // a signal comes before it
		if answer, _ := answers.ReadString('\n'); (answer == "") != (r.Dir == other.Dir) {
			t.Errorf("%s: it answers %q", r.Dir, answer)
		}
	}
}
