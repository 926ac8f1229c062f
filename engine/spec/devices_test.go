package spec

import (
	"fmt"
	"path"
	"reflect"
	"strings"
	"testing"
)

func TestParseDevice(t *testing.T) {
	for in, want := range map[string]Device{
		"/dev/fuse":              {Source: "/dev/fuse", Destination: "/dev/fuse", Access: "rwm"},
		"/dev/fuse:r":            {Source: "/dev/fuse", Destination: "/dev/fuse", Access: "r"},
		"/dev/sda:/dev/xvda":     {Source: "/dev/sda", Destination: "/dev/xvda", Access: "rwm"},
		"/dev/sda:/dev/xvda:rw":  {Source: "/dev/sda", Destination: "/dev/xvda", Access: "rw"},
		"/dev/../dev/x:/dev//y/": {Source: "/dev/x", Destination: "/dev/y", Access: "rwm"},
	} {
		if got, err := ParseDevice(in); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "fuse", "/dev/x:y", "/dev/x:/dev/y:q", "/dev/x:/dev/y:rw:1", "/dev/x:/proc/1/mem", "/dev/x:/dev/../etc/y", "/dev/x:/dev"} {
		if got, err := ParseDevice(in); err == nil {
			t.Errorf("%q is taken as %+v", in, got)
		}
	}
}

// FuzzDevice: a device's place is below /dev, what may be done with it is some of rwm, and its whole form is read as the same.
func FuzzDevice(f *testing.F) {
	for _, word := range []string{"/dev/fuse", "/dev/sda:/dev/xvda:rw", "/dev/x:rwmrwm", "/dev/../etc/x:/dev/y", "/:/dev/y", "/dev/x:/dev/../dev/", "/dev/r:w:m", "/dev/x\x00:/dev/y", "//dev//x"} {
		f.Add(word, "c 10:* rw")
	}
	f.Add("/dev/x", "a *:* rwm")
	f.Add("/dev/x", "b 2147483647:0 r")
	f.Fuzz(func(t *testing.T, word, rule string) {
		if d, err := ParseDevice(word); err == nil {
			again, err := ParseDevice(d.Source + ":" + d.Destination + ":" + d.Access)
			if err != nil || again != d || path.Clean(d.Destination) != d.Destination || !strings.HasPrefix(d.Destination, "/dev/") || !path.IsAbs(d.Source) || !isAccess(d.Access) {
				t.Errorf("%q: %+v, and then %+v, %v", word, d, again, err)
			}
		}
		if r, err := parseDeviceRule(rule); err == nil {
			number := func(n *int64) string {
				if n == nil {
					return "*"
				}
				return fmt.Sprint(*n)
			}
			text := r.Type + " " + number(r.Major) + ":" + number(r.Minor) + " " + r.Access
			if again, err := parseDeviceRule(text); err != nil || !reflect.DeepEqual(again, r) || !r.Allow || !isAccess(r.Access) {
				t.Errorf("%q: %s, and then %+v, %v", rule, text, again, err)
			}
		}
	})
}

func TestDeviceRule(t *testing.T) {
	rule, err := parseDeviceRule("c 10:* rw")
	if err != nil || rule.Type != "c" || *rule.Major != 10 || rule.Minor != nil || rule.Access != "rw" || !rule.Allow {
		t.Errorf("%+v, %v", rule, err)
	}
	for _, word := range []string{"", "c 10 rw", "x 1:2 r", "c 1:2", "c a:b r", "c 1:2 q", "c 1:2 r w", "c -1:2 r"} {
		if rule, err := parseDeviceRule(word); err == nil {
			t.Errorf("%q was taken as %+v", word, rule)
		}
	}
	s := mustBuild(t, with(func(in *Input) { in.Container.DeviceRules = []string{"b *:* r"} }))
	if r := s.Linux.Resources.Devices; len(r) != 2 || r[1].Type != "b" {
		t.Errorf("rules %+v", r)
	}
}

