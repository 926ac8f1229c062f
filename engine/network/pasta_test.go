package network

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/berth-pods/berth/engine"
)

// TestStopPastaOfReusedPID: the PID of a pasta that has ended may be that of another container's by now, which goes on.
func TestStopPastaOfReusedPID(t *testing.T) {
	dir := t.TempDir()
	mine, other := engine.NetworkRequest{Dir: filepath.Join(dir, "mine")}, engine.NetworkRequest{Dir: filepath.Join(dir, "other")}
	program := filepath.Join(dir, "pasta.avx2") // a shell in its place, which repeats what it reads
	shell, err := os.ReadFile("/bin/sh")
	if err == nil {
		err = os.WriteFile(program, shell, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-c", "while read line; do echo $line; done", "--", "--pid", engine.PastaPIDFile(other.Dir), "--netns", "/proc/7/fd/9")
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
		err := errors.Join(os.Mkdir(r.Dir, 0o700), os.WriteFile(engine.PastaPIDFile(r.Dir), fmt.Appendf(nil, "%d\n", cmd.Process.Pid), 0o600), stopPasta(r))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(in, "there?\n") // a signal comes before it
		if answer, _ := answers.ReadString('\n'); (answer == "") != (r.Dir == other.Dir) {
			t.Errorf("%s: it answers %q", r.Dir, answer)
		}
	}
}
