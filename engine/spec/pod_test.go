package spec

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseShare(t *testing.T) {
	for _, tt := range []struct{ word, want string }{
		{"ipc,net,uts", "[ipc net uts]"}, {"net,ipc,net", "[ipc net]"}, {"none", "[]"}, {"", "[]"}, {"+pid", "[ipc net pid uts]"},
		{"none,net", "none stands alone"}, {"user", "[user]"}, {"cgroup", "of its own"}, {"x", "is not known"},
	} {
		list, err := ParseShare(tt.word)
		got := fmt.Sprint(list)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%q: got %s, want %s", tt.word, got, tt.want)
		}
	}
}

func TestPodUserNS(t *testing.T) {
	for _, tt := range []struct {
		common Container
		share  []string
		want   string // what is shared, or the refusal
	}{
		{Container{}, DefaultShare, "[ipc net uts]"},
		{Container{UserNS: "host"}, []string{"net", "user"}, "[net]"},
		{Container{UserNS: "auto:size=10"}, DefaultShare, "[ipc net user uts]"},
		{Container{UserNS: "keep-id"}, []string{"pid", "user"}, "[pid user]"},
		{Container{GIDMaps: []string{"0:100000:10"}}, nil, "[user]"},
		{Container{SubUIDName: "x"}, nil, "[user]"},
		{Container{UserNS: "ns:/x"}, []string{"net"}, "[net user]"},
		{Container{UserNS: "ns:/x"}, []string{"pid"}, "needs one of its own"},
		{Container{UserNS: "container:x"}, nil, "--userns=container:x: a pod has"},
		{Container{UserNS: "auto", UIDMaps: []string{"0:1:1"}}, nil, "exclude each other"},
		{Container{UserNS: "own"}, nil, "known are host"},
		{Container{UIDMaps: []string{"0"}}, nil, "is not [+ug]CONTAINER"},
	} {
		p := Pod{Name: "p", Common: tt.common, Share: tt.share}
		got := fmt.Sprint(p.Sharing())
		if err := CheckPod(p); err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%+v, %v: got %s, want %s", tt.common, tt.share, got, tt.want)
		}
	}
}

func TestPodJoin(t *testing.T) {
	own := Pod{Name: "own", Share: []string{"user"}}
	for _, c := range []Container{{UserNS: "host"}, {UIDMaps: []string{"0:1:1"}}, {SubGIDName: "x"}} {
		if _, err := own.Join(c); err == nil || !strings.Contains(err.Error(), "one user namespace") {
			t.Errorf("%+v in a pod with a user namespace: %v", c, err)
		}
		if got, err := (Pod{Share: DefaultShare}).Join(c); err != nil || got.UserNS != c.UserNS {
			t.Errorf("%+v in another pod: %v", c, err)
		}
	}

	p := Pod{Name: "stack", Share: DefaultShare, Common: Container{Volumes: []string{"data:/data"}, Publish: []string{"80"}, ShmSize: "1m"}}
	c, err := p.Join(Container{Name: "a", Volumes: []string{"/srv:/srv"}})
	if err != nil || c.HostName != "stack" || fmt.Sprint(c.Volumes) != "[data:/data /srv:/srv]" || c.ShmSize != "1m" || len(c.Publish) > 0 {
		t.Errorf("%+v, %v", c, err)
	}
	for want, c := range map[string]Container{
		"published ports": {Publish: []string{"80"}}, "networks are": {Networks: []string{"n"}}, "addresses are": {IP6: "::1"}, "one host name": {HostName: "x"},
		"network aliases": {Aliases: []string{"x"}}, "added hosts": {AddHosts: []string{"a:1.2.3.4"}}, "name servers": {DNS: []string{"1.1.1.1"}},
	} {
		c.Name = "a"
		if _, err := p.Join(c); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `pod "stack"`) {
			t.Errorf("got %v, want %q", err, want)
		}
		p.Maker = "a" // what a pod's maker was given is the pod's
		if c, err := p.Join(c); err != nil || len(c.Publish)+len(c.Networks) > 0 {
			t.Errorf("%+v, %v", c, err)
		}
		p.Maker = ""
	}
	p.Common = Container{
		Devices: []string{"/dev/fuse"}, SecurityOpts: []string{"seccomp=unconfined"}, VolumesFrom: []string{"store"}, Sysctls: []string{"net.ipv4.ip_forward=1"},
		DeviceFlags: DeviceFlags{GPUs: []string{"all"}}, SystemdFlags: SystemdFlags{ShmSizeSystemd: "3m"}, Restart: "always",
	}
	c, err = p.Join(Container{Name: "a", Devices: []string{"/dev/null"}, SecurityOpts: []string{"seccomp=/p.json"}})
	if err != nil || fmt.Sprint(c.Devices, c.SecurityOpts, c.VolumesFrom, c.Sysctls, c.GPUs) != "[/dev/fuse /dev/null] [seccomp=unconfined seccomp=/p.json] [store] [net.ipv4.ip_forward=1] [all]" ||
		c.ShmSizeSystemd != "3m" || c.Restart != "always" {
		t.Errorf("%+v, %v", c, err)
	}
	for _, c := range []Container{{Name: "a", Remove: true}, {Name: "a", InitCtr: "once"}, {Name: "a", Restart: "no"}} {
		if got, err := p.Join(c); err != nil || got.Restart != c.Restart {
			t.Errorf("%+v: restarted %q, %v", c, got.Restart, err)
		}
	}
	alone := Pod{Name: "stack", Share: []string{"ipc"}}
	if c, err := alone.Join(Container{Publish: []string{"80"}, HostName: "x"}); err != nil || len(c.Publish) != 1 || c.HostName != "x" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestCheckPod(t *testing.T) {
	if err := CheckPod(Pod{Name: "a", Share: DefaultShare, ExitPolicy: "stop", Common: Container{Publish: []string{"80"}, HostName: "h"}}); err != nil {
		t.Error(err)
	}
	for want, p := range map[string]Pod{
		"pod: empty name": {}, "pod: name": {Name: "../x"}, "--exit-policy=x": {Name: "a", ExitPolicy: "x"},
		"shares no network":   {Name: "a", Common: Container{Publish: []string{"80"}}},
		"shares no host name": {Name: "a", Common: Container{HostName: "x"}},
		"has ' '":             {Name: "a", Share: DefaultShare, Common: Container{HostName: "a b"}},
		"name server":         {Name: "a", Common: Container{DNS: []string{"x"}}},
		"--pid=host":          {Name: "a", Share: DefaultShare, Common: Container{Namespaces: Namespaces{PID: "host"}}},
		"private, host and":   {Name: "a", Share: DefaultShare, Common: Container{Namespaces: Namespaces{UTS: "container:x"}}},
		"--uts=ns:net":        {Name: "a", Share: DefaultShare, Common: Container{Namespaces: Namespaces{UTS: "ns:net"}}},
		"rename others":       {Name: "a", Share: DefaultShare, Common: Container{HostName: "h", Namespaces: Namespaces{UTS: "host"}}},
		"security":            {Name: "a", Common: Container{SecurityOpts: []string{"no-new-privs"}}},
		"would change":        {Name: "a", Common: Container{Sysctls: []string{"kernel.panic=1"}}},
		"the host's network":  {Name: "a", Share: DefaultShare, Common: Container{Networks: []string{"host"}, Sysctls: []string{"net.core.somaxconn=1"}}},
	} {
		if err := CheckPod(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", p, err, want)
		}
	}
}