// Root makes the node and opens the device cgroup for it; a user gets the host's own node.
func TestDevices(t *testing.T) {
	d := Device{Source: "/dev/fuse", Destination: "/dev/fuse", Access: "rw", Type: "c", Major: 10, Minor: 229, Mode: 0o666}
	s, err := Build(with(func(in *Input) { in.Devices = []Device{d} }))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Linux.Devices) != 1 || s.Linux.Devices[0].Path != "/dev/fuse" || s.Linux.Devices[0].Minor != 229 {
		t.Errorf("nodes: %+v", s.Linux.Devices)
	}
	rules := s.Linux.Resources.Devices
	if len(rules) != 2 || rules[0].Allow || !rules[1].Allow || *rules[1].Major != 10 || *rules[1].Minor != 229 || rules[1].Access != "rw" {
		t.Errorf("rules: %+v", rules)
	}
	s, err = Build(with(func(in *Input) { in.Devices, in.Host.Rootless = []Device{d}, true }))
	if err != nil {
		t.Fatal(err)
	}
	bound := false
	for _, m := range s.Mounts {
		bound = bound || m.Destination == "/dev/fuse" && m.Type == "bind"
	}
	if !bound || len(s.Linux.Devices) != 0 {
		t.Errorf("a user's device: bound %v, nodes %+v", bound, s.Linux.Devices)
	}
}

func TestParseMount(t *testing.T) {
	for in, want := range map[string][2]string{
		"type=bind,source=/a,target=/b":                                 {"/a:/b", ""},
		"type=bind,src=/a,dst=/b,readonly":                              {"/a:/b:ro", ""},
		"type=bind,src=a,dst=/b":                                        {"./a:/b", ""},
		"type=bind,src=../a,dst=/b":                                     {"../a:/b", ""},
		"type=bind,src=/a,dst=/b,ro=false,bind-propagation=rshared":     {"/a:/b:rw,rshared", ""},
		"type=bind,src=/a,dst=/b,bind-nonrecursive,relabel=private":     {"/a:/b:bind,Z", ""},
		"source=data,destination=/b,U":                                  {"data:/b:U", ""},
		"type=volume,target=/b":                                         {"/b", ""},
		"type=tmpfs,target=/t":                                          {"", "/t"},
		"type=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=1777,ro,noexec": {"", "/t:size=64m,mode=1777,ro,noexec"},
		"source=v,target=/b,idmap,subpath=s":                            {"v:/b:idmap,subpath=s", ""},
		"type=tmpfs,target=/t,notmpcopyup,noswap":                       {"", "/t:notmpcopyup,noswap"},
		`type=bind,"source=/a,b",target=/c`:                             {"/a,b:/c", ""},
	} {
		volume, tmpfs, err := ParseMount(in)
		if got := [2]string{volume, tmpfs}; err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, %v; want %q", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"type=bind,source=/a":             "no target=",
		"type=bind,target=/b":             "no source=",
		"type=volume,source=/a,target=/b": "type=bind",
		"type=npipe,source=a,target=/b":   "not supported",
		"source=a,target=/b,volume-opt=x": "berth volume create",
		"type=bind,source=/a:b,target=/c": "colon",
		"target=/b,color=red":             "color",
		`"x`:                              "mount",
	} {
		if _, _, err := ParseMount(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", in, err, want)
		}
	}
}

func TestInitAndProxies(t *testing.T) {
	s, err := Build(with(func(in *Input) {
		in.Container.Init, in.Container.HTTPProxy = true, true
		in.Host.Environment = map[string]string{"https_proxy": "http://proxy:3128", "SECRET": "x"}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if a := s.Process.Args; len(a) < 3 || a[0] != InitPlace || a[1] != "--" {
		t.Errorf("arguments %q", a)
	}
	env := strings.Join(s.Process.Env, "\n")
	if !strings.Contains(env, "https_proxy=http://proxy:3128") || strings.Contains(env, "SECRET") {
		t.Errorf("environment\n%s", env)
	}
}
