package spec

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestNamespaces(t *testing.T) {
	tests := []struct {
		n        Namespaces
		rootless bool
		want     string
	}{
		{Namespaces{}, false, "pid ipc uts mount cgroup network"},
		{Namespaces{"private", "private", "private", "private"}, false, "pid ipc uts mount cgroup network"},
		{Namespaces{"host", "host", "host", "host"}, false, "mount cgroup=/proc/1/ns/cgroup network"},
		{Namespaces{"host", "host", "host", "host"}, true, "mount network"},
		{Namespaces{"container:a", "none", "ns:/run/x", "shareable"}, false, "error"},
		{Namespaces{"container:a", "none", "ns:/run/x", ""}, false, "pid=/fd/pid ipc uts=/fd/uts mount cgroup network"},
		{Namespaces{PID: "none"}, false, "error"}, {Namespaces{PID: "container:"}, false, "error"}, {Namespaces{UTS: "ns:x"}, false, "error"},
		{Namespaces{IPC: "host:x"}, false, "error"}, {Namespaces{IPC: "other"}, false, "error"}, {Namespaces{CgroupNS: ":"}, false, "error"},
	}
	for _, tt := range tests {
		in := Input{Container: Container{Namespaces: tt.n}, Host: Host{Rootless: tt.rootless}, Joined: map[specs.LinuxNamespaceType]string{}}
		if strings.HasPrefix(tt.n.PID, "container:") {
			in.Joined[specs.PIDNamespace], in.Joined[specs.UTSNamespace] = "/fd/pid", "/fd/uts"
		}
		list, err := namespaces(in)
		var words []string
		for _, n := range list {
			words = append(words, strings.TrimSuffix(fmt.Sprintf("%s=%s", n.Type, n.Path), "="))
		}
		got := strings.Join(words, " ")
		if err != nil {
			got = "error"
		}
		if got != tt.want {
			t.Errorf("%+v: %s, %v; want %s", tt.n, got, err, tt.want)
		}
	}
}

func TestCheckNamespaces(t *testing.T) {
	for want, c := range map[string]Container{
		"--hostname=a with --uts=host would rename":   {HostName: "a", Namespaces: Namespaces{UTS: "host"}},
		"--init with --pid=container:a":               {Init: true, Namespaces: Namespaces{PID: "container:a"}},
		"--shm-size=1m with --ipc=host":               {ShmSize: "1m", Namespaces: Namespaces{IPC: "host"}},
		"sysctl kernel.msgmax with --ipc=ns:/x would": {Sysctls: []string{"net.a=1", "kernel.msgmax=1"}, Namespaces: Namespaces{IPC: "ns:/x"}},
	} {
		if err := CheckNamespaces(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	fine := Container{HostName: "a", Init: true, ShmSize: "1m", Sysctls: []string{"kernel.msgmax=1"}, Namespaces: Namespaces{IPC: "private", CgroupNS: "host"}}
	if err := CheckNamespaces(fine); err != nil {
		t.Error(err)
	}
}

// TestSharedPlaces: what shows a namespace is the one that is shared.
func TestSharedPlaces(t *testing.T) {
	places := func(change func(*Input)) string {
		var list []string
		for _, m := range mustBuild(t, with(change)).Mounts[:6] {
			list = append(list, m.Type+":"+m.Source+":"+m.Destination)
		}
		return strings.Join(list, " ")
	}
	shm := places(func(in *Input) { in.Container.IPC, in.Shm = "host", "/dev/shm" })
	if !strings.Contains(shm, "bind:/dev/shm:/dev/shm") || !strings.Contains(shm, "mqueue:mqueue:/dev/mqueue") {
		t.Errorf("--ipc=host: %s", shm)
	}
	if none := places(func(in *Input) { in.Container.IPC = "none" }); strings.Contains(none, "/dev/shm") {
		t.Errorf("--ipc=none: %s", none)
	}
	user := places(func(in *Input) {
		in.Container.IPC, in.Container.PID, in.Shm, in.Host.Rootless = "host", "host", "/dev/shm", true
	})
	if !strings.Contains(user, "bind:/proc:/proc") || !strings.Contains(user, "bind:/dev/mqueue:/dev/mqueue") {
		t.Errorf("a user's: %s", user)
	}
	// A new cgroup mount in the host's namespace would change the options of the host's own.
	groups := mustBuild(t, with(func(in *Input) { in.Container.CgroupNS, in.HostCgroups = "host", "/staged" })).Mounts[6]
	if groups.Type != "bind" || groups.Source != "/staged" || !slices.Contains(groups.Options, "ro") {
		t.Errorf("--cgroupns=host: %+v", groups)
	}
	if s := mustBuild(t, with(func(in *Input) { in.Container.UTS = "host" })); s.Hostname != "" {
		t.Errorf("--uts=host sets the host name %q", s.Hostname)
	}
}

func TestSystemdMode(t *testing.T) {
	entry := "/usr/lib/systemd/systemd"
	tests := []struct {
		c    Container
		cmd  string
		want bool
	}{
		{Container{}, "/sbin/init", true}, {Container{}, "/usr/sbin/init", true}, {Container{}, "/lib/systemd/systemd", true}, {Container{}, "sh", false},
		{Container{Entrypoint: &entry, Init: true}, "sh", true}, {Container{Command: []string{"sh"}}, "/sbin/init", false},
		{Container{SystemdFlags: SystemdFlags{Systemd: "always"}}, "sh", true}, {Container{SystemdFlags: SystemdFlags{Systemd: "false"}}, "/sbin/init", false},
	}
	for _, tt := range tests {
		if got, err := SystemdMode(tt.c, ImageConfig{Cmd: []string{tt.cmd}}); got != tt.want || err != nil {
			t.Errorf("%+v %s: %v, %v", tt.c, tt.cmd, got, err)
		}
	}
	if _, err := SystemdMode(Container{SystemdFlags: SystemdFlags{Systemd: "maybe"}}, ImageConfig{}); err == nil {
		t.Error("maybe was taken")
	}
}
