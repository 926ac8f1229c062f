package spec

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

var update = flag.Bool("update", false, "write the golden files anew")

const testID = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// plain is a container as a small unit file asks for it.
func plain() Input {
	return Input{
		ID:        testID,
		Container: Container{Name: "web", Image: "docker.io/library/web:latest", ReadOnlyTmpfs: true},
		Image: ImageConfig{
			Entrypoint: []string{"/bin/serve"}, Cmd: []string{"--port", "80"}, Env: []string{"PATH=/bin", "LANG=C.UTF-8"}, WorkingDir: "/srv",
		},
		Rootfs:  "/store/merged",
		Process: Process{Home: "/root"},
		Host:    Host{CgroupsPath: "/system.slice/web.service/container"},
		NetNS:   "/proc/7/fd/9",
		Files: []Mount{
			{Source: "/run/berth/x/hosts", Destination: "/etc/hosts", Options: []string{"bind", "rprivate", "rw"}},
			{Source: "/run/berth/x/resolv.conf", Destination: "/etc/resolv.conf", Options: []string{"bind", "rprivate", "rw"}},
		},
	}
}

// with changes a plain input.
func with(change func(*Input)) Input {
	in := plain()
	change(&in)
	return in
}

func zero() *int { n := 0; return &n }

func goldenInputs() map[string]Input {
	return map[string]Input{
		"defaults": plain(),
		"rootless": with(func(in *Input) { in.Host.Rootless = true }),
		"host-network": with(func(in *Input) {
			in.NetNS, in.NetHost, in.Container.HostName = "", true, "box.example"
		}),
		"rootless-host-network": with(func(in *Input) { in.NetNS, in.NetHost, in.Host.Rootless = "", true, true }),
		"read-only":             with(func(in *Input) { in.Container.ReadOnly = true }),
		"privileged": with(func(in *Input) {
			in.Container.Privileged = true
			in.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActErrno}
		}),
		"everything": with(everything),
		"systemd": with(func(in *Input) {
			in.Systemd, in.Container.Command, in.Container.ShmSizeSystemd = true, []string{"/sbin/init"}, "8m"
		}),
		"listen-fds": with(func(in *Input) {
			in.Host.ListenFDs = 2
			in.Host.Environment = map[string]string{"LISTEN_FDS": "2", "LISTEN_PID": "77", "LISTEN_FDNAMES": "http:https"}
		}),
		"notify-container": with(func(in *Input) {
			in.Host.NotifyPath = "/run/notify/notify.sock"
			in.Files = append(in.Files, Mount{Source: "/run/systemd/notify", Destination: in.Host.NotifyPath})
		}),
	}
}

// everything sets volumes, tmpfs, capabilities, a user, limits and the rest.
func everything(in *Input) {
	in.Process = Process{UID: 1000, GID: 1001, Groups: []uint32{27, 1001}, Home: "/home/a"}
	in.Host.Controllers, in.Host.Swap = []string{"cpu", "cpuset", "io", "memory", "pids"}, true
	in.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: []specs.Arch{specs.ArchX86_64}}
	in.Volumes = []Mount{
		{Source: "/srv/data", Destination: "/data/deep", Options: []string{"rbind", "rprivate", "ro"}},
		{Source: "/vol/_data", Destination: "/data"},
		{Source: "/srv/hosts", Destination: "/etc/hosts", Options: []string{"rbind", "rprivate", "ro"}},
	}
	c := &in.Container
	c.Tmpfs = []string{"/cache:size=1m,mode=700"}
	c.CapAdd, c.CapDrop = []string{"net_admin", "CAP_SYS_TIME"}, []string{"ALL"}
	c.Environment = []string{"B=2", "A=1", "HOME=/elsewhere"}
	c.Entrypoint = new(string)
	c.Command = []string{"/bin/other", "word"}
	c.Sysctls = []string{"net.core.somaxconn=64", "kernel.msgmax=1"}
	c.Ulimits = []string{"nofile=10:20", "core=0"}
	c.SecurityOpts = []string{"no-new-privileges", "mask=/etc/shadow", "unmask=/proc/acpi", "apparmor=berth"}
	c.Umask, c.OOMScoreAdj, c.WorkDir, c.ShmSize, c.Timezone = "0077", zero(), "/work", "1m", "Europe/Berlin"
	c.Memory, c.PidsLimit = "64m", "32"
	c.Annotations = []string{"run.oci.x=1", "a=b"}
	c.Personality, c.RdtClass = "linux32", "gold"
}

