//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-pods/berth/test/e2e/hosts"
	"github.com/berth-pods/berth/test/e2e/hosts/agent"
	"github.com/berth-pods/berth/test/e2e/script"
)

// TestPowerCuts records what a virtual machine writes to a disk while berth works there, and looks at what a power cut would
// have left at each point, with each of three file systems: see test/powercut. BERTH_CUTS limits how many states are looked at.
func TestPowerCuts(t *testing.T) {
	if !*torture {
		t.Skip("a virtual machine is booted, and a thousand states are looked at: make torture does it")
	}
	for _, fs := range []struct{ name, maker, pkg string }{
		{"ext4", "mke2fs", "e2fsprogs"}, {"xfs", "mkfs.xfs", "xfsprogs"}, {"btrfs", "mkfs.btrfs", "btrfs-progs"},
	} {
		t.Run(fs.name, func(t *testing.T) {
			if _, err := exec.LookPath(fs.maker); err != nil {
				t.Skipf("needs %s: apt install %s", fs.maker, fs.pkg)
			}
			cutPower(t, fs.name)
		})
	}
}

func cutPower(t *testing.T, fs string) {
	p := powerCuts{t: t, dir: t.TempDir(), repo: (&bench{}).options(t).Repo}
	p.tool = filepath.Join(p.dir, "powercut")
	p.must("go", "build", "-C", p.repo, "-trimpath", "-o", p.tool, "./test/powercut")
	p.must("make", "--silent", "-C", p.repo, "install", "DESTDIR="+p.root(), "PREFIX=/usr")
	p.must(p.tool, "prepare", "-fs", fs, p.dir)
	p.record()
	p.replay(fs)
}

type powerCuts struct {
	t               *testing.T
	dir, repo, tool string
	archive         []byte
}

// root is where the build is that looks at the states.
func (p *powerCuts) root() string { return filepath.Join(p.dir, "root") }

func (p *powerCuts) must(args ...string) {
	p.t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		p.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// record runs the work in a machine. That the machine ends without a word is one more power cut.
func (p *powerCuts) record() {
	options := (&bench{}).options(p.t)
	options.Kind, options.Record = hosts.VM, p.dir
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	m, err := hosts.Start(ctx, options)
	if err != nil {
		p.t.Fatal(err)
	}
	defer m.Close()
	tool, err := os.Open(p.tool)
	if err != nil {
		p.t.Fatal(err)
	}
	defer tool.Close()
	p.run(ctx, m, "cat >/usr/libexec/berth-test/powercut; chmod 755 /usr/libexec/berth-test/powercut", tool)
	p.run(ctx, m, "BERTH_HOST=vm BERTH_E2E="+hosts.ScriptDir(options)+" bash "+hosts.ScriptDir(options)+"/powercut.sh", nil)
	p.archive = p.run(ctx, m, "cat /usr/share/berth-test/busybox.tar", nil)
}

// run runs a script in the machine and returns what it printed.
func (p *powerCuts) run(ctx context.Context, m hosts.Machine, text string, stdin io.Reader) []byte {
	p.t.Helper()
	var stdout, stderr bytes.Buffer
	code, err := m.Run(ctx, agent.Command{Args: []string{"bash", "-c", text}}, agent.Streams{Stdin: stdin, Stdout: &stdout, Stderr: &stderr})
	if err != nil || code != 0 {
		p.t.Fatalf("%s: exit code %d, %v\n%s%s", text, code, err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.Bytes()
}

// replay looks at the states, in a mount namespace of its own.
func (p *powerCuts) replay(fs string) {
	archive := filepath.Join(p.dir, "busybox.tar")
	if err := os.WriteFile(archive, p.archive, 0o644); err != nil {
		p.t.Fatal(err)
	}
	args := []string{"--mount", "--propagation", "private", p.tool, "replay"}
	if limit := os.Getenv("BERTH_CUTS"); limit != "" {
		args = append(args, "-limit", limit)
	}
	var out bytes.Buffer
	cmd := exec.Command("unshare", append(args, p.dir, p.root(), archive)...)
	both := io.MultiWriter(&out, os.Stderr)
	cmd.Stdout, cmd.Stderr = both, both
	err := cmd.Run()
	result := script.Result{Outcome: script.Passed, Output: out.Bytes()}
	if err != nil {
		result.Outcome = script.Failed
		p.t.Errorf("replay: %v\n%s", err, out.Bytes())
	}
	interruptions.Add("vm/power-cuts-"+fs, result)
}
