package cli

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/spec"
	used "github.com/berth-pods/berth/engine/usage"
)

func TestMergeUpdate(t *testing.T) {
	before := spec.Container{Limits: spec.Limits{CPUQuota: "5", CPUPeriod: "1000", Memory: "1m", MemorySwap: "2m", ReadBps: []string{"/dev/a:1"}, PidsLimit: "3"}}
	got, later, err := mergeUpdate(before, []string{"--cpus=2", "--memory=4m", "--device-read-bps=/dev/b:2", "x"})
	l := got.Limits
	if err != nil || later || l.CPUs != "2" || l.CPUQuota != "" || l.CPUPeriod != "" || l.Memory != "4m" || l.MemorySwap != "" || len(l.ReadBps) != 1 || l.ReadBps[0] != "/dev/b:2" || l.PidsLimit != "3" {
		t.Errorf("%+v, %t, %v", l, later, err)
	}
	if before.ReadBps[0] != "/dev/a:1" {
		t.Error("what it was has been changed")
	}
	if got, later, err := mergeUpdate(before, []string{"--restart=always", "--health-retries=2"}); err != nil || !later || got.Restart != "always" || got.HealthRetries != "2" {
		t.Errorf("%+v, %t, %v", got, later, err)
	}
	for _, args := range [][]string{{"x"}, {"--name=y"}, {"--latest"}} {
		if _, _, err := mergeUpdate(before, args); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
}

// What has not been changed is not written: the controller need not even be there.
func TestChangedFiles(t *testing.T) {
	got, err := changedFiles(spec.Limits{Memory: "1m", PidsLimit: "3"}, spec.Limits{Memory: "1m", PidsLimit: "4", CPUs: "0"})
	if err != nil || len(got) != 2 || got[0] != (spec.GroupFile{Name: "cpu.max", Text: "max 100000"}) || got[1] != (spec.GroupFile{Name: "pids.max", Text: "4"}) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestStatsRow(t *testing.T) {
	n := func(v uint64) *uint64 { return &v }
	r := statsRowOf(engine.State{ID: "0123456789abcdef", Name: "web"}, used.Sample{}, used.Sample{}, false)
	if r.CPUPerc != "0.00%" || r.MemUsage != "0B / 0B" || r.NetIO != "0B / 0B" || r.PIDS != "0" || r.ID != "0123456789ab" {
		t.Errorf("%+v", r)
	}
	if got := pair(n(1500), n(2_000_000)); got != "1.5kB / 2MB" {
		t.Error(got)
	}
	if got := binary(1536); got != "1.5KiB" {
		t.Error(got)
	}
	if got := percent(used.Percent(used.Sample{At: time.Unix(0, 0)}, used.Sample{At: time.Unix(4, 0), CPU: time.Second})); got != "25.00%" {
		t.Error(got)
	}
}

func TestPorts(t *testing.T) {
	list := portLines([]spec.PortMapping{{HostPort: 8080, ContainerPort: 80, Range: 2, Protocol: "tcp"}, {HostIP: "::1", HostPort: 5, ContainerPort: 53, Protocol: "udp"}})
	want := []portLine{{"80/tcp", "0.0.0.0:8080"}, {"81/tcp", "0.0.0.0:8081"}, {"53/udp", "[::1]:5"}}
	for i := range want {
		if len(list) != len(want) || list[i] != want[i] {
			t.Errorf("%v, want %v", list, want)
		}
	}
	for word, want := range map[string]string{"80": "80/tcp", "53/UDP": "53/udp", "0": "", "x": "", "70000": ""} {
		if got, err := parsePort(word); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", word, got, err)
		}
	}
}

// Ports are shown as Podman shows them, of containers and of pods.
func TestBindings(t *testing.T) {
	got, err := json.Marshal(bindings([]spec.PortMapping{{HostPort: 8080, ContainerPort: 80, Range: 2, Protocol: "tcp"}, {HostIP: "::1", HostPort: 5, ContainerPort: 53, Protocol: "udp"}}))
	const want = `{"53/udp":[{"HostIp":"::1","HostPort":"5"}],"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"}],"81/tcp":[{"HostIp":"0.0.0.0","HostPort":"8081"}]}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}