// A user's container is not harder to kill than the user's own processes: it would not start.
func TestOOMScoreAdj(t *testing.T) {
	for _, tt := range []struct {
		rootless         bool
		given, own, want int
	}{
		{true, 0, 200, 200}, {true, -500, 0, 0}, {true, 300, 200, 300}, {false, -500, 0, -500},
	} {
		in := plain()
		in.Container.OOMScoreAdj, in.Host.Rootless, in.Host.OOMScoreAdj = &tt.given, tt.rootless, tt.own
		s, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := *s.Process.OOMScoreAdj; got != tt.want {
			t.Errorf("%+v: %d", tt, got)
		}
	}
}

func TestBuildGolden(t *testing.T) {
	for name, in := range goldenInputs() {
		t.Run(name, func(t *testing.T) {
			got := build(t, in)
			file := filepath.Join("testdata/build", name+".json")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("config.json differs from %s (-update writes it anew):\n%s", file, got)
			}
		})
	}
}

// build returns config.json as indented JSON.
func build(t *testing.T, in Input) []byte {
	t.Helper()
	s, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(data, '\n')
}

func TestBuildSameInputSameBytes(t *testing.T) {
	in := with(everything)
	in.Container.EnvHost = true
	in.Host.Environment = map[string]string{"U": "1", "V": "2", "W": "3", "X": "4", "Y": "5"}
	first := build(t, in)
	for i := range 100 {
		if !bytes.Equal(first, build(t, in)) {
			t.Fatalf("build %d differs from the first", i+2)
		}
	}
}

func TestBuildLeavesItsInputAlone(t *testing.T) {
	in := with(everything)
	in.Container.ReadOnly = true
	before, _ := json.Marshal(in)
	build(t, in)
	if after, _ := json.Marshal(in); !bytes.Equal(before, after) {
		t.Errorf("Build changed its input:\n%s\n%s", before, after)
	}
}

// TestBuildSecurity holds for each way of making a container: what the configuration must always say.
func TestBuildSecurity(t *testing.T) {
	for name, in := range goldenInputs() {
		t.Run(name, func(t *testing.T) {
			s, err := Build(in)
			if err != nil {
				t.Fatal(err)
			}
			for _, wrong := range insecure(s, in) {
				t.Error(wrong)
			}
		})
	}
}

// insecure lists what is wrong with a configuration.
func insecure(s *specs.Spec, in Input) (wrong []string) {
	place := func(p string) *specs.Mount {
		i := slices.IndexFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == p })
		if i < 0 {
			return nil
		}
		return &s.Mounts[i]
	}
	complain := func(bad bool, what string) {
		if bad {
			wrong = append(wrong, what)
		}
	}
	dev, cgroup, shm := place("/dev"), place("/sys/fs/cgroup"), place("/dev/shm")
	complain(dev == nil || dev.Type != "tmpfs", "no fresh /dev (CVE-2026-88264, CVE-2026-41579)")
	complain(cgroup == nil || !in.Container.Privileged && !in.Systemd && !slices.Contains(cgroup.Options, "ro"), "/sys/fs/cgroup can be written (CVE-2023-25809)")
	complain(shm == nil || !slices.ContainsFunc(shm.Options, func(o string) bool { return strings.HasPrefix(o, "size=") }), "/dev/shm without a limit (CVE-2024-3056)")
	complain(!slices.ContainsFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.CgroupNamespace && n.Path == "" }),
		"no cgroup namespace of its own (CVE-2022-0492)")
	caps := s.Process.Capabilities
	added := len(in.Container.CapAdd) > 0 && in.Process.UID != 0
	complain(!added && len(caps.Inheritable)+len(caps.Ambient) > 0, "inheritable or ambient capabilities (CVE-2022-27649)")
	complain(!added && in.Process.UID != 0 && len(caps.Effective)+len(caps.Permitted) > 0, "effective capabilities of another user than root (CVE-2018-10856)")
	complain(in.Process.UID != 0 && !slices.Contains(s.Process.User.AdditionalGids, in.Process.GID), "the primary group is no supplementary one (CVE-2022-2989)")
	complain(!in.Container.Privileged && !slices.Contains(s.Linux.MaskedPaths, "/proc/kcore"), "/proc/kcore is not masked")
	complain(s.Hooks != nil, "hooks")
	return wrong
}

