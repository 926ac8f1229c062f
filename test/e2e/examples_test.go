//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/berth-pods/berth/test/e2e/hosts"
	"github.com/berth-pods/berth/test/e2e/hosts/agent"
)

// TestExamples runs the examples as their READMEs say: each makes its image from Debian's packages, its files are dropped,
// and its own check is run in the machine.
func TestExamples(t *testing.T) {
	if !slices.Contains(kinds(t), hosts.Nspawn) {
		t.Skip("the examples run on the namespace machine, which -host left out")
	}
	b := bench{t: t, kind: hosts.Nspawn}
	defer b.discard()
	b.start(t)
	for _, e := range []struct{ name, check string }{
		{"hello", `until journalctl -u hello -o cat | grep "Hello berth! I am process 1 "; do sleep 0.1; done`},
		{"web", `curl -fsS --retry 20 --retry-all-errors --retry-delay 1 http://127.0.0.1:8080/ | grep -q "It works"`},
		{"db", `
redis() { exec 3<>/dev/tcp/127.0.0.1/6379; printf '%s\r\n' "$*" >&3; head -n "$lines" <&3; exec 3>&-; }
until lines=1 redis PING 2>/dev/null | grep -q PONG; do sleep 0.1; done
lines=1 redis SET key kept
systemctl restart db
until lines=1 redis PING 2>/dev/null | grep -q PONG; do sleep 0.1; done
lines=2 redis GET key | grep -q kept`},
	} {
		t.Run(e.name, func(t *testing.T) { runExample(t, b.machine, e.name, e.check) })
	}
}

func runExample(t *testing.T, m hosts.Machine, name, check string) {
	dir, err := filepath.Abs(filepath.Join("../../examples", name))
	if err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(t.TempDir(), name+".tar")
	if out, err := exec.Command(filepath.Join(dir, "build-image.sh"), image).CombinedOutput(); err != nil {
		t.Fatalf("build-image.sh: %v\n%s", err, out)
	}
	unit := name + ".container"
	for from, to := range map[string]string{image: "/root/" + name + ".tar", filepath.Join(dir, unit): "/root/" + unit} {
		if err := hosts.CopyIn(t.Context(), m, from, to); err != nil {
			t.Fatal(err)
		}
	}
	script := `set -Eeuo pipefail
trap 'echo "failed: $BASH_COMMAND"; systemctl status ` + name + `' ERR
berth load -q -i /root/` + name + `.tar
install -D -m 0644 /root/` + unit + ` /etc/containers/systemd/` + unit + `
systemctl daemon-reload
systemctl start ` + name + `
timeout 60 bash -Eeuo pipefail <<'F'
` + check + `
F
systemctl stop ` + name + `
[ "$(systemctl show -P Result ` + name + `)" = success ]
[ -z "$(berth ps -aq)" ]
`
	var out bytes.Buffer
	code, err := m.Run(context.Background(), agent.Command{Args: []string{"bash", "-c", script}}, agent.Streams{Stdout: &out, Stderr: &out})
	if err != nil || code != 0 {
		t.Fatalf("exit code %d, %v\n%s", code, err, out.String())
	}
	if testing.Verbose() {
		os.Stdout.Write(out.Bytes())
	}
}
