package spec

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const cdiFile = `{"cdiVersion":"0.6.0","kind":"example.com/card",
	"devices":[{"name":"one","containerEdits":{"deviceNodes":[{"path":"/dev/one","type":"c","major":1,"minor":3}],"env":["ONE=1"]}},
		{"name":"two","containerEdits":{"additionalGids":[44],"hooks":[{"hookName":"createContainer","path":"/bin/h"}]}}],
	"containerEdits":{"mounts":[{"hostPath":"/usr/lib/x","containerPath":"/usr/lib/x","options":["ro"]}]}}`

func TestCDI(t *testing.T) {
	f, err := ParseCDI("x.json", []byte(cdiFile))
	if err != nil {
		t.Fatal(err)
	}
	edits, err := FindCDI([]string{"example.com/card=one", "example.com/card=two"}, []CDISpec{f})
	if err != nil || len(edits) != 3 {
		t.Fatalf("%d edits, %v", len(edits), err)
	}
	s := mustBuild(t, with(func(in *Input) { in.CDI = edits }))
	if d := s.Linux.Devices; len(d) != 1 || d[0].Path != "/dev/one" || d[0].Minor != 3 {
		t.Errorf("devices %+v", d)
	}
	if r := s.Linux.Resources.Devices; len(r) != 2 || r[0].Allow || !r[1].Allow || *r[1].Major != 1 {
		t.Errorf("rules %+v", r)
	}
	last := s.Mounts[len(s.Mounts)-1]
	if got := fmt.Sprintln(s.Process.Env[len(s.Process.Env)-1], last.Destination, last.Options, s.Process.User.AdditionalGids, s.Hooks.CreateContainer[0].Path); got != "ONE=1 /usr/lib/x [rbind ro] [44] /bin/h\n" {
		t.Error(got)
	}
	user := mustBuild(t, with(func(in *Input) { in.CDI, in.Host.Rootless = edits, true }))
	data, _ := json.Marshal(user.Mounts)
	if len(user.Linux.Devices) > 0 || !strings.Contains(string(data), `"/dev/one","type":"bind"`) {
		t.Errorf("a user's: %+v, %s", user.Linux.Devices, data)
	}
	for name, text := range map[string]string{"no kind": `{}`, "no JSON": `kind: a`} {
		if _, err := ParseCDI("x.json", []byte(text)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := FindCDI([]string{"example.com/card=nine"}, []CDISpec{f}); err == nil || !strings.Contains(err.Error(), "/etc/cdi") {
		t.Errorf("unknown device: %v", err)
	}
	hostile := CDIEdits{}
	if err := json.Unmarshal([]byte(`{"mounts":[{"hostPath":"/","containerPath":"/proc"}]}`), &hostile); err != nil {
		t.Fatal(err)
	}
	if _, err := Build(with(func(in *Input) { in.CDI = []CDIEdits{hostile} })); err == nil {
		t.Error("a mount on /proc was taken")
	}
}

func TestCDINames(t *testing.T) {
	for gpus, want := range map[string]string{
		"all": "all", "0": "0", "device=GPU-1": "GPU-1", "driver=nvidia,count=-1": "all", "driver=nvidia": "all", "count=2": "error", "driver=other": "error",
	} {
		list, err := CDINames(Container{Devices: []string{"a.b/c=d", "/dev/null"}, DeviceFlags: DeviceFlags{GPUs: []string{gpus}}})
		got := strings.Join(list, " ")
		if err != nil {
			got = "error"
		} else {
			got = strings.TrimPrefix(got, "a.b/c=d nvidia.com/gpu=")
		}
		if got != want {
			t.Errorf("%s: %s, want %s", gpus, got, want)
		}
	}
}
