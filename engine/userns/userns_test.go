package userns

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// TestOf: a process two namespaces down was set up in the upper one; one in none was set up in none.
func TestOf(t *testing.T) {
	cmd := exec.Command("unshare", "--user", "--map-root-user", "sh", "-c",
		"readlink /proc/self/ns/user; exec unshare --user --map-root-user sh -c 'echo; exec cat'")
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
	lines := bufio.NewReader(out)
	want, _ := lines.ReadString('\n')
	if _, err := lines.ReadString('\n'); err != nil {
		t.Skip("no user namespaces here")
	}
	f, err := Of(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(f.Fd()))); err != nil || got != strings.TrimSpace(want) {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	if f, err := Of(os.Getpid()); err == nil {
		f.Close()
		t.Error("this process is in no namespace below its own")
	}
}
