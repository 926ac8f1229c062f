package gate_test

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/berth-pods/berth/engine/rootless/gate"
)

// TestPass starts this program again, which starts itself once more when it is told to.
func TestPass(t *testing.T) {
	if os.Getenv("GATE_TEST") != "" {
		os.Stdout.WriteString("passed " + os.Getenv(gate.Variable) + os.Getenv("LISTEN_PID") + "=" + strconv.Itoa(os.Getpid()) + " " + strings.Join(os.Args[2:], "+"))
		os.Exit(0)
	}
	for _, tt := range []struct {
		listen, word, want string
	}{
		{strconv.Itoa(os.Getpid()), gate.Open, "passed PID=PID a b+c"},
		{"1", gate.Open, "passed 1=PID a b+c"},
		{"1", "", "Error: user namespace was not set up\n"},
		{"1", gate.Open + "ne", "Error: user namespace was not set up\n"},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		var out bytes.Buffer
		cmd := exec.Command(os.Args[0], "-test.run=TestPass", "a b", "c")
		cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = []*os.File{r}, &out, &out
		cmd.Env = append(os.Environ(), "GATE_TEST=1", "GODEBUG=inittrace=0", gate.Variable+"=3", "LISTEN_PID="+tt.listen)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		w.WriteString(tt.word)
		w.Close()
		err = cmd.Wait()
		got := strings.ReplaceAll(out.String(), strconv.Itoa(cmd.Process.Pid), "PID")
		if got != tt.want || (err == nil) != strings.HasPrefix(tt.want, "passed") {
			t.Errorf("%q: %q, %v; want %q", tt.word, got, err, tt.want)
		}
	}
}

// TestFirst: what waits has not been through the inits of other packages.
func TestFirst(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1", gate.Variable+"=0") // nothing is on standard input
	out, err := cmd.CombinedOutput()
	if text := string(out); err == nil || !strings.Contains(text, "init syscall ") || strings.Contains(text, "init flag ") {
		t.Errorf("%v:\n%s", err, out)
	}
	if out, _ := exec.Command(os.Args[0], "-test.list=x").CombinedOutput(); strings.Contains(string(out), "Error") {
		t.Errorf("without the variable: %s", out)
	}
}