// TestInsecureSeesWhatIsWrong is the negative control of TestBuildSecurity.
func TestInsecureSeesWhatIsWrong(t *testing.T) {
	in := with(func(in *Input) { in.Process.UID, in.Process.GID = 1000, 1000 })
	for name, spoil := range map[string]func(*specs.Spec){
		"no fresh /dev":               func(s *specs.Spec) { s.Mounts = s.Mounts[2:] },
		"another /dev":                func(s *specs.Spec) { s.Mounts[1].Type = "bind" },
		"cgroup read-write":           func(s *specs.Spec) { s.Mounts[6].Options = []string{"rw"} },
		"shm without limit":           func(s *specs.Spec) { s.Mounts[4].Options = nil },
		"no cgroup namespace":         func(s *specs.Spec) { s.Linux.Namespaces = s.Linux.Namespaces[:4] },
		"inheritable capabilities":    func(s *specs.Spec) { s.Process.Capabilities.Inheritable = []string{"CAP_CHOWN"} },
		"effective of another user":   func(s *specs.Spec) { s.Process.Capabilities.Effective = []string{"CAP_CHOWN"} },
		"primary group left out":      func(s *specs.Spec) { s.Process.User.AdditionalGids = nil },
		"nothing masked":              func(s *specs.Spec) { s.Linux.MaskedPaths = nil },
		"a hook that came from where": func(s *specs.Spec) { s.Hooks = &specs.Hooks{} },
	} {
		s, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		if wrong := insecure(s, in); len(wrong) > 0 {
			t.Fatal(wrong)
		}
		spoil(s)
		if len(insecure(s, in)) == 0 {
			t.Errorf("%s was not seen", name)
		}
	}
}

// TestImageMetadataIsData: an image's own words are never settings. ImageConfig has no place for labels and annotations,
// and a new field must be looked at before it gets one.
func TestImageMetadataIsData(t *testing.T) {
	data, _ := json.Marshal(ImageConfig{})
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	want := []string{"Cmd", "Entrypoint", "Env", "Exposed", "Health", "SeccompProfile", "StopSignal", "User", "Volumes", "WorkingDir"}
	if got := SortedKeys(fields); !slices.Equal(got, want) {
		t.Errorf("ImageConfig has the fields %v, %v were looked at", got, want)
	}
	// Hostile words in every field that there is stay words: no annotation, no sysctl, no mount comes of them.
	in := plain()
	hostile := "org.systemd.property.ExecStart=/bin/x"
	in.Image = ImageConfig{
		Entrypoint: []string{hostile}, Cmd: []string{hostile}, Env: []string{hostile}, StopSignal: hostile,
		SeccompProfile: hostile, Volumes: []string{hostile}, Exposed: []string{hostile}, User: hostile, WorkingDir: "/srv",
	}
	s, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Annotations) != 0 || len(s.Linux.Sysctl) != 1 || len(s.Mounts) != len(mustBuild(t, plain()).Mounts) {
		t.Errorf("an image's words became settings: %v %v %v", s.Annotations, s.Linux.Sysctl, s.Mounts)
	}
}

