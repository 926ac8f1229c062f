package script

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/berth-pods/berth/test/e2e/hosts"
	"github.com/berth-pods/berth/test/e2e/hosts/agent"
)

func write(t *testing.T, files map[string]string) string {
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoadDir(t *testing.T) {
	dir := write(t, map[string]string{
		"lib.sh":     "no script, for its name begins with no digit",
		"10-one.sh":  "# hosts: nspawn vm\n# torture-hosts: local\n# timeout: 3m\n# says: what it likes\n\n# machine: nonsense below the top\n",
		"20-own.sh":  "# hosts: vm\n# machine: fresh\n",
		"25-lsm.sh":  "# hosts: vm\n# kernel: lsm=selinux quiet\n",
		"30-p.1.sh":  "# hosts: vm\n# then: reboot\n",
		"30-p.2.sh":  "# then: poweroff\n",
		"30-p.3.sh":  "true\n",
		"other.text": "",
	})
	got, err := LoadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	both, vm := []hosts.Kind{hosts.Nspawn, hosts.VM}, []hosts.Kind{hosts.VM}
	want := []Script{
		{"10-one", both, []hosts.Kind{hosts.Local}, false, "", []Part{{"10-one.sh", "", 3 * time.Minute, Nothing}}},
		{"20-own", vm, nil, true, "", []Part{{"20-own.sh", "", 2 * time.Minute, Nothing}}},
		{"25-lsm", vm, nil, true, "lsm=selinux quiet", []Part{{"25-lsm.sh", "", 2 * time.Minute, Nothing}}},
		{"30-p", vm, nil, true, "", []Part{
			{"30-p.1.sh", "", 2 * time.Minute, Reboot},
			{"30-p.2.sh", "", 2 * time.Minute, PowerOff},
			{"30-p.3.sh", "", 2 * time.Minute, Nothing},
		}},
	}
	for i := range got {
		for j := range got[i].Parts {
			got[i].Parts[j].Text = ""
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestRunsOn(t *testing.T) {
	s := Script{Hosts: []hosts.Kind{hosts.Nspawn}, Torture: []hosts.Kind{hosts.VM}, Parts: []Part{{}}}
	for _, tt := range []struct {
		kind          hosts.Kind
		torture, want bool
	}{{hosts.Nspawn, false, true}, {hosts.Nspawn, true, true}, {hosts.VM, false, false}, {hosts.VM, true, true}, {hosts.Local, false, true}} {
		if got := s.RunsOn(tt.kind, tt.torture); got != tt.want {
			t.Errorf("%s, torture %v: %v", tt.kind, tt.torture, got)
		}
	}
}

func TestLoadOnePartBringsAll(t *testing.T) {
	dir := write(t, map[string]string{"a.1.sh": "# hosts: vm\n# then: reboot\n", "a.2.sh": "true\n"})
	got, err := Load([]string{filepath.Join(dir, "a.2.sh"), filepath.Join(dir, "a.1.sh")})
	if err != nil || len(got) != 1 || len(got[0].Parts) != 2 {
		t.Errorf("%v, %+v", err, got)
	}
}

func TestLoadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"echo hi\n":                         "# hosts:",
		"# hosts: moon\n":                   "moon",
		"# hosts: vm\n# then: explode\n":    "explode",
		"# hosts: vm\n# then: reboot\n":     "last part",
		"# hosts: vm\n# timeout: long\n":    "long",
		"# hosts: vm\n# machine: borrowed ": "borrowed",
	} {
		dir := write(t, map[string]string{"1-a.sh": text})
		if _, err := LoadDir(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
}

// fakeMachine answers each part with the next of codes, and writes down what is done to it.
type fakeMachine struct {
	codes []int
	did   []string
}

func (f *fakeMachine) Run(_ context.Context, c agent.Command, s agent.Streams) (int, error) {
	f.did = append(f.did, c.Args[3])
	io.WriteString(s.Stdout, "output of "+c.Args[3]+"\n")
	code := f.codes[0]
	f.codes = f.codes[1:]
	if code < 0 {
		return code, errors.New("broken line")
	}
	return code, nil
}

func (f *fakeMachine) Reboot(context.Context) error   { f.did = append(f.did, "reboot"); return nil }
func (f *fakeMachine) PowerCut(context.Context) error { f.did = append(f.did, "cut"); return nil }
func (f *fakeMachine) Close() error                   { return nil }

func TestRun(t *testing.T) {
	parts := []Part{
		{File: "1", Then: Reboot, Timeout: time.Minute},
		{File: "2", Then: PowerOff, Timeout: time.Minute},
		{File: "3", Timeout: time.Minute},
	}
	tests := []struct {
		codes   []int
		did     string
		outcome Outcome
		reason  string
	}{
		{[]int{0, 0, 0}, "1 reboot 2 cut 3", Passed, ""},
		{[]int{0, 3}, "1 reboot 2", Failed, "2: exit code 3"},
		{[]int{77}, "1", Skipped, "output of 1"},
		{[]int{-1}, "1", Failed, "1: broken line"},
	}
	for _, test := range tests {
		m := &fakeMachine{codes: test.codes}
		var echo bytes.Buffer
		got := Runner{Machine: m, Echo: &echo}.Run(context.Background(), Script{Parts: parts})
		if did := strings.Join(m.did, " "); did != test.did || got.Outcome != test.outcome || got.Reason != test.reason {
			t.Errorf("codes %v: did %q, %v %q; want %q, %v %q", test.codes, did, got.Outcome, got.Reason, test.did, test.outcome, test.reason)
		}
		if !bytes.Equal(echo.Bytes(), got.Output) {
			t.Errorf("echo %q, output %q", echo.Bytes(), got.Output)
		}
	}
}