func TestPodElsewhere(t *testing.T) {
	p := Pod{Name: "a", Share: []string{"pid", "uts"}, Common: Container{Namespaces: Namespaces{PID: "private", UTS: "ns:/run/x"}}}
	if err := CheckPod(p); err != nil || p.Elsewhere("pid") != "" || p.Elsewhere("uts") != "ns:/run/x" || p.Elsewhere("net") != "" {
		t.Errorf("%v, %q, %q", err, p.Elsewhere("pid"), p.Elsewhere("uts"))
	}
}

func TestSliceProperties(t *testing.T) {
	for _, tt := range []struct {
		limits Limits
		want   string
	}{
		{Limits{}, "[]"},
		{Limits{CgroupParent: "big.slice"}, "[]"},
		{Limits{Memory: "512m"}, "[MemoryMax=536870912 MemorySwapMax=536870912]"},
		{Limits{Memory: "1g", MemorySwap: "-1"}, "[MemoryMax=1073741824]"},
		{Limits{CPUs: "1.5", CPUShares: "1024", CPUSet: "0-1", CPUSetMems: "0"}, "[CPUQuota=150% CPUQuotaPeriodSec=100000us CPUWeight=39 AllowedCPUs=0-1 AllowedMemoryNodes=0]"},
		{Limits{BlkioWeight: "500", BlkioWeightDevices: []string{"/dev/vda:100"}}, "[IOWeight=4950 IODeviceWeight=/dev/vda 910]"},
		{Limits{ReadBps: []string{"/dev/vda:1m"}, WriteBps: []string{"/dev/vda:2m"}}, "[IOReadBandwidthMax=/dev/vda 1048576 IOWriteBandwidthMax=/dev/vda 2097152]"},
		{Limits{Memory: "much"}, "--memory"},
	} {
		list, err := Pod{Common: Container{Limits: tt.limits}}.SliceProperties()
		got := fmt.Sprint(list)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%+v: got %s, want %s", tt.limits, got, tt.want)
		}
		p := Pod{Name: "p", Common: Container{Limits: tt.limits}}
		if bad := CheckPod(p); (bad != nil) != (err != nil) {
			t.Errorf("%+v: CheckPod says %v", tt.limits, bad)
		}
	}
}

// TestPodPart: what Join gives a container is not the container's when it is to be made in another pod.
func TestPodPart(t *testing.T) {
	p := Pod{Name: "stack", Share: []string{"ipc", "net", "pid", "uts"}, Common: Container{
		Volumes: []string{"data:/data"}, ShmSize: "1m", NoHosts: true, Devices: []string{"/dev/fuse"}, SecurityOpts: []string{"seccomp=unconfined"},
		VolumesFrom: []string{"store"}, Sysctls: []string{"net.ipv4.ip_forward=1"}, DeviceFlags: DeviceFlags{GPUs: []string{"all"}}, Restart: "always",
	}}
	for _, c := range []Container{
		{Name: "a", Image: "i", Command: []string{"x"}, Limits: Limits{Memory: "1g"}},
		{Name: "a", Volumes: []string{"/srv:/srv"}, ShmSize: "2m", Devices: []string{"/dev/null"}, Restart: "on-failure", VolumesFrom: []string{"b"}},
	} {
		joined, err := p.Join(c)
		if err != nil {
			t.Fatal(err)
		}
		joined.IPC, joined.PID, joined.UTS = "ns:/run/ipc", "ns:/run/pid", "ns:/run/uts" // as a start does
		if got := p.Part(joined); fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", c) {
			t.Errorf("got  %+v\nwant %+v", got, c)
		}
	}
}
