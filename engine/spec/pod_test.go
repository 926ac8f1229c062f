package spec

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseShare(t *testing.T) {
	for _, tt := range []struct{ word, want string }{
		{"ipc,net,uts", "[ipc net uts]"}, {"net,ipc,net", "[ipc net]"}, {"none", "[]"}, {"", "[]"}, {"+pid", "[ipc net pid uts]"},
		{"none,net", "none stands alone"}, {"user", "of its own"}, {"x", "is not known"},
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

func TestPodJoin(t *testing.T) {
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
	} {
		if err := CheckPod(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", p, err, want)
		}
	}
}