func mustBuild(t *testing.T, in Input) *specs.Spec {
	t.Helper()
	s, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBuildRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Input)
		want   string // part of the error
	}{
		{"systemd property", func(in *Input) { in.Container.Annotations = []string{"org.systemd.property.ExecStart=x"} }, "[Service]"},
		{"annotation without =", func(in *Input) { in.Container.Annotations = []string{"x"} }, "NAME=VALUE"},
		{"volume on /proc", func(in *Input) { in.Volumes = []Mount{{Source: "/srv", Destination: "/proc"}} }, "/proc"},
		{"volume below /proc", func(in *Input) { in.Volumes = []Mount{{Source: "/srv", Destination: "/proc/self/attr"}} }, "/proc"},
		{"tmpfs on /proc", func(in *Input) { in.Container.Tmpfs = []string{"/proc"} }, "/proc"},
		{"volume on /dev", func(in *Input) { in.Volumes = []Mount{{Source: "/srv", Destination: "/dev"}} }, "/dev"},
		{"work directory in /proc", func(in *Input) { in.Container.WorkDir = "/proc/self/fd/7" }, "/proc"},
		{"relative work directory", func(in *Input) { in.Image.WorkingDir = "proc/thread-self/fd/8" }, "not an absolute path"},
		{"image's work directory in /proc", func(in *Input) { in.Image.WorkingDir = "/srv/../proc/thread-self/fd/8" }, "/proc"},
		{"line in host name", func(in *Input) { in.Container.HostName = "a\n1.2.3.4 bank" }, "host name"},
		{"long host name", func(in *Input) { in.Container.HostName = strings.Repeat("a", 65) }, "64"},
		{"nothing to run", func(in *Input) { in.Image.Entrypoint, in.Image.Cmd = nil, nil }, "Exec="},
		{"entry point that is no JSON", func(in *Input) { s := "[x"; in.Container.Entrypoint = &s }, "JSON"},
		{"capability", func(in *Input) { in.Container.CapAdd = []string{"FLY"} }, "capabilities(7)"},
		{"umask", func(in *Input) { in.Container.Umask = "0888" }, "octal"},
		{"shm size", func(in *Input) { in.Container.ShmSize = "much" }, "shm size"},
		{"sysctl of the host", func(in *Input) { in.Container.Sysctls = []string{"kernel.core_pattern=|/x"} }, "change the host"},
		{"net sysctl with host network", func(in *Input) {
			in.NetHost, in.Container.Sysctls = true, []string{"net.ipv4.ip_forward=1"}
		}, "change the host"},
		{"memory without controller", func(in *Input) { in.Container.Memory = "1g" }, "MemoryMax="},
		{"pids without controller", func(in *Input) { in.Container.PidsLimit = "10" }, "TasksMax="},
		{"label", func(in *Input) { in.Container.SecurityOpts = []string{"label=colour:x"} }, "known are"},
		{"variable without a name", func(in *Input) { in.Container.Environment = []string{"=x"} }, "no name"},
		{"NUL", func(in *Input) { in.Container.Environment = []string{"A=\x00"} }, "NUL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Build(with(tt.change))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// TestHostPlaces: the host's own /dev, /proc and /sys are shown to those who ask for them by name, and /dev/pts stays on
// top of another /dev.
func TestHostPlaces(t *testing.T) {
	s := mustBuild(t, with(func(in *Input) {
		in.Volumes = []Mount{{Source: "/dev", Destination: "/dev"}, {Source: "/sys", Destination: "/sys"}, {Source: "/lxcfs/meminfo", Destination: "/proc/meminfo"}}
	}))
	var order []string
	for _, m := range s.Mounts {
		order = append(order, m.Type+":"+m.Destination)
	}
	want := "proc:/proc bind:/dev devpts:/dev/pts mqueue:/dev/mqueue tmpfs:/dev/shm bind:/sys cgroup:/sys/fs/cgroup bind:/etc/hosts bind:/etc/resolv.conf bind:/proc/meminfo"
	if got := strings.Join(order, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// FuzzImageWords: TestImageMetadataIsData for any words. What is built has no setting of the image's, and a program.
func FuzzImageWords(f *testing.F) {
	f.Add("/bin/x", "a\x00b", "PATH", "1:2", "/w/../..", "/v", "TERM", "80/tcp")
	f.Add("", "", "A=\n", "-1", "relative", "/proc", "99", "0-65535/sctp")
	f.Fuzz(func(t *testing.T, entry, cmd, env, user, dir, volume, signal, port string) {
		in := plain()
		in.Image = ImageConfig{Entrypoint: []string{entry}, Cmd: []string{cmd}, Env: []string{env}, User: user, WorkingDir: dir, Volumes: []string{volume}, StopSignal: signal, Exposed: []string{port}, SeccompProfile: cmd}
		s, err := Build(in)
		if err != nil {
			return
		}
		if len(s.Annotations) != 0 || len(s.Linux.Sysctl) != 1 || len(s.Mounts) != len(mustBuild(t, plain()).Mounts) {
			t.Errorf("an image's words became settings: %v %v %v", s.Annotations, s.Linux.Sysctl, s.Mounts)
		}
		if len(s.Process.Args) == 0 || !strings.HasPrefix(s.Process.Cwd, "/") {
			t.Errorf("process: %+v", s.Process)
		}
		for _, e := range s.Process.Env {
			if !strings.Contains(e, "=") {
				t.Errorf("a variable without a value: %q", e)
			}
		}
	})
}

func TestHostName(t *testing.T) {
	const id = "0123456789abcdef"
	for _, tt := range []struct {
		c    Container
		want string
	}{
		{Container{Name: "my_web"}, "0123456789ab"},
		{Container{Name: "my_web", NameAsHost: true}, "myweb"},
		{Container{Name: "my_web", NameAsHost: true, HostName: "own"}, "own"},
		{Container{NameAsHost: true}, "0123456789ab"},
		{Container{Name: strings.Repeat("x", 70), NameAsHost: true}, strings.Repeat("x", 64)},
	} {
		if got := HostName(id, tt.c); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.c, got, tt.want)
		}
	}
}
